"""Changes of colour for augmentation, the same for all frames of a clip, as Pillow makes them to the level.

A clip is uint8 (3, T, H, W), RGB, on any device; every function returns a new one. Statistics (the range of `autocontrast`, the
histogram of `equalize`, the mean of `contrast`) are those of each frame alone, as where a reference treats the frames one by one.
"""

from __future__ import annotations

import torch
from torch import Tensor

GREY = (19595, 38470, 7471)
"""Weights of red, green and blue in grey, in 65536ths (ITU-R 601-2, as Pillow has them)."""


def autocontrast(clip: Tensor) -> Tensor:
    """Stretch each channel of each frame to the whole range, 0 to 255."""
    planes = clip.flatten(2)
    low, high = planes.amin(2).double()[..., None], planes.amax(2).double()[..., None]
    level = torch.arange(256, dtype=torch.float64, device=clip.device)
    scale = 255 / (high - low)
    table = (level * scale + -low * scale).trunc().clamp(0, 255)
    return _look_up(clip, torch.where(high > low, table, level))


def equalize(clip: Tensor) -> Tensor:
    """Make every level of each channel of each frame about equally frequent."""
    planes = clip.flatten(2).flatten(0, 1).long()
    offset = torch.arange(len(planes), device=clip.device)[:, None] * 256
    count = torch.bincount((planes + offset).flatten(), minlength=256 * len(planes)).view(-1, 256)
    level = torch.arange(256, device=clip.device)
    last = torch.where(count > 0, level, 0).amax(1, keepdim=True)
    step = (count.sum(1, keepdim=True) - count.gather(1, last)) // 255
    before = count.cumsum(1) - count
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    return _look_up(clip, torch.where(step > 0, table, level).view(*clip.shape[:2], 256))


def _look_up(clip: Tensor, table: Tensor) -> Tensor:
    """Each level of each channel and frame through its own table (3, T, 256)."""
    found = table.to(torch.uint8).gather(2, clip.flatten(2).long())
    return found.view(clip.shape)


def invert(clip: Tensor) -> Tensor:
    """The negative."""
    return 255 - clip


def posterize(clip: Tensor, bits: int) -> Tensor:
    """Keep the upper 1 to 8 bits of every level."""
    return clip & (256 - (1 << (8 - bits)))


def solarize(clip: Tensor, threshold: int) -> Tensor:
    """Invert the levels from `threshold` (0 to 256) on."""
    return clip.clone() if threshold > 255 else clip ^ (clip >= threshold).to(torch.uint8).mul_(255)


def solarize_add(clip: Tensor, amount: int) -> Tensor:
    """Add `amount`, 0 to 128, to the levels of the darker half."""
    return clip + (clip < 128).to(torch.uint8).mul_(amount)


def saturation(clip: Tensor, factor: float) -> Tensor:
    """0: grey, 1: as it is, above: more colourful. Pillow calls it Color."""
    return _blend(grey(clip).float(), clip, factor)


def contrast(clip: Tensor, factor: float) -> Tensor:
    """0: the mean grey of each frame everywhere, 1: as it is, above: more contrast."""
    shades = grey(clip).flatten(2)
    mean = (shades.sum(2).double() / shades.shape[2] + 0.5).floor().float()
    return _blend(mean[..., None, None], clip, factor)


def brightness(clip: Tensor, factor: float) -> Tensor:
    """0: black, 1: as it is, above: brighter."""
    return (clip.float() * factor).clamp_(0, 255).to(torch.uint8)


def sharpness(clip: Tensor, factor: float) -> Tensor:
    """0: smoothed over 3 x 3 pixels, 1: as it is, above: sharper. Pixels at the border stay."""
    pixels = clip.float()
    rows = pixels[..., :-2, :] + pixels[..., 1:-1, :] + pixels[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * pixels[..., 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = (total / 13 + 0.5).floor_()
    return _blend(smooth, clip, factor)


def grey(clip: Tensor) -> Tensor:
    """int32 (1, T, H, W): lightness, 0 to 255."""
    red, green, blue = clip.int()
    weighted: Tensor = red * GREY[0] + green * GREY[1] + blue * GREY[2]
    return (weighted + 0x8000 >> 16)[None]


def _blend(start: Tensor, clip: Tensor, factor: float) -> Tensor:
    """From `start` (0) to the clip (1) or beyond it. Pillow cuts the fraction off, in single precision."""
    return ((clip.float() - start) * factor + start).clamp_(0, 255).to(torch.uint8)
