"""Masks for other training code: a data set that adds a mask to every sample, and a batch of masks as a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.utils.data

from mgm.errors import DataError, MaskError
from mgm.masks import Mask, TokenMask, build_mask, mask_rng
from mgm.masks.grid import Grid
from mgm.masks.kernels import compile_kernels


class ClipDicts(Protocol):
    """Any map-style data set whose samples are dictionaries."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


def collate_masks(masks: Sequence[TokenMask], *, flat: bool = False) -> torch.Tensor:
    """Masks of clips as one tensor: bool (B, t, h, w), or (B, t * h * w) with `flat`, True = hidden from the encoder.

    The flat form is `bool_masked_pos` of Hugging Face's VideoMAE, whose tokens have the same order (t, h, w); its `tubelet_size`
    and `patch_size` divide a clip of frames x height x width into the grid t x h x w.

    Raises:
        MaskError: an empty list, or masks of different grids or counts; an encoder of visible tokens needs equal counts in a batch.
    """
    if not masks:
        raise MaskError(
            "collate_masks", "found no mask", "at least one", "leave empty batches out", reason="missing_value"
        )
    first = masks[0].masked
    for number, mask in enumerate(masks):
        if mask.masked.shape != first.shape or mask.masked.sum() != first.sum():
            raise MaskError(
                "collate_masks",
                f"mask {number} hides {mask.masked.sum()} tokens of {mask.masked.shape}",
                f"{first.sum()} of {first.shape} like mask 0",
                "draw all masks with one grid and one ratio",
                reason="mismatch",
            )
    stacked = torch.stack([torch.from_numpy(mask.masked) for mask in masks])
    return stacked.flatten(1) if flat else stacked


class MaskedClips(torch.utils.data.Dataset[dict[str, Any]]):
    """A data set that adds a mask to each sample, the same with any number of workers, in any order and on any rank:

        clips = mgm.MaskedClips(my_clips, "mgm", grid=(8, 14, 14), ratio=0.75)
        loader = DataLoader(clips, batch_size=8, shuffle=True, num_workers=4)
        for epoch in range(epochs):
            clips.set_epoch(epoch)
            for batch in loader:                      # {"pixel_values": ..., "bool_masked_pos": bool (8, 1568)}
                loss = hugging_face_model(**batch).loss

    Args:
        clips: your own data set, with `clips[index]` and `len(clips)`; its samples are dictionaries.
        mask: a name of `mgm.list_masks()`, or a mask from `mgm.masks.build_mask`.
        grid: tokens (t, h, w) of a clip: frames / tubelet, height / patch, width / patch.
        ratio: fraction of tokens to hide, in (0, 1); `set_ratio` changes it between epochs.
        motion: key of a sample's motion, a field as returned by `mgm.read_clip` or an array (T, gh, gw, 2). It is removed from the
            sample, since PyTorch cannot batch a field. Masks that ignore motion do not need it.
        key: key of the mask in the sample, bool (t * h * w,), True = hidden; by default Hugging Face's name.
        seed: of the masks. A mask is a pure function of (seed, epoch, index).
        options: of the mask, if it is given by name.

    Raises:
        MaskError: unknown name or option, or grid and ratio that hide no token or all tokens.
    """

    def __init__(
        self,
        clips: ClipDicts,
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
        compile_kernels()  # so that workers inherit the kernels instead of compiling or loading them
        self.grid, self.motion, self.key, self.seed = grid, motion, key, seed
        # In shared memory: persistent workers see the numbers change between epochs.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._ratio = torch.zeros((), dtype=torch.float64).share_memory_()  # type: ignore[no-untyped-call]
        self.set_ratio(ratio)

    @property
    def ratio(self) -> float:
        """The fraction of tokens that the masks hide."""
        return float(self._ratio)

    def set_epoch(self, epoch: int) -> None:
        """Draw the masks of another epoch. Call it before each pass over the loader, like PyTorch's DistributedSampler."""
        self._epoch.fill_(epoch)

    def set_ratio(self, ratio: float) -> None:
        """Hide another fraction of the tokens from now on, for a schedule:

            clips.set_ratio(0.6 + 0.3 * epoch / (epochs - 1))  # from 60% in the first epoch to 90% in the last

        Call it between passes over the loader, as `set_epoch`: its workers are ahead, and a batch needs one count.

        Raises:
            MaskError: the ratio is not in (0, 1), or hides no token or all tokens of the grid; the one before stays.
        """
        self.mask.count(self.grid, ratio)  # an impossible grid or ratio raises here, not in a worker
        self._ratio.fill_(ratio)

    def __len__(self) -> int:
        return len(self.clips)

    def __repr__(self) -> str:
        grid = " x ".join(map(str, self.grid))
        return (
            f"MaskedClips({len(self):,} clips, {self.mask.name}, {grid} tokens, {self.ratio:.0%} hidden, {self.key!r})"
        )

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The sample without its motion, with its mask.

        Raises:
            DataError: the sample is not a dictionary, or has no motion for a mask that follows it.
        """
        if not 0 <= index < len(self):  # ends a plain `for` loop, which ignores the length
            raise IndexError(f"clip {index} of {len(self)}")
        sample = self.clips[index]
        if not isinstance(sample, Mapping):
            raise DataError(
                f"clip {index}",
                f"found {type(sample).__name__}",
                f"a dictionary such as {{'pixel_values': ..., '{self.motion}': ...}}",
                "return one from __getitem__",
                reason="invalid_type",
            )
        if self.mask.uses_motion and self.motion not in sample:
            raise DataError(
                f"clip {index}",
                f"found the keys {', '.join(map(str, sample)) or '(none)'}",
                f"{self.motion!r} for the mask {self.mask.name}, which follows motion",
                "add it (None for a clip without motion), or pass its key as motion=",
                reason="missing_value",
            )
        rest = {name: value for name, value in sample.items() if name != self.motion}
        rng = mask_rng(self.seed, int(self._epoch), index, 0)
        drawn = self.mask.draw(self.grid, self.ratio, sample.get(self.motion), rng)
        return rest | {self.key: torch.from_numpy(drawn.flat)}
