"""Pixels of tokens from videos and back, and indices of tokens from masks.

Tokens are flattened row-major (t, h, w); the pixels of a token are flattened channel-last (tubelet, patch, patch, 3).
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from mgm.errors import ModelError, Reason
from mgm.models.spec import ModelSpec

# ImageNet's statistics of RGB values in [0, 1], which the reference uses for every data set.
MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)


# A tuple, because DistributedDataParallel and Lightning Fabric move tuples between devices.
class TokenSplit(NamedTuple):
    """Indices of the visible and of the reconstructed tokens of a batch, from its masks.

    Attributes:
        visible: int64 (B, n_visible).
        hidden: int64 (B, n), the hidden tokens to reconstruct.
        valid: bool (B, n), False for padding in `hidden`; None without padding.
    """

    visible: Tensor
    hidden: Tensor
    valid: Tensor | None = None

    def to(self, device: torch.device | str) -> "TokenSplit":
        """The same on a device, without synchronising with a GPU."""
        target = torch.device(device)
        valid = None if self.valid is None else to_device(self.valid, target)
        return TokenSplit(to_device(self.visible, target), to_device(self.hidden, target), valid)


def check_video(video: object, spec: ModelSpec) -> None:
    """Raises ModelError unless `video` is uint8 or finite floating point of shape (B, 3, T, H, W) as in `spec`."""
    expected = f"(B, {', '.join(map(str, spec.video_shape))})"
    if not isinstance(video, Tensor):
        raise _wrong("invalid_type", _type_of(video), f"a tensor {expected}", "convert arrays with torch.from_numpy")
    shape = tuple(video.shape)
    if video.ndim != 5:
        raise _wrong("invalid_shape", f"shape {shape}", expected, "add a batch axis to a single clip")
    if shape[1] != 3:
        advice = "a model takes RGB"
        if shape[4] == 3:
            advice = "channels are last: move them to axis 1"
        elif shape[2] == 3:
            advice = "frames come before channels: swap axes 1 and 2"
        raise _wrong("invalid_shape", f"{shape[1]} channels in {shape}", expected, advice)
    if shape[1:] != spec.video_shape:
        advice = "resample or resize the clip, or build the model for these frames and this resolution"
        raise _wrong("invalid_shape", f"shape {shape}", expected, advice)
    if shape[0] == 0:
        raise _wrong("invalid_shape", f"an empty batch of shape {shape}", f"{expected} with B of at least 1")
    if video.dtype != torch.uint8 and not video.is_floating_point():
        raise _wrong("invalid_type", str(video.dtype), "uint8 (0 to 255) or normalised floating point")
    # NaN and infinity survive a sum, the cheapest pass. Reading it synchronises with a GPU; uint8 clips need no check.
    is_checked = video.is_floating_point() and not video.is_meta and not torch.compiler.is_compiling()
    if is_checked and not torch.isfinite(video.detach().sum(dtype=torch.float32)):
        raise _wrong("invalid_value", f"NaN or infinite values in {shape} {video.dtype}", "finite ones")


def _wrong(reason: Reason, found: str, expected: str, advice: str = "", *, subject: str = "video") -> ModelError:
    return ModelError(subject, f"found {found}", expected, advice, reason=reason)


def _type_of(value: object) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"


def split_mask(mask: Tensor, spec: ModelSpec, *, batch: int) -> tuple[Tensor, Tensor]:
    """The indices of the visible and of the hidden tokens, in the order of the tokens.

    Args:
        mask: bool (B, t, h, w) or (B, N), True = hidden from the encoder; every clip hides the same number of tokens, with divided
            attention in every step.

    Returns:
        int64 (B, n_visible) and (B, n_hidden), on the mask's device. Checking a mask on the CPU does not synchronise with a GPU,
        regardless of the device of the video.

    Raises:
        ModelError: another type or grid, unequal counts, or no token is visible.
    """
    flat = _flat_mask("mask", mask, spec, batch, "True = hidden from the encoder")
    counts = flat.sum(1).tolist()
    if len(set(counts)) > 1:
        least, most = min(counts), max(counts)
        raise _wrong(
            "invalid_value",
            f"{least} hidden tokens in clip {counts.index(least)} and {most} in clip {counts.index(most)}",
            f"the same number in all {batch} clips of a batch",
            "draw masks of exact count",
            subject="mask",
        )
    visible = spec.tokens - counts[0]
    if visible == 0:
        raise _wrong(
            "invalid_value",
            f"all {spec.tokens} tokens hidden",
            "at least one visible",
            "lower the ratio",
            subject="mask",
        )
    if spec.divided:
        _check_equal_steps(flat, spec)
    order = flat.to(torch.uint8).argsort(dim=1, stable=True)
    return order[:, :visible], order[:, visible:]


def _check_equal_steps(flat: Tensor, spec: ModelSpec) -> None:
    """flat: bool (B, N). Raises ModelError unless every step of a clip hides the same number of tokens."""
    steps = flat.reshape(len(flat), spec.grid[0], -1).sum(2)
    if not bool((steps == steps[:, :1]).all()):
        raise _wrong(
            "invalid_value",
            f"{int(steps.min())} to {int(steps.max())} hidden tokens per step",
            f"the same number in all {spec.grid[0]} steps of a clip for divided attention",
            "choose a mask with equal steps (tube, mgm and most others), or attention joint",
            subject="mask",
        )


def split_tokens(mask: Tensor, decode: Tensor | None, spec: ModelSpec, *, batch: int) -> TokenSplit:
    """`split_mask`, and with `decode` `tokens_to_decode`, for a model that predicts.

    Raises:
        ModelError: as they do, or no token is hidden.
    """
    visible, hidden = split_mask(mask, spec, batch=batch)
    if hidden.shape[1] == 0:
        raise _wrong(
            "invalid_value", f"all {spec.tokens} tokens visible", "at least one hidden to predict", subject="mask"
        )
    if decode is None:
        return TokenSplit(visible, hidden)
    return TokenSplit(visible, *tokens_to_decode(mask, decode, spec))


def tokens_to_decode(mask: Tensor, decode: Tensor, spec: ModelSpec) -> tuple[Tensor, Tensor | None]:
    """The tokens that `mask` hides and `decode` selects, in the order of the tokens.

    Args:
        mask, decode: bool (B, t, h, w) or (B, N).

    Returns:
        int64 (B, n), and None if every clip has n of them. Otherwise n is the largest count, and bool (B, n) is True for the
        selected tokens, which come first, and False for padding.

    Raises:
        ModelError: `decode` has another type or grid, or selects no hidden token at all.
    """
    return selected_tokens(mask, decode, spec, batch=len(mask))


def selected_tokens(
    mask: Tensor, decode: Tensor | None, spec: ModelSpec, *, batch: int
) -> tuple[Tensor, Tensor | None]:
    """`tokens_to_decode`, or with decode=None all tokens that `mask` hides; clips may hide different numbers of them."""
    selected = _flat_mask("mask", mask, spec, batch, "True = hidden from the encoder")
    if decode is not None:
        selected = selected & _flat_mask("decode", decode, spec, batch, "True = reconstruct if hidden").to(mask.device)
    number = selected.sum(1)
    counts = number.tolist()
    if max(counts) == 0:
        raise _wrong(
            "invalid_value",
            "no hidden token to reconstruct",
            "at least one",
            "raise the fraction of tokens that it selects",
            subject="mask" if decode is None else "decode",
        )
    order = selected.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, : max(counts)]
    if min(counts) == max(counts):
        return order, None
    return order, torch.arange(max(counts), device=mask.device) < number[:, None]


def _flat_mask(name: str, mask: object, spec: ModelSpec, batch: int, meaning: str) -> Tensor:
    """The mask as bool (B, N). Raises ModelError for another shape or type."""
    grid = (batch, *spec.grid)
    if not isinstance(mask, Tensor):  # a TokenMask or an array
        advice = "convert arrays with torch.from_numpy, a TokenMask with torch.from_numpy(mask.masked)[None]"
        raise _wrong("invalid_type", _type_of(mask), f"a bool tensor {grid}", advice, subject=name)
    if tuple(mask.shape) not in (grid, (batch, spec.tokens)):
        raise _wrong(
            "invalid_shape",
            f"shape {tuple(mask.shape)}",
            f"{grid} or {(batch, spec.tokens)}",
            "draw the mask on the grid of the model",
            subject=name,
        )
    if mask.dtype != torch.bool:
        raise _wrong("invalid_type", str(mask.dtype), f"bool, {meaning}", subject=name)
    return mask.flatten(1)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, by way of page-locked memory to a GPU: a copy from other memory synchronises with it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def patchify(video: Tensor, spec: ModelSpec, index: Tensor | None = None) -> Tensor:
    """The pixels of tokens, with the values and dtype of the video.

    Args:
        video: (B, 3, T, H, W).
        index: int64 (B, n), or None for all N tokens.

    Returns:
        (B, n, token_pixels, 3).
    """
    t, h, w = spec.grid
    batch, p = video.shape[0], spec.patch  # len() would become a constant in an exported graph
    if index is None:
        cut = video.reshape(batch, 3, t, spec.tubelet, h, p, w, p).permute(0, 2, 4, 6, 3, 5, 7, 1)
        return cut.reshape(batch, spec.tokens, spec.token_pixels, 3)
    if torch.compiler.is_compiling() and not video.requires_grad:
        patches: Tensor = take_patches(video, index, spec.tubelet, p)
        return patches
    return _take(video, index, spec.tubelet, p)


def _take(video: Tensor, index: Tensor, tubelet: int, p: int) -> Tensor:
    batch, _, frames, height, width = video.shape
    t, h, w = frames // tubelet, height // p, width // p
    # Indexing a strided view copies only the indexed tokens, once.
    where = (torch.arange(batch, device=index.device)[:, None], index // (h * w), index // w % h, index % w)
    last = video.stride(1) == 1  # channels are last in memory, as videos are decoded
    shape = (batch, t, tubelet, h, p, w, 3 * p) if last else (batch, 3, t, tubelet, h, p, w, p)
    lines = (video.permute(0, 2, 3, 4, 1) if last else video).reshape(shape)
    words = _as_int64(lines)
    cut = (lines if words is None else words).permute((0, 1, 3, 5, 2, 4, 6) if last else (0, 2, 4, 6, 3, 5, 1, 7))
    taken = cut[where] if words is None else cut[where].view(video.dtype)
    return (taken if last else taken.transpose(-1, -2)).reshape(batch, -1, tubelet * p * p, 3)


@torch.library.custom_op("mgm::take_patches", mutates_args=())
def take_patches(video: Tensor, index: Tensor, tubelet: int, patch: int) -> Tensor:
    """`patchify` as one operation for the compiler, which otherwise gathers the pixels one by one for every use of them."""
    return _take(video, index, tubelet, patch).contiguous()


@take_patches.register_fake
def _(video: Tensor, index: Tensor, tubelet: int, patch: int) -> Tensor:
    return video.new_empty((*index.shape, tubelet * patch * patch, 3))


def _as_int64(lines: Tensor) -> Tensor | None:
    """The same memory as int64, because indexing time is proportional to the number of elements.

    None if the memory cannot be viewed so, or if a gradient must pass.
    """
    if lines.requires_grad or lines.stride(-1) != 1:
        return None
    offsets = (lines.shape[-1], lines.storage_offset(), *lines.stride()[:-1])
    return None if any(offset * lines.element_size() % 8 for offset in offsets) else lines.view(torch.int64)


def unpatchify(patches: Tensor, spec: ModelSpec) -> Tensor:
    """The inverse of `patchify` without an index: (B, N, token_pixels, 3) -> (B, 3, T, H, W)."""
    t, h, w = spec.grid
    p = spec.patch
    cut = patches.reshape(len(patches), t, h, w, spec.tubelet, p, p, 3)
    return cut.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(len(patches), *spec.video_shape)


def to_255(patches: Tensor) -> Tensor:
    """Pixels of a video, uint8 or floats normalised with ImageNet's statistics, as float32 in the range 0 to 255.

    Args:
        patches: (..., 3). Integers keep the statistics of flat patches exact.
    """
    if patches.dtype == torch.uint8:
        return patches.float()
    # Filled, because copying a list synchronises with a GPU.
    mean, std = (torch.cat([patches.new_full((1,), v, dtype=torch.float32) for v in values]) for values in (MEAN, STD))
    return (patches.float() * std + mean) * 255
