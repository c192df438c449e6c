"""Masks for training code that is not ours: a data set that adds one to every sample, and a batch of masks as a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.utils.data

from mgm.errors import DataError, MaskError
from mgm.masks import Mask, TokenMask, build_mask, mask_rng
from mgm.masks.grid import Grid
from mgm.masks.kernels import compile_kernels


class Clips(Protocol):
    """Any map-style data set of dictionaries."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


def collate_masks(masks: Sequence[TokenMask], *, flat: bool = False) -> torch.Tensor:
    """Masks of clips as one tensor: bool (B, t, h, w), or (B, t * h * w) with `flat`, True = hidden from the encoder.

    The flat form is `bool_masked_pos` of Hugging Face's VideoMAE, whose tokens are in the same order (t, h, w); its `tubelet_size`
    and `patch_size` are what makes a clip of frames x height x width the grid t x h x w.

    Raises:
        MaskError: no mask, or masks of different grids or counts; an encoder of visible tokens needs equal counts in a batch.
    """
    if not masks:
        raise MaskError("collate_masks: found no mask, expected at least one; leave empty batches out")
    first = masks[0].masked
    for number, mask in enumerate(masks):
        if mask.masked.shape != first.shape or mask.masked.sum() != first.sum():
            raise MaskError(
                f"collate_masks: mask {number} hides {mask.masked.sum()} tokens of {mask.masked.shape}, expected "
                f"{first.sum()} of {first.shape} as the first one; draw all with one grid and one ratio"
            )
    stacked = torch.stack([torch.from_numpy(mask.masked) for mask in masks])
    return stacked.flatten(1) if flat else stacked


class MaskedClips(torch.utils.data.Dataset[dict[str, Any]]):
    """A data set whose samples get a mask, the same in any number of workers, in any order and on any rank::

        clips = mgm.MaskedClips(my_clips, "mgm", grid=(8, 14, 14), ratio=0.75)
        loader = DataLoader(clips, batch_size=8, shuffle=True, num_workers=4)
        for epoch in range(epochs):
            clips.set_epoch(epoch)
            for batch in loader:                      # {"pixel_values": ..., "bool_masked_pos": bool (8, 1568)}
                loss = hugging_face_model(**batch).loss

    Args:
        clips: your own data set; its samples are dictionaries. It is asked for `clips[index]` and for its length.
        mask: a name of `mgm.list_masks()`, or a mask from `mgm.masks.build_mask`.
        grid: tokens (t, h, w) of a clip: frames / tubelet, height / patch, width / patch.
        ratio: share of tokens to hide, in (0, 1).
        motion: the key of a sample's motion, a field as `mgm.read_clip` gives it or an array (T, gh, gw, 2); it is taken out of the
            sample, since PyTorch cannot batch a field. Masks that ignore motion need none.
        key: where the mask is put, bool (t * h * w,), True = hidden; Hugging Face's name by default.
        seed: of the masks. A mask is a pure function of (seed, epoch, index).
        options: of the mask, where it is given by name.

    Raises:
        MaskError: unknown name or option, or grid and ratio that leave nothing to hide or to see.
    """

    def __init__(
        self,
        clips: Clips,
        mask: str | Mask,
        *,
        grid: Grid,
        ratio: float,
        motion: str = "motion",
        key: str = "bool_masked_pos",
        seed: int = 0,
        **options: object,
    ) -> None:
        self.clips = clips
        self.mask = build_mask(mask, **options)
        self.mask.count(grid, ratio)  # a grid or a ratio that cannot be is found here, not in a worker
        compile_kernels()  # so that workers inherit them, instead of compiling or loading them each on its own
        self.grid, self.ratio, self.motion, self.key, self.seed = grid, ratio, motion, key, seed
        # In shared memory: workers that live through many epochs see the number change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Draw other masks from now on. Call it before each pass over the loader, as for PyTorch's DistributedSampler."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The sample without its motion, with its mask.

        Raises:
            DataError: the sample is no dictionary, or has no motion for a mask that follows it.
        """
        if not 0 <= index < len(self):  # ends a plain `for`, which knows no length
            raise IndexError(f"clip {index} of {len(self)}")
        sample = self.clips[index]
        if not isinstance(sample, Mapping):
            raise DataError(
                f"clip {index}: found {type(sample).__name__}, expected a dictionary such as "
                f"{{'pixel_values': ..., '{self.motion}': ...}}; return one from __getitem__"
            )
        if self.mask.uses_motion and self.motion not in sample:
            raise DataError(
                f"clip {index}: found {', '.join(map(str, sample)) or 'nothing'}, expected {self.motion!r} for the mask "
                f"{self.mask.name}, which follows motion; add it (None where a clip has none), or name its key with motion="
            )
        rest = {name: value for name, value in sample.items() if name != self.motion}
        rng = mask_rng(self.seed, int(self._epoch), index, 0)
        drawn = self.mask.draw(self.grid, self.ratio, sample.get(self.motion), rng)
        return rest | {self.key: torch.from_numpy(drawn.flat)}
