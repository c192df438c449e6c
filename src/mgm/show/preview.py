"""Previews of masks before training: frames, motion and masks side by side, with statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from mgm.data.boxes import read_boxes
from mgm.data.clips.images import probe_any, read_any
from mgm.data.clips.sampling import middle_start
from mgm.data.clips.transform import Geometry
from mgm.errors import ConfigError
from mgm.masks import (
    DrawStatistics,
    Mask,
    MaskStatistics,
    TokenMask,
    build_mask,
    draw_statistics,
    mask_rng,
    mask_statistics,
)
from mgm.notebook import Pictured, draw
from mgm.show.figures import RgbFrames, colour_motion, hide_masked, motion_scale, paint_mask
from mgm.show.filmstrip import strip
from mgm.show.panels import clip_rate, clip_times, write_panels
from mgm.show.report.elements import Legend, Strip
from mgm.video import MotionField
from mgm.video.clip.reader import Clip
from mgm.video.clip.rgb import upright_region
from mgm.video.motion.names import CameraModel, MotionName, Policy, Reading


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """Clips, masks and draws of a preview.

    Attributes:
        frames, stride, size: as for `mgm.read_clip`.
        patch, tubelet: pixels and frames of a token.
        ratio: share of hidden tokens.
        masks: names of the masks to show.
        options: options of each mask by name.
        motion: "auto", "codec", "flow", "difference", or None to read frames only; see `mgm.read_clip`.
        policy, camera, reading: of the motion, as for `mgm.read_clip`.
        seed: of the masks.
        draws: number of masks of each kind in the statistics over draws; the pictures show the first.
        origin: the recipe or run that the settings come from, for the sheet.
    """

    frames: int = 16
    stride: int = 4
    size: int = 224
    patch: int = 16
    tubelet: int = 2
    ratio: float = 0.75
    masks: tuple[str, ...] = ("mgm",)
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    motion: MotionName | None = "auto"
    policy: Policy = "window_sum"
    camera: CameraModel = "none"
    reading: Reading = "clean"
    seed: int = 0
    draws: int = 100
    origin: str = ""

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) tokens; ConfigError if the clip does not divide into tokens."""
        if self.size % self.patch or self.frames % self.tubelet:
            raise ConfigError(
                "preview",
                f"{self.frames} frames of {self.size} pixels do not divide into tokens of {self.tubelet} x {self.patch} x "
                f"{self.patch}",
                advice="choose --size as a multiple of --patch and --frames as one of --tubelet",
                reason="mismatch",
            )
        return self.frames // self.tubelet, self.size // self.patch, self.size // self.patch

    def rule(self, name: str) -> Mask:
        """The mask of a name with its options. Raises MaskError for an unknown name or option."""
        return build_mask(name, **dict(self.options.get(name, {})))


class PreviewModel(Protocol):
    """A model whose work a preview shows; `mgm.show.preview_model` makes one of a run."""

    def reconstruct(self, frames: RgbFrames, mask: TokenMask) -> RgbFrames:
        """The clip uint8 (T, H, W, 3) with its hidden tokens predicted."""

    def attend(self, frames: RgbFrames) -> tuple[npt.NDArray[np.float32], tuple[int, int, int]]:
        """The attention (t, h, w) of a token of the clip, and that token."""


@dataclass(frozen=True, slots=True, eq=False)
class Preview(Pictured):
    """One clip with its masks.

    Attributes:
        clip: the clip as read.
        masks, statistics, draws: by name of the mask: the one shown, its statistics, and those over many draws.
        boxes: true boxes per frame in pixels of `clip.frames`; None without a file of boxes.
        settings: of the clip and the masks.
        model: for the rows `reconstruction` and `attention`.
    """

    clip: Clip
    masks: dict[str, TokenMask]
    statistics: dict[str, MaskStatistics]
    draws: dict[str, DrawStatistics]
    boxes: list[npt.NDArray[np.float64]] | None
    settings: PreviewSettings = field(default_factory=PreviewSettings)
    model: PreviewModel | None = None

    def show(self, *, columns: int = 8) -> Image.Image:
        """The contact sheet as a `PIL.Image.Image`; see `mgm.show.preview_sheet.draw_preview`."""
        return draw("preview_sheet", self, columns=columns)

    def __repr__(self) -> str:
        return f"Preview({self.clip!r}, masks {', '.join(self.masks)})"

    @property
    def full_scale(self) -> float:
        """Pixels per step shown at full colour."""
        return 1.0 if self.clip.motion is None else motion_scale(self.clip.motion.vectors)

    def rows(self) -> list[tuple[str, RgbFrames]]:
        """Labelled clips: frames, motion, one per mask."""
        frames = self.clip.frames
        rows = [("frames", frames)]
        if self.clip.motion is not None:
            rows.append(("motion", motion_picture(self.clip.motion, frames.shape[1:3], full_scale=self.full_scale)))
        rows += [(name, paint_mask(frames, mask.masked, boxes=self.boxes)) for name, mask in self.masks.items()]
        return rows

    def notes(self) -> dict[str, tuple[str, ...]]:
        """The statistics over draws of each mask, in short lines."""
        return {name: _notes(found) for name, found in self.draws.items()}

    def strip(self, *, caption: str = "", legend: Legend | None = None, columns: int = 8) -> Strip:
        """The same for a report."""
        times = clip_times(self.clip.pts_seconds)
        return strip(self.rows(), columns=columns, times=times, caption=caption, legend=legend)

    def write_video(self, path: str | Path, *, rounds: int = 3) -> None:
        """Write frames, motion and what the encoder sees with each mask, side by side, `rounds` times; see `write_panels`."""
        rows = [row for row in self.rows() if row[0] not in self.masks]
        rows += [(name, hide_masked(self.clip.frames, mask.masked)) for name, mask in self.masks.items()]
        write_panels(path, rows, fps=clip_rate(self.clip.pts_seconds), notes=self.notes(), rounds=rounds)


def motion_picture(motion: MotionField, size: tuple[int, int], *, full_scale: float | None = None) -> RgbFrames:
    """The field in colour; cells without a measured vector show the one filled in."""
    return colour_motion(motion.vectors, extent=motion.extent, size=size, full_scale=full_scale)


def preview_clip(
    path: str | Path,
    *,
    start: int | None = None,
    settings: PreviewSettings,
    boxes: str | Path | None = None,
    model: PreviewModel | None = None,
) -> Preview:
    """Read one clip and draw its masks; `start=None` takes the middle of the video. `boxes`: see `preview`.

    Raises:
        VideoError: the video cannot be read.
        DataError, MaskError: its boxes cannot be read, or the masks do not fit it.
    """
    grid = settings.grid
    info = probe_any(str(path))
    if start is None:
        start = middle_start(info.frames, frames=settings.frames, stride=settings.stride)
    clip = read_any(
        str(path),
        start=start,
        frames=settings.frames,
        stride=settings.stride,
        size=settings.size,
        motion=settings.motion,
        policy=settings.policy,
        camera=settings.camera,
        reading=settings.reading,
    )
    shown = true_boxes(path, clip.frame_indices.tolist(), settings.size, file=boxes)
    extent = (float(settings.size), float(settings.size))
    masks: dict[str, TokenMask] = {}
    statistics: dict[str, MaskStatistics] = {}
    draws: dict[str, DrawStatistics] = {}
    for name in settings.masks:
        rule = settings.rule(name)
        motion = clip.motion if rule.uses_motion else None
        drawn = [
            rule.draw(grid, settings.ratio, motion, mask_rng(settings.seed, epoch, start, 0))
            for epoch in range(settings.draws)
        ]
        masks[name] = drawn[0]
        statistics[name] = mask_statistics(drawn[0], motion=clip.motion, boxes=shown, extent=extent)
        draws[name] = draw_statistics(drawn, motion=clip.motion, boxes=shown, extent=extent)
    return Preview(clip, masks, statistics, draws, shown, settings, model)


def true_boxes(
    path: str | Path, frames: Sequence[int], size: int, *, file: str | Path | None = None
) -> list[npt.NDArray[np.float64]] | None:
    """The true boxes of a video's frames in the pixels of its clip of `size` x `size`: per frame (n, 4), see `read_boxes`."""
    truth = read_boxes(path, file=file)
    if truth is None:
        return None
    info = probe_any(str(path))
    box = upright_region(info.height, info.width, size, "centre")
    geometry = Geometry((info.height, info.width), box, (size, size))
    none = np.empty((0, 4), np.float32)  # the file of boxes ends at the last frame with a box
    return [geometry.boxes((truth[i] if i < len(truth) else none).astype(np.float64)) for i in frames]


def _notes(found: DrawStatistics) -> tuple[str, ...]:
    places = found.visibility[0].size
    hidden = [f"hidden {found.ratio:.0%}"]
    hidden += [f"motion {found.motion_share:.0%}"] if found.motion_share is not None else []
    objects = [f"object {found.object_share:.0%}"] if found.object_share is not None else []
    overlap = [f"IoU of steps {found.step_iou:.2f}"] if found.step_iou is not None else []
    overlap += [f"of draws {found.overlap:.2f}"] if found.overlap is not None else []
    never = [f"never visible {found.never_visible} of {places}"]
    never += [f"fallback {found.fallback_share:.0%}"] if found.fallback_share else []
    return tuple(", ".join(words) for words in (hidden + objects, overlap, never) if words)
