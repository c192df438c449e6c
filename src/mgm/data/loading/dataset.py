"""Samples of a set of videos: clips with mask and label, each a function of the seed, the epoch and the index of its video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.data

from mgm.data.clips.images import is_picture
from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSettings, ClipSource
from mgm.data.clips.transform import CropName, centre_crop, draw_geometry, spatial_views
from mgm.data.items import VideoItem
from mgm.data.unreadable import READ_ERRORS, Unreadable, read_or_substitute
from mgm.errors import DataError, VideoError
from mgm.masks import Mask, TokenMask, mask_rng
from mgm.spans import span
from mgm.video import MotionField
from mgm.video.container.metadata import VideoInfo
from mgm.video.motion.field import CELL_PIXELS
from mgm.workers.process import BeginItem

Key = tuple[int, int]
"""(epoch, index of the video in the set)."""

# Last numbers of the seeds of generators, which keep their draws apart. Masks have generators of their own, see `mask_rng`.
_CLIP, _DECODE = 1, 6


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training clip.

    Attributes:
        video: uint8 (3, T, H, W), RGB.
        mask: bool (t, h, w), True = hidden from the encoder; None without a mask rule.
        fallback: fraction of the mask's steps that had no motion to follow.
        label: index of the class, -1 without a label.
        index: index of the video that was read.
        unreadable: videos that could not be read and that this sample replaces.
        key: (epoch, index, repeat), the seed of later random changes; see `mgm.data.augment.batch`.
        decode: bool (t, h, w), True = reconstruct this token if it is hidden; None: reconstruct all.
        motion: float32 (T, h, w, 2), mean displacement (dx, dy) of every patch in pixels of the clip, NaN where it was not measured
            (see `MaskRule.measured_motion`), of every part of a patch with `MaskRule.motion_parts`; None unless requested.
        decode_fallback: as `fallback`, of the mask that `decode` comes from.
        measured: the motion was measured on the decoded frames, not read from the stream.
    """

    video: torch.Tensor
    mask: npt.NDArray[np.bool_] | None
    fallback: float
    label: int
    index: int
    unreadable: tuple[Unreadable, ...] = ()
    key: tuple[int, int, int] = (0, 0, 0)
    decode: npt.NDArray[np.bool_] | None = None
    motion: npt.NDArray[np.float32] | None = None
    decode_fallback: float = 0.0
    measured: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class MaskRule:
    """The mask of every clip, with its token grid (t, h, w) and its ratio.

    Attributes:
        decode: a second mask on the same grid; hidden tokens that it leaves visible are reconstructed. None: all hidden tokens.
        keep_motion: samples include their motion, for a model that predicts it.
        measured_motion: the kept motion is NaN in patches of which less than half was measured; otherwise they have that of a
            neighbour in time.
        motion_parts: parts per side of a patch whose motion is kept: h and w of `Sample.motion` are those of the grid times this.
    """

    mask: Mask
    grid: tuple[int, int, int]
    ratio: float
    decode: MaskRule | None = None
    keep_motion: bool = False
    measured_motion: bool = False
    motion_parts: int = 1

    @property
    def motion_grid(self) -> tuple[int, int]:
        """(rows, columns) of the kept motion."""
        return self.grid[1] * self.motion_parts, self.grid[2] * self.motion_parts

    @property
    def uses_motion(self) -> bool:
        """Whether the motion of the clips must be read."""
        return self.keep_motion or self.mask.uses_motion or (self.decode is not None and self.decode.mask.uses_motion)


@dataclass(frozen=True, slots=True)
class Stills:
    """How still pictures become clips of their own length: repeated over `frames` frames, with the masks of `rule`."""

    frames: int
    rule: MaskRule


@dataclass(frozen=True, slots=True)
class ClipTransform:
    """The random choices from a video to a training clip: which frames, which crop, mirrored or not, which mask.

    Attributes:
        crop: kind of the crop.
        flip: mirror half of the clips, at random.
        rule: None: samples have no mask.
        sampler: None: dense clips with the frames and the stride of the settings.
        stills: of still pictures; a batch then has clips of one kind (`BatchOrder.pictures`). None: they are still videos.
    """

    crop: CropName
    flip: bool
    rule: MaskRule | None = None
    sampler: Sampler | None = None
    stills: Stills | None = None


class ClipSet(torch.utils.data.Dataset[Sample]):
    """Random clips of videos, one per (epoch, index), the same in any process and any order.

    Another video, chosen from the same numbers, replaces a video that cannot be read; see `Sample.unreadable`.

    Args:
        repeats: number of samples per decoded clip, each with its own crop and mask (repeated augmentation). The first one is the
            same for any number.
    """

    def __init__(
        self,
        items: tuple[VideoItem, ...],
        source: ClipSource,
        settings: ClipSettings,
        transform: ClipTransform,
        *,
        seed: int,
        repeats: int = 1,
    ) -> None:
        if not items:
            raise DataError(
                "", "the set has no videos", "at least one", "check the folder with 'mgm scan'", reason="not_found"
            )
        self.items = items
        self._paths = tuple(item.path for item in items)
        self.source = source
        self.settings = settings
        self.transform = transform
        self.sampler = transform.sampler or Sampler(settings.frames, settings.stride)
        self.seed = seed
        self.repeats = repeats

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Key) -> Sample:
        """The first sample of `read`."""
        return self.read(key)[0]

    def read(self, key: Key, begin_item: BeginItem | None = None) -> list[Sample]:
        """The `repeats` samples of one clip, of another video if this one is unreadable; only the first reports unreadable videos.

        Raises:
            DataError: as `read_or_substitute`.
        """
        epoch, index = key

        def draw(number: int, attempt: int, failed: tuple[Unreadable, ...]) -> list[Sample]:
            if begin_item is not None:
                begin_item(number)
            return self._draw(epoch, number, attempt, failed)

        return read_or_substitute(draw, self._paths, index=index, seed=self.seed, epoch=epoch)

    def _draw(self, epoch: int, index: int, attempt: int, failed: tuple[Unreadable, ...]) -> list[Sample]:
        item = self.items[index]
        info = self.source.info(item.path)
        rng = np.random.default_rng([self.seed, epoch, index, attempt, _CLIP])
        step = info.step if item.start % info.step == 0 else 1  # the file's grid, in frames of the part
        frames = item.start + self.sampler.train(part_length(item, info), rng=rng, step=step)
        settings, rule, stills = self.settings, self.transform.rule, self.transform.stills
        if stills is not None and is_picture(item.path):
            settings, rule, frames = replace(settings, frames=stills.frames), stills.rule, frames[: stills.frames]
        crop, flip = self.transform.crop, self.transform.flip
        geometries = [
            draw_geometry(crop, info.height, info.width, size=self.settings.size, flip=flip, rng=rng)
            for _ in range(self.repeats)
        ]
        samples = []
        for repeat, view in enumerate(self.source.clips(item.path, frames, geometries, settings)):
            with span("mask"):
                mask = self._draw_mask(rule, epoch, index, repeat, view.motion)
                decode = self._draw_decode(epoch, index, repeat, view.motion)
            samples.append(
                Sample(
                    video=to_video(view.frames),
                    mask=None if mask is None else mask.masked,
                    fallback=0.0 if mask is None else float(mask.fallback.mean()),
                    label=-1 if item.label is None else item.label,
                    index=index,
                    unreadable=() if repeat else failed,
                    key=(epoch, index, repeat),
                    decode=None if decode is None else decode.visible,
                    motion=self._patch_motion(item.path, view.motion),
                    decode_fallback=0.0 if decode is None else float(decode.fallback.mean()),
                    measured=view.motion is not None and view.motion.source != "codec",
                )
            )
        return samples

    def _draw_mask(
        self, rule: MaskRule | None, epoch: int, index: int, repeat: int, motion: MotionField | None
    ) -> TokenMask | None:
        if rule is None:
            return None
        return rule.mask.draw(rule.grid, rule.ratio, motion, mask_rng(self.seed, epoch, index, repeat))

    def _draw_decode(self, epoch: int, index: int, repeat: int, motion: MotionField | None) -> TokenMask | None:
        rule = None if self.transform.rule is None else self.transform.rule.decode
        if rule is None:
            return None
        rng = np.random.default_rng([self.seed, epoch, index, repeat, _DECODE])
        return rule.mask.draw(rule.grid, rule.ratio, motion, rng)

    def _patch_motion(self, path: str, motion: MotionField | None) -> npt.NDArray[np.float32] | None:
        rule = self.transform.rule
        if rule is None or not rule.keep_motion:
            return None
        if motion is None:
            raise DataError(
                path,
                "read without motion",
                "motion for a model that predicts it",
                "set data.motion",
                reason="missing_value",
            )
        found = patch_motion(motion, rule.motion_grid)
        if rule.measured_motion:
            found[measured_share(motion, rule.motion_grid) < 0.5] = np.nan
        return found


class ViewSet(torch.utils.data.Dataset["Views"]):
    """The views of every video: `temporal` clips, as the sampler takes them, x up to three crops along the longer side."""

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
            raise DataError(
                "spatial views", f"{spatial}", "1 (the centre) or 3 (both ends and the centre)", reason="invalid_value"
            )
        self.items = items
        self.source = source
        self.settings = settings
        self.sampler = sampler or Sampler(settings.frames, settings.stride)
        self.temporal = temporal
        self.spatial = spatial

    @property
    def most(self) -> int:
        """Largest number of views of a video; short and square ones have fewer."""
        return self.temporal * self.spatial

    def part(self, indexes: Sequence[int]) -> ViewSet:
        """The views of some videos."""
        items = tuple(self.items[index] for index in indexes)
        return ViewSet(
            items, self.source, self.settings, temporal=self.temporal, spatial=self.spatial, sampler=self.sampler
        )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Views:
        return self.read(index)

    def read(self, index: int, begin_item: BeginItem | None = None) -> Views:
        """The views of one video, ordered by time, then by position along the longer side."""
        item = self.items[index]
        settings = self.settings
        label = -1 if item.label is None else item.label
        try:
            if begin_item is not None:
                begin_item(index)
            info = self.source.info(item.path)
            size = settings.size
            crops = (
                spatial_views(info.height, info.width, size=size)
                if self.spatial == 3
                else [centre_crop(info.height, info.width, size=size)]
            )
            chosen = [item.start + f for f in self.sampler.views(part_length(item, info), count=self.temporal)]
            views = [view for frames in chosen for view in self.source.clips(item.path, frames, crops, settings)]
        except READ_ERRORS as error:
            return Views(torch.empty(0), label, index, Unreadable.from_error(item.path, error).message)
        places = ViewPlaces(
            frame_indices=np.repeat(chosen, len(crops), axis=0),
            pts_seconds=np.stack([view.pts_seconds for view in views]),
            crop=np.tile(np.arange(len(crops)), len(chosen)),
        )
        return Views(torch.stack([to_video(view.frames) for view in views]), label, index, places=places)


@dataclass(frozen=True, slots=True, eq=False)
class ViewPlaces:
    """The part of its video that each of V views shows.

    Attributes:
        frame_indices: int64 (V, T), ascending; numbers repeat if a video is too short.
        pts_seconds: float64 (V, T), their presentation times; NaN where the video has none.
        crop: int64 (V,), number of the crop along the longer side, from 0; 0 if there is one.
    """

    frame_indices: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    crop: npt.NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[ViewPlaces]) -> ViewPlaces:
        """The places of the views of several videos, one after the other."""
        return cls(
            np.concatenate([part.frame_indices for part in parts]),
            np.concatenate([part.pts_seconds for part in parts]),
            np.concatenate([part.crop for part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """All views of one video.

    Attributes:
        video: uint8 (views, 3, T, H, W); empty if the video could not be read.
        problem: the reason why it could not be read, with its path; None if it was read.
        places: of the views in the video; None if it could not be read.
    """

    video: torch.Tensor
    label: int
    index: int
    problem: str | None = None
    places: ViewPlaces | None = None


def part_length(item: VideoItem, info: VideoInfo) -> int:
    """Number of frames in the part of a video that an item refers to. Raises VideoError if the part is empty."""
    end = info.frames if item.end is None else min(item.end, info.frames)
    if end <= item.start:
        raise VideoError(
            item.path,
            f"has {info.frames} frames",
            f"the annotated frames {item.start} to {'the end' if item.end is None else item.end}",
            "correct the annotation, or remove the line",
            reason="mismatch",
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


def measured_share(field: MotionField, grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The fraction of each patch whose motion was measured: float64 (T, h, w), weighted as in `patch_motion`."""
    down, across = (_cell_weights(length, patches) for length, patches in zip(field.extent, grid, strict=True))
    valid = field.valid[:, : down.shape[1], : across.shape[1]]
    share: npt.NDArray[np.float64] = np.einsum("ir,trc,jc->tij", down, valid, across, optimize=True)
    return share


def _cell_weights(length: int, patches: int) -> npt.NDArray[np.float64]:
    """float64 (patches, cells): fraction of each patch, on a side of `length` pixels, that each 8-px cell covers; rows sum to 1."""
    begin = np.arange(patches)[:, None] * length / patches
    end = begin + length / patches
    cell = np.arange(-(-length // CELL_PIXELS)) * CELL_PIXELS
    shared = np.minimum(end, np.minimum(cell + CELL_PIXELS, length)) - np.maximum(begin, cell)
    weights: npt.NDArray[np.float64] = np.maximum(shared, 0) * patches / length
    return weights
