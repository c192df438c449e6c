"""Colour changes for augmentation, the same for all frames of a clip, equal to Pillow's in every level.

A clip is uint8 (3, T, H, W), RGB, on any device; every function returns a new one. Statistics (the range of `autocontrast`, the
histogram of `equalize`, the mean of `contrast`) are computed for each frame alone, as in a reference that treats the frames one by
one. Changes that depend only on the level of a pixel use a table of 256 levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RED, _GREEN, _BLUE = 19595, 38470, 7471
"""Weights of grey in units of 1 / 65536 (ITU-R 601-2, as in Pillow)."""


def autocontrast(clip: Tensor) -> Tensor:
    """Stretch each channel of each frame to the whole range, 0 to 255."""
    planes = clip.flatten(2)
    low, high = planes.amin(2).double()[..., None], planes.amax(2).double()[..., None]
    level = torch.arange(256, dtype=torch.float64, device=clip.device)
    scale = 255 / (high - low)
    table = (level * scale + -low * scale).trunc().clamp(0, 255)
    return _look_up(clip, torch.where(high > low, table, level))


def equalize(clip: Tensor) -> Tensor:
    """Equalise the histogram of each channel of each frame."""
    count = _histogram(clip)
    level = torch.arange(256, device=clip.device)
    last = torch.where(count > 0, level, 0).amax(2, keepdim=True)
    step = (count.sum(2, keepdim=True) - count.gather(2, last)) // 255
    before = count.cumsum(2) - count
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    return _look_up(clip, torch.where(step > 0, table, level))


def _histogram(clip: Tensor) -> Tensor:
    """Number of pixels at each level, by channel and frame, int64 (3, T, 256)."""
    level = clip.flatten(2).long()
    # `bincount` would synchronise with the GPU: it looks for the largest level first.
    return level.new_zeros(*level.shape[:2], 256).scatter_add_(2, level, torch.ones_like(level))


def _look_up(clip: Tensor, table: Tensor) -> Tensor:
    """Replace each level of each channel and frame through its own table, (3 or 1, T or 1, 256)."""
    tables = table.to(torch.uint8).expand(*clip.shape[:2], 256)
    return tables.gather(2, clip.flatten(2).long()).view(clip.shape)


def invert(clip: Tensor) -> Tensor:
    """Return the negative."""
    return 255 - clip


def posterize(clip: Tensor, bits: int) -> Tensor:
    """Keep the upper 1 to 8 bits of every level."""
    return clip & (256 - (1 << (8 - bits)))


def solarize(clip: Tensor, threshold: int) -> Tensor:
    """Invert the levels from `threshold` (0 to 256) on."""
    level = _all_levels(clip)
    return _look_up(clip, torch.where(level >= threshold, 255 - level, level))


def solarize_add(clip: Tensor, amount: int) -> Tensor:
    """Add `amount`, 0 to 128, to the levels below 128."""
    level = _all_levels(clip)
    return _look_up(clip, torch.where(level < 128, level + amount, level))


def saturation(clip: Tensor, factor: float) -> Tensor:
    """Change the saturation; 0 is grey, 1 leaves the clip as it is. Pillow calls it Color."""
    return _blend(grey(clip).float(), clip, factor)


def contrast(clip: Tensor, factor: float) -> Tensor:
    """Change the contrast; 0 is the mean grey of each frame, 1 leaves the clip as it is."""
    total = grey(clip)[0].flatten(1).sum(1)
    mean = (total.double() / clip[0, 0].numel() + 0.5).floor().float()
    return _look_up(clip, _blend(mean[None, :, None], _all_levels(clip), factor))


def brightness(clip: Tensor, factor: float) -> Tensor:
    """Change the brightness; 0 is black, 1 leaves the clip as it is."""
    return _look_up(clip, (_all_levels(clip) * factor).clamp_(0, 255))


def _all_levels(clip: Tensor) -> Tensor:
    """0 to 255, float32 (1, 1, 256), on the clip's device."""
    return torch.arange(256, dtype=torch.float32, device=clip.device)[None, None]


def sharpness(clip: Tensor, factor: float) -> Tensor:
    """Change the sharpness; 0 is smoothed over 3 x 3 pixels, 1 leaves the clip as it is. Border pixels do not change."""
    pixels = clip.float()
    rows = pixels[..., :-2, :] + pixels[..., 1:-1, :] + pixels[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * pixels[..., 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = (total / 13 + 0.5).floor_()
    return _blend(smooth, clip, factor)


def grey(clip: Tensor) -> Tensor:
    """Lightness, int32 (1, T, H, W), 0 to 255."""
    red, green, blue = clip.int()
    weighted: Tensor = red * _RED + green * _GREEN + blue * _BLUE
    return (weighted + 0x8000 >> 16)[None]


def _blend(start: Tensor, clip: Tensor, factor: float) -> Tensor:
    """Interpolate from `start` (factor 0) to the clip (1), or extrapolate beyond it. As in Pillow, fractions are truncated, in
    single precision."""
    return ((clip.float() - start) * factor + start).clamp_(0, 255).to(torch.uint8)
