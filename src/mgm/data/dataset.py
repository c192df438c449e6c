"""Samples: a clip with its mask, label and number, drawn from nothing but (seed, epoch, index)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.data

from mgm.data.annotations import VideoItem
from mgm.data.sampling import Sampler
from mgm.data.source import ClipSettings, ClipSource
from mgm.data.transform import Crop, centre_crop, draw_geometry, spatial_views
from mgm.errors import DataError, VideoError
from mgm.masks import Mask, mask_rng
from mgm.video.probe import VideoInfo

Key = tuple[int, int]
"""(epoch, index of the video in the set)."""

TRIES = 8
"""Substitutes that are tried for a video that cannot be read before the run is stopped."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training clip.

    Attributes:
        video: uint8 (3, T, H, W), RGB.
        mask: bool (t, h, w), True = hidden from the encoder; None where none is drawn.
        fallback: share of the mask's steps that had no motion to follow.
        label: index of the class, -1 where there is none.
        index: number of the video that was read.
        problems: (path, message) of videos that could not be read and that this sample stands in for.
    """

    video: torch.Tensor
    mask: npt.NDArray[np.bool_] | None
    fallback: float
    label: int
    index: int
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class MaskRule:
    """Which mask is drawn for each clip, on which token grid (t, h, w), with which ratio."""

    mask: Mask
    grid: tuple[int, int, int]
    ratio: float


class ClipSet(torch.utils.data.Dataset[Sample]):
    """Random clips of videos, one per (epoch, index), the same in any worker and any order.

    A video that cannot be read is replaced by another one, chosen from the same numbers, and named in `Sample.problems`.
    """

    def __init__(
        self,
        items: tuple[VideoItem, ...],
        source: ClipSource,
        settings: ClipSettings,
        *,
        rule: MaskRule | None,
        crop: Crop,
        flip: bool,
        seed: int,
        sampler: Sampler | None = None,
    ) -> None:
        if not items:
            raise DataError("the set has no videos, expected at least one; check the folder with 'mgm scan'")
        self.items = items
        self.source = source
        self.settings = settings
        self.sampler = sampler or Sampler(settings.frames, settings.stride)
        self.rule = rule
        self.crop = crop
        self.flip = flip
        self.seed = seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Key) -> Sample:
        epoch, index = key
        problems: list[tuple[str, str]] = []
        for attempt in range(TRIES):
            # The last number keeps these draws apart from those of the mask, which has its own generator.
            rng = np.random.default_rng([self.seed, epoch, index, attempt, 1])
            try:
                return self._draw(epoch, index, rng, tuple(problems))
            except VideoError as error:
                problems.append((self.items[index].path, str(error)))
                index = int(rng.integers(len(self.items)))
        raise DataError(
            f"{TRIES} videos in a row could not be read, the last one: {problems[-1][1]}; check the set with 'mgm scan'"
        )

    def _draw(self, epoch: int, index: int, rng: np.random.Generator, problems: tuple[tuple[str, str], ...]) -> Sample:
        item = self.items[index]
        info = self.source.info(item.path)
        step = info.step if item.start % info.step == 0 else 1  # the file's grid, in frames of the part
        clip = item.start + self.sampler.train(part_length(item, info), rng=rng, step=step)
        geometry = draw_geometry(self.crop, info.height, info.width, size=self.settings.size, flip=self.flip, rng=rng)
        frames, motion = self.source.clip(item.path, clip, geometry, self.settings)
        mask = None
        fallback = 0.0
        if self.rule is not None:
            drawn = self.rule.mask.draw(self.rule.grid, self.rule.ratio, motion, mask_rng(self.seed, epoch, index, 0))
            mask, fallback = drawn.masked, float(drawn.fallback.mean())
        return Sample(to_video(frames), mask, fallback, -1 if item.label is None else item.label, index, problems)


class ViewSet(torch.utils.data.Dataset["Views"]):
    """For every video its views: `temporal` clips, as the sampler takes them, x up to three crops along its longer side."""

    def __init__(
        self,
        items: tuple[VideoItem, ...],
        source: ClipSource,
        settings: ClipSettings,
        *,
        temporal: int,
        spatial: int,
        sampler: Sampler | None = None,
    ) -> None:
        if spatial not in (1, 3):
            raise DataError(f"spatial views: {spatial}, expected 1 (the centre) or 3 (both ends and the centre)")
        self.items = items
        self.source = source
        self.settings = settings
        self.sampler = sampler or Sampler(settings.frames, settings.stride)
        self.temporal = temporal
        self.spatial = spatial

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Views:
        item = self.items[index]
        settings = self.settings
        label = -1 if item.label is None else item.label
        try:
            info = self.source.info(item.path)
            size = settings.size
            crops = (
                spatial_views(info.height, info.width, size=size)
                if self.spatial == 3
                else [centre_crop(info.height, info.width, size=size)]
            )
            clips = [item.start + c for c in self.sampler.views(part_length(item, info), count=self.temporal)]
            views = [to_video(self.source.clip(item.path, c, g, settings)[0]) for c in clips for g in crops]
        except VideoError as error:
            return Views(torch.empty(0), label, index, str(error))
        return Views(torch.stack(views), label, index)


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """All views of one video: `video` uint8 (views, 3, T, H, W); `problem` says why there are none."""

    video: torch.Tensor
    label: int
    index: int
    problem: str | None = None


def part_length(item: VideoItem, info: VideoInfo) -> int:
    """Frames of the part of a video that an item speaks of. Raises VideoError where it has none."""
    end = info.frames if item.end is None else min(item.end, info.frames)
    if end <= item.start:
        raise VideoError(
            f"{item.path}: frames {item.start} to {item.end} are asked for, but the video has {info.frames}; "
            "check the annotation, or take the line out"
        )
    return end - item.start


def to_video(frames: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 (T, H, W, 3) to a uint8 (3, T, H, W) view of the same memory."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)
