"""From videos to the pixels of their tokens and back, and from masks to the indices of tokens.

Tokens are flattened row-major (t, h, w); the pixels of a token are flattened channel-last (tubelet, patch, patch, 3).
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.sizes import ModelSpec

# ImageNet's statistics of RGB values in [0, 1], which the reference uses for every data set.
MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)


# A tuple, which DistributedDataParallel and Lightning Fabric take apart and put together again.
class TokenSplit(NamedTuple):
    """Which tokens of each clip are encoded and which are predicted: what a model makes of masks.

    visible: int64 (B, n_visible). hidden: int64 (B, n), the hidden tokens to reconstruct.
    counted: bool (B, n), False for hidden tokens that only fill a row up; None where all count.
    """

    visible: Tensor
    hidden: Tensor
    valid: Tensor | None = None

    def to(self, device: torch.device | str) -> "TokenSplit":
        """The same on a device; a GPU is not waited for."""
        place = torch.device(device)
        valid = None if self.valid is None else to_device(self.valid, place)
        return TokenSplit(to_device(self.visible, place), to_device(self.hidden, place), valid)


def check_video(video: object, spec: ModelSpec) -> None:
    """Raises ModelError unless `video` is uint8 or finite floating point of shape (B, 3, T, H, W) as in `spec`."""
    expected = spec.video_shape
    shape = f"(B, {', '.join(map(str, expected))})"
    if not isinstance(video, Tensor):
        raise ModelError(
            f"video: found {_kind(video)}, expected a tensor {shape}; torch.from_numpy makes one of an array"
        )
    if video.ndim != 5:
        raise ModelError(
            f"video: found shape {tuple(video.shape)}, expected {shape}; add a batch axis to a single clip"
        )
    if video.shape[1] != 3:
        advice = "a model takes RGB"
        if video.shape[4] == 3:
            advice = "channels are last: move them to axis 1"
        elif video.shape[2] == 3:
            advice = "frames come before channels: swap axes 1 and 2"
        raise ModelError(f"video: found {video.shape[1]} channels in {tuple(video.shape)}, expected {shape}; {advice}")
    if tuple(video.shape[1:]) != expected:
        raise ModelError(
            f"video: found shape {tuple(video.shape)}, expected {shape}; "
            "resample or resize the clip, or build the model for these frames and this resolution"
        )
    if video.shape[0] == 0:
        raise ModelError(
            f"video: found an empty batch of shape {tuple(video.shape)}, expected {shape} with B of at least 1"
        )
    if video.dtype != torch.uint8 and not video.is_floating_point():
        raise ModelError(f"video: found {video.dtype}, expected uint8 (0 to 255) or normalised floating point")
    # Any NaN survives a sum, the cheapest pass. Its result is waited for, which uint8, the usual input, never asks for.
    watched = video.is_floating_point() and not video.is_meta and not torch.compiler.is_compiling()
    if watched and not torch.isfinite(video.detach().sum(dtype=torch.float32)):
        raise ModelError(
            f"video: found NaN or infinite values in {tuple(video.shape)} {video.dtype}, expected finite ones"
        )


def _kind(value: object) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"


def split_mask(mask: Tensor, spec: ModelSpec, *, batch: int) -> tuple[Tensor, Tensor]:
    """The indices of the visible and of the masked tokens, in the order of the tokens.

    mask: bool (B, t, h, w) or (B, N), True = hidden from the encoder; every clip hides the same number of tokens, and
    so does every step where attention is divided.
    Returns int64 (B, n_visible) and (B, n_masked), on the mask's device. A mask on the CPU is checked without waiting
    for a GPU, whatever the device of the video.
    Raises ModelError on another type or grid, on unequal counts, and when no token is visible.
    """
    flat = _flat_mask("mask", mask, spec, batch, "True = hidden from the encoder")
    counts = flat.sum(1).tolist()
    if len(set(counts)) > 1:
        raise ModelError(
            f"mask: found {min(counts)} hidden tokens in clip {counts.index(min(counts))} and {max(counts)} in clip "
            f"{counts.index(max(counts))}, expected the same number in all {batch} clips of a batch; draw masks of exact count"
        )
    visible = spec.tokens - counts[0]
    if visible == 0:
        raise ModelError(f"mask: found all {spec.tokens} tokens hidden, expected at least one visible; lower the ratio")
    if spec.divided:
        steps = flat.reshape(batch, spec.grid[0], -1).sum(2)
        if not bool((steps == steps[:, :1]).all()):
            raise ModelError(
                f"mask: found {int(steps.min())} to {int(steps.max())} hidden tokens per step, expected the same number "
                f"in all {spec.grid[0]} steps of a clip for divided attention; take a mask with equal steps (tube, mgm "
                "and most others), or attention joint"
            )
    order = flat.to(torch.uint8).argsort(dim=1, stable=True)
    return order[:, :visible], order[:, visible:]


def split_tokens(mask: Tensor, decode: Tensor | None, spec: ModelSpec, *, batch: int) -> TokenSplit:
    """`split_mask`, and where `decode` is given `tokens_to_decode`, for a model that predicts.

    Raises ModelError as they do, and where no token is hidden.
    """
    visible, hidden = split_mask(mask, spec, batch=batch)
    if hidden.shape[1] == 0:
        raise ModelError(f"mask: found all {spec.tokens} tokens visible, expected at least one hidden to predict")
    if decode is None:
        return TokenSplit(visible, hidden)
    return TokenSplit(visible, *tokens_to_decode(mask, decode, spec))


def tokens_to_decode(mask: Tensor, decode: Tensor, spec: ModelSpec) -> tuple[Tensor, Tensor | None]:
    """The tokens that are hidden by `mask` and asked for by `decode`, in the order of the tokens.

    mask, decode: bool (B, t, h, w) or (B, N).
    Returns int64 (B, n), and None where every clip has n of them; else n is the largest count, and bool (B, n) tells
    the asked tokens, which come first, from others that fill the row up.
    Raises ModelError when `decode` has another type or grid, or asks for no hidden token at all.
    """
    asked = _flat_mask("decode", decode, spec, len(mask), "True = reconstruct where it is hidden").to(mask.device)
    asked = asked & mask.flatten(1)
    number = asked.sum(1)
    counts = number.tolist()
    if max(counts) == 0:
        raise ModelError("decode: found no hidden token that is asked for, expected at least one; raise its share")
    order = asked.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, : max(counts)]
    if min(counts) == max(counts):
        return order, None
    return order, torch.arange(max(counts), device=mask.device) < number[:, None]


def _flat_mask(name: str, mask: object, spec: ModelSpec, batch: int, meaning: str) -> Tensor:
    """The mask as bool (B, N). Raises ModelError on another shape or type."""
    grid = (batch, *spec.grid)
    if not isinstance(mask, Tensor):  # a TokenMask or an array, before anything
        advice = "torch.from_numpy makes one of an array, `masked` of a TokenMask: torch.from_numpy(mask.masked)[None]"
        raise ModelError(f"{name}: found {_kind(mask)}, expected a bool tensor {grid}; {advice}")
    if tuple(mask.shape) not in (grid, (batch, spec.tokens)):
        raise ModelError(
            f"{name}: found shape {tuple(mask.shape)}, expected {grid} or {(batch, spec.tokens)}; "
            "draw the mask on the grid of the model"
        )
    if mask.dtype != torch.bool:
        raise ModelError(f"{name}: found {mask.dtype}, expected bool, {meaning}")
    return mask.flatten(1)


def to_device(index: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`. A GPU takes it from page-locked memory: from other memory it would first finish its work."""
    if device.type == "cuda" and index.device.type == "cpu":
        return index.pin_memory().to(device, non_blocking=True)
    return index.to(device)


def patchify(video: Tensor, spec: ModelSpec, index: Tensor | None = None) -> Tensor:
    """The pixels of tokens, values and dtype as in the video.

    video: (B, 3, T, H, W). index: int64 (B, n), or None for all N tokens. Returns (B, n, token_pixels, 3).
    """
    t, h, w = spec.grid
    batch, p = video.shape[0], spec.patch  # len() would make a constant of it in an exported graph
    if index is None:
        cut = video.reshape(batch, 3, t, spec.tubelet, h, p, w, p).permute(0, 2, 4, 6, 3, 5, 7, 1)
        return cut.reshape(batch, spec.tokens, spec.token_pixels, 3)
    if torch.compiler.is_compiling() and not video.requires_grad:
        taken: Tensor = take_patches(video, index, spec.tubelet, p)
        return taken
    return _take(video, index, spec.tubelet, p)


def _take(video: Tensor, index: Tensor, tubelet: int, p: int) -> Tensor:
    batch, _, frames, height, width = video.shape
    t, h, w = frames // tubelet, height // p, width // p
    # Indexing a strided view copies the wanted tokens alone, once.
    place = (torch.arange(batch, device=index.device)[:, None], index // (h * w), index // w % h, index % w)
    last = video.stride(1) == 1  # channels are last in memory, as videos are decoded
    shape = (batch, t, tubelet, h, p, w, 3 * p) if last else (batch, 3, t, tubelet, h, p, w, p)
    lines = (video.permute(0, 2, 3, 4, 1) if last else video).reshape(shape)
    words = _as_int64(lines)
    cut = (lines if words is None else words).permute((0, 1, 3, 5, 2, 4, 6) if last else (0, 2, 4, 6, 3, 5, 1, 7))
    taken = cut[place] if words is None else cut[place].view(video.dtype)
    return (taken if last else taken.transpose(-1, -2)).reshape(batch, -1, tubelet * p * p, 3)


@torch.library.custom_op("mgm::take_patches", mutates_args=())
def take_patches(video: Tensor, index: Tensor, tubelet: int, patch: int) -> Tensor:
    """`patchify` as one step for the compiler: left to itself it picks the pixels anew, one by one, for every use of them."""
    return _take(video, index, tubelet, patch).contiguous()


@take_patches.register_fake
def _(video: Tensor, index: Tensor, tubelet: int, patch: int) -> Tensor:
    return video.new_empty((*index.shape, tubelet * patch * patch, 3))


def _as_int64(lines: Tensor) -> Tensor | None:
    """The same memory in words of 8 bytes: indexing takes its time by the element. None where it cannot be divided so.

    Nor where a gradient must pass.
    """
    if lines.requires_grad or lines.stride(-1) != 1:
        return None
    places = (lines.shape[-1], lines.storage_offset(), *lines.stride()[:-1])
    return None if any(place * lines.element_size() % 8 for place in places) else lines.view(torch.int64)


def unpatchify(patches: Tensor, spec: ModelSpec) -> Tensor:
    """The inverse of `patchify` without an index: (B, N, token_pixels, 3) -> (B, 3, T, H, W)."""
    t, h, w = spec.grid
    p = spec.patch
    cut = patches.reshape(len(patches), t, h, w, spec.tubelet, p, p, 3)
    return cut.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(len(patches), *spec.video_shape)


def to_255(patches: Tensor) -> Tensor:
    """Pixels in the range 0 to 255, float32, of pixels as a video holds them: uint8, or floats in ImageNet's units.

    patches: (..., 3). Whole numbers keep the statistics of flat patches exact.
    """
    if patches.dtype == torch.uint8:
        return patches.float()
    # Filled and not copied from a list, for which a GPU would be waited for.
    mean, std = (torch.cat([patches.new_full((1,), v, dtype=torch.float32) for v in values]) for values in (MEAN, STD))
    return (patches.float() * std + mean) * 255
