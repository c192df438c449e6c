"""Samples: clips with their masks, label and number, drawn from nothing but (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.data

from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSettings, ClipSource
from mgm.data.clips.transform import Crop, centre_crop, draw_geometry, spatial_views
from mgm.data.items import VideoItem
from mgm.errors import DataError, VideoError
from mgm.masks import Mask, mask_rng
from mgm.video import MotionField
from mgm.video.container.metadata import VideoInfo
from mgm.video.motion.field import CELL_PIXELS

Key = tuple[int, int]
"""(epoch, index of the video in the set)."""

Guard: TypeAlias = Callable[[int], None]
"""Told the number of a video before it is read. Raises VideoError where it is known that reading it does not end well."""

TRIES = 8
"""Substitutes that are tried for a video that cannot be read before the run is stopped."""

# The last number of a generator's seed keeps its draws apart from the others'; masks have their own, see `mask_rng`.
_CLIP, _SUBSTITUTE, _DECODE = 1, 3, 6


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
        key: (epoch, index, repeat): what names the draw, for changes that are made of it later; see `mgm.data.augment.batch`.
        decode: bool (t, h, w), True = reconstruct this token where it is hidden; None: all of them.
        motion: float32 (T, h, w, 2), mean displacement (dx, dy) of every patch in pixels of the clip; None where not asked for.
        decode_fallback: as `fallback`, of the mask that `decode` comes from.
        measured: the motion was measured on the pictures, not read from the stream.
    """

    video: torch.Tensor
    mask: npt.NDArray[np.bool_] | None
    fallback: float
    label: int
    index: int
    problems: tuple[tuple[str, str], ...] = ()
    key: tuple[int, int, int] = (0, 0, 0)
    decode: npt.NDArray[np.bool_] | None = None
    motion: npt.NDArray[np.float32] | None = None
    decode_fallback: float = 0.0
    measured: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class MaskRule:
    """Which mask is drawn for each clip, on which token grid (t, h, w), with which ratio.

    Attributes:
        decode: a second mask on the same grid; hidden tokens that it shows are reconstructed. None: all hidden ones.
        keep_motion: the samples bring their motion along, for a model that predicts it.
    """

    mask: Mask
    grid: tuple[int, int, int]
    ratio: float
    decode: MaskRule | None = None
    keep_motion: bool = False

    @property
    def uses_motion(self) -> bool:
        """The motion of the clips must be read."""
        return self.keep_motion or self.mask.uses_motion or (self.decode is not None and self.decode.mask.uses_motion)


class ClipSet(torch.utils.data.Dataset[Sample]):
    """Random clips of videos, one per (epoch, index), the same in any process and any order.

    A video that cannot be read is replaced by another one, chosen from the same numbers, and named in `Sample.problems`.

    Args:
        repeats: how many samples are made of one decoded clip, each with its own crop and mask (repeated augmentation). The first
            one is the same for any number.
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
        repeats: int = 1,
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
        self.repeats = repeats

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Key) -> Sample:
        """The first sample of `read`."""
        return self.read(key)[0]

    def read(self, key: Key, guard: Guard | None = None) -> list[Sample]:
        """The `repeats` samples of one clip; only the first has `problems`.

        Raises:
            DataError: `TRIES` videos in a row could not be read.
        """
        epoch, index = key
        problems: list[tuple[str, str]] = []
        for attempt in range(TRIES):
            try:
                if guard is not None:
                    guard(index)
                return self._draw(epoch, index, attempt, tuple(problems))
            except (VideoError, OSError) as error:  # a disk or a network that fails is no reason to stop, either
                path = self.items[index].path
                problems.append((path, str(error) if isinstance(error, VideoError) else f"{path}: {error}"))
                # From numbers of its own, so that it does not matter how far reading came.
                rng = np.random.default_rng([self.seed, epoch, index, attempt, _SUBSTITUTE])
                index = int(rng.integers(len(self.items)))
        raise DataError(
            f"{TRIES} videos in a row could not be read, the last one: {problems[-1][1]}; check the set with 'mgm scan'"
        )

    def _draw(self, epoch: int, index: int, attempt: int, problems: tuple[tuple[str, str], ...]) -> list[Sample]:
        item = self.items[index]
        info = self.source.info(item.path)
        rng = np.random.default_rng([self.seed, epoch, index, attempt, _CLIP])
        step = info.step if item.start % info.step == 0 else 1  # the file's grid, in frames of the part
        frames = item.start + self.sampler.train(part_length(item, info), rng=rng, step=step)
        geometries = [
            draw_geometry(self.crop, info.height, info.width, size=self.settings.size, flip=self.flip, rng=rng)
            for _ in range(self.repeats)
        ]
        label = -1 if item.label is None else item.label
        samples = []
        for repeat, (pixels, motion) in enumerate(self.source.clips(item.path, frames, geometries, self.settings)):
            mask, fallback = self._mask(epoch, index, repeat, motion)
            named = () if repeat else problems
            key = (epoch, index, repeat)
            decode, second = self._decode(epoch, index, repeat, motion)
            kept = self._kept(item.path, motion)
            measured = motion is not None and motion.source != "codec"
            samples.append(
                Sample(to_video(pixels), mask, fallback, label, index, named, key, decode, kept, second, measured)
            )
        return samples

    def _mask(
        self, epoch: int, index: int, repeat: int, motion: MotionField | None
    ) -> tuple[npt.NDArray[np.bool_] | None, float]:
        if self.rule is None:
            return None, 0.0
        rng = mask_rng(self.seed, epoch, index, repeat)
        drawn = self.rule.mask.draw(self.rule.grid, self.rule.ratio, motion, rng)
        return drawn.masked, float(drawn.fallback.mean())

    def _decode(
        self, epoch: int, index: int, repeat: int, motion: MotionField | None
    ) -> tuple[npt.NDArray[np.bool_] | None, float]:
        if self.rule is None or self.rule.decode is None:
            return None, 0.0
        rule = self.rule.decode
        rng = np.random.default_rng([self.seed, epoch, index, repeat, _DECODE])
        drawn = rule.mask.draw(rule.grid, rule.ratio, motion, rng)
        return drawn.visible, float(drawn.fallback.mean())

    def _kept(self, path: str, motion: MotionField | None) -> npt.NDArray[np.float32] | None:
        if self.rule is None or not self.rule.keep_motion:
            return None
        if motion is None:
            raise DataError(
                f"{path}: read without its motion, expected it for a model that predicts it; set data.motion"
            )
        return patch_motion(motion, self.rule.grid[1:])


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
        return self.read(index)

    def read(self, index: int, guard: Guard | None = None) -> Views:
        """The views of one video, in the order of time, then place."""
        item = self.items[index]
        settings = self.settings
        label = -1 if item.label is None else item.label
        try:
            if guard is not None:
                guard(index)
            info = self.source.info(item.path)
            size = settings.size
            crops = (
                spatial_views(info.height, info.width, size=size)
                if self.spatial == 3
                else [centre_crop(info.height, info.width, size=size)]
            )
            views = [
                to_video(pixels)
                for frames in self.sampler.views(part_length(item, info), count=self.temporal)
                for pixels, _ in self.source.clips(item.path, item.start + frames, crops, settings)
            ]
        except (VideoError, OSError) as error:
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


def patch_motion(field: MotionField, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Mean displacement (dx, dy) over each patch: float32 (T, h, w, 2), in the unit of the field.

    Cells are weighted by the area that they share with a patch; the part of a cell beyond the field's extent is ignored. Cells
    without a measurement hold that of a neighbour in time (see `MotionField.valid`) and have the same weight.

    Args:
        grid: (h, w), rows and columns of patches.
    """
    down, across = (_cell_weights(length, patches) for length, patches in zip(field.extent, grid, strict=True))
    rows, columns = down.shape[1], across.shape[1]
    mean: npt.NDArray[np.float32] = np.einsum(
        "ir,trcd,jc->tijd", down, field.vectors[:, :rows, :columns], across, optimize=True
    ).astype(np.float32)
    return mean


def _cell_weights(length: int, patches: int) -> npt.NDArray[np.float64]:
    """float64 (patches, cells): fraction of each patch, on a side of `length` pixels, that each 8-px cell covers; rows sum to 1."""
    begin = np.arange(patches)[:, None] * length / patches
    end = begin + length / patches
    cell = np.arange(-(-length // CELL_PIXELS)) * CELL_PIXELS
    shared = np.minimum(end, np.minimum(cell + CELL_PIXELS, length)) - np.maximum(begin, cell)
    weights: npt.NDArray[np.float64] = np.maximum(shared, 0) * patches / length
    return weights
