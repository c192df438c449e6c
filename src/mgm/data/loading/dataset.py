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
from mgm.data.clips.transform import CropName, draw_geometry
from mgm.data.items import VideoItem, part_length, paths_of
from mgm.data.loading.patch_motion import measured_share, patch_motion
from mgm.data.loading.tensors import to_video
from mgm.data.unreadable import Unreadable, read_or_substitute
from mgm.errors import DataError
from mgm.masks import Mask, TokenMask, mask_rng
from mgm.masks.ratio_schedule import RatioSchedule
from mgm.spans import span
from mgm.video import MotionField
from mgm.workers.process import BeginItem

SampleKey = tuple[int, int]
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
        ratio: of the first step, and of all others without a schedule.
        decode: a second mask on the same grid; hidden tokens that it leaves visible are reconstructed. None: all hidden tokens.
        keep_motion: samples include their motion, for a model that predicts it.
        measured_motion: the kept motion is NaN in patches of which less than half was measured; otherwise they have that of a
            neighbour in time.
        motion_parts: parts per side of a patch whose motion is kept: h and w of `Sample.motion` are those of the grid times this.
        schedule: the ratio over the run; None: constant.
    """

    mask: Mask
    grid: tuple[int, int, int]
    ratio: float
    decode: MaskRule | None = None
    keep_motion: bool = False
    measured_motion: bool = False
    motion_parts: int = 1
    schedule: RatioSchedule | None = None

    def at(self, progress: float) -> MaskRule:
        """The rule of one step, without a schedule. progress: 0 the first step of the run, 1 the last."""
        return self if self.schedule is None else replace(self, ratio=self.schedule.at(progress), schedule=None)

    @property
    def hidden(self) -> int:
        """Hidden tokens of a clip at `ratio`; the most where it varies."""
        return self.mask.count(self.grid, self.ratio) * (self.grid[0] if self.mask.equal_steps else 1)

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
        items: with `ClipTransform.stills` the still pictures come last.
        repeats: number of samples per decoded clip, each with its own crop and mask (repeated augmentation). The first one is the
            same for any number.

    Attributes:
        pictures: number of still pictures among the items if they have clips of their own; else 0.
    """

    def __init__(
        self,
        items: Sequence[VideoItem],
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
        self._paths = paths_of(items)
        self.source = source
        self.settings = settings
        self.transform = transform
        self.sampler = transform.sampler or Sampler(settings.frames, settings.stride)
        self.seed = seed
        self.repeats = repeats
        self.pictures = 0 if transform.stills is None else sum(map(is_picture, self._paths))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: SampleKey) -> Sample:
        """The first sample of `read`."""
        return self.read(key)[0]

    def read(self, key: SampleKey, begin_item: BeginItem | None = None, progress: float = 0.0) -> list[Sample]:
        """The `repeats` samples of one clip, of another video if this one is unreadable; only the first reports unreadable videos.

        progress: place of the step in the run, see `MaskRule.at`.

        Raises:
            DataError: as `read_or_substitute`.
        """
        epoch, index = key

        def draw(number: int, attempt: int, failed: tuple[Unreadable, ...]) -> list[Sample]:
            """The samples of video `number`, which is tried after those of `failed`."""
            if begin_item is not None:
                begin_item(number)
            return self._draw(epoch, number, attempt, failed, progress)

        return read_or_substitute(draw, self._paths, index=index, seed=self.seed, epoch=epoch, among=self._alike(index))

    def _alike(self, index: int) -> range:
        """The videos that may take the place of one: in batches of one kind, those of its kind."""
        first_picture = len(self) - self.pictures
        return range(first_picture) if index < first_picture else range(first_picture, len(self))

    def _draw(
        self, epoch: int, index: int, attempt: int, failed: tuple[Unreadable, ...], progress: float
    ) -> list[Sample]:
        item = self.items[index]
        info = self.source.info(item.path)
        rng = np.random.default_rng([self.seed, epoch, index, attempt, _CLIP])
        step = info.step if item.start % info.step == 0 else 1  # the file's grid, in frames of the part
        frames = item.start + self.sampler.train(part_length(item, info), rng=rng, step=step)
        settings, rule, stills = self.settings, self.transform.rule, self.transform.stills
        if stills is not None and is_picture(item.path):
            settings, rule, frames = replace(settings, frames=stills.frames), stills.rule, frames[: stills.frames]
        rule = None if rule is None else rule.at(progress)
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
