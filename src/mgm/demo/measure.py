"""What needs no model: the share of motion and objects that each mask hides, and the cost of reading motion."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mgm.data.annotations import VideoItem
from mgm.data.boxes import read_boxes
from mgm.data.clips.sampling import view_starts
from mgm.data.clips.source import ClipSource
from mgm.data.clips.transform import Geometry, centre_crop
from mgm.data.items import evenly_spaced
from mgm.errors import VideoError
from mgm.masks import MaskStatistics, build_mask, mask_rng, mask_statistics
from mgm.training import Config
from mgm.video import read_clip
from mgm.video.clip.plan import clip_frames
from mgm.video.container.metadata import read_video_info

MEASURED_MASKS = ("mgm", "tube", "random")
MEASURED_CLIPS = 256
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class MaskMeasure:
    """A mask over many clips: means of `mgm.masks.MaskStatistics`, None if not measured.

    Attributes:
        objects: share of the true boxes' area that is hidden; motion: share of the motion energy.
        overlap: intersection over union of consecutive steps; fallbacks: steps without motion, of `steps`.
        clips: number of measured clips.
    """

    name: str
    objects: float | None
    motion: float | None
    overlap: float | None
    fallbacks: int
    steps: int
    clips: int

    def to_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {
            "object hidden": self.objects,
            "motion hidden": self.motion,
            "step to step IoU": self.overlap,
            "fallback steps": self.fallbacks,
            "steps": self.steps,
            "clips": self.clips,
        }


def measure_masks(items: Sequence[VideoItem], source: ClipSource, config: Config) -> list[MaskMeasure]:
    """Draw each mask on the middle clip of up to 256 videos, as in training, and average its statistics."""
    settings = config.clip_settings(motion=True)
    grid = config.model_spec().grid
    extent = (float(settings.size), float(settings.size))
    measured: dict[str, list[MaskStatistics]] = {name: [] for name in MEASURED_MASKS}
    for number, item in enumerate(evenly_spaced(items, MEASURED_CLIPS)):
        try:
            info = source.info(item.path)
            geometry = centre_crop(info.height, info.width, size=settings.size)
            start = view_starts(info.frames, frames=settings.frames, stride=settings.stride, views=1)[0]
            motion = source.clip(item.path, start, geometry, settings).motion
        except VideoError:
            continue  # the scan has reported it
        index = clip_frames(info.frames, start=start, frames=settings.frames, stride=settings.stride)
        boxes = boxes_of(item.path, index, geometry)
        for name in MEASURED_MASKS:
            options = config.mask.options if name == config.mask.name else {}
            mask = build_mask(name, **options).draw(
                grid, config.mask.ratio, motion, mask_rng(config.seed, 0, number, 0)
            )
            measured[name].append(mask_statistics(mask, motion=motion, boxes=boxes, extent=extent))
    return [_mean(name, clips, steps=grid[0]) for name, clips in measured.items() if clips]


@dataclass(frozen=True, slots=True)
class ReadingCost:
    """Time to read a clip with its motion / without it, median over `clips` clips, and the seconds with it."""

    ratio: float
    seconds: float
    clips: int

    def to_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {"with motion / without": self.ratio, "seconds with motion": self.seconds, "clips": self.clips}


def measure_reading_cost(paths: Sequence[str], config: Config) -> ReadingCost | None:
    """Read the first clip of each video several times, with and without motion in turn; None if none can be read."""
    data, ratios, seconds = config.data, [], []
    for path in paths:
        times: dict[str | None, list[float]] = {None: [], "codec": []}
        try:
            for motion in (None, "codec") * ROUNDS:
                began = time.perf_counter()
                read_clip(path, frames=data.frames, stride=data.stride, size=data.size, motion=motion)
                times[motion].append(time.perf_counter() - began)
        except VideoError:
            continue  # the scan has reported it
        ratios.append(min(times["codec"]) / min(times[None]))
        seconds.append(min(times["codec"]))
    return ReadingCost(statistics.median(ratios), statistics.median(seconds), len(ratios)) if ratios else None


def boxes_of(path: str, index: np.ndarray[Any, Any], geometry: Geometry) -> list[np.ndarray[Any, Any]] | None:
    """The true boxes of the clip's frames in pixels of the result; None without a file of boxes beside the video."""
    truth = read_boxes(path)
    if truth is None:
        return None
    whole = read_video_info(path)
    native = centre_crop(whole.height, whole.width, size=geometry.size[0])
    none = np.empty((0, 4))  # the file of boxes ends at the last frame with a box
    return [native.boxes(truth[i] if i < len(truth) else none) for i in index.tolist()]


def _mean(name: str, clips: list[MaskStatistics], *, steps: int) -> MaskMeasure:
    def average(values: list[float | None]) -> float | None:
        """The mean of the known values; None if none is known."""
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return MaskMeasure(
        name,
        average([clip.object_share for clip in clips]),
        average([clip.motion_share for clip in clips]),
        average([clip.step_iou for clip in clips]),
        round(sum(clip.fallback_share for clip in clips) * steps),
        steps * len(clips),
        len(clips),
    )
