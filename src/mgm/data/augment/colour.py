"""Changes of colour for augmentation, the same for all frames of a clip, as Pillow makes them to the level.

A clip is uint8 (3, T, H, W), RGB, on any device; every function returns a new one. Statistics (the range of `autocontrast`, the
histogram of `equalize`, the mean of `contrast`) are those of each frame alone, as where a reference treats the frames one by one.
What depends on nothing but a pixel's level goes through a table of 256.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mgm.data.augment import levels


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
    count = _count(clip)
    level = torch.arange(256, device=clip.device)
    last = torch.where(count > 0, level, 0).amax(2, keepdim=True)
    step = (count.sum(2, keepdim=True) - count.gather(2, last)) // 255
    before = count.cumsum(2) - count
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    return _look_up(clip, torch.where(step > 0, table, level))


def _count(clip: Tensor) -> Tensor:
    """How many pixels of each channel and frame have each level, int64 (3, T, 256)."""
    planes = clip.flatten(2)
    if _on_cpu(clip):
        return torch.from_numpy(levels.count(planes.contiguous().numpy()))
    level = planes.long()
    # Not `bincount`, for which a GPU is waited for: it looks for the largest level first.
    return level.new_zeros(*level.shape[:2], 256).scatter_add_(2, level, torch.ones_like(level))


def _look_up(clip: Tensor, table: Tensor) -> Tensor:
    """Each level of each channel and frame through its own table, (3 or 1, T or 1, 256)."""
    planes, tables = clip.flatten(2), table.to(torch.uint8).expand(*clip.shape[:2], 256)
    if _on_cpu(clip):
        found = torch.from_numpy(levels.look_up(planes.contiguous().numpy(), tables.contiguous().numpy()))
    else:
        found = tables.gather(2, planes.long())
    return found.view(clip.shape)


def invert(clip: Tensor) -> Tensor:
    """The negative."""
    return 255 - clip


def posterize(clip: Tensor, bits: int) -> Tensor:
    """Keep the upper 1 to 8 bits of every level."""
    return clip & (256 - (1 << (8 - bits)))


def solarize(clip: Tensor, threshold: int) -> Tensor:
    """Invert the levels from `threshold` (0 to 256) on."""
    level = _every_level(clip)
    return _look_up(clip, torch.where(level >= threshold, 255 - level, level))


def solarize_add(clip: Tensor, amount: int) -> Tensor:
    """Add `amount`, 0 to 128, to the levels of the darker half."""
    level = _every_level(clip)
    return _look_up(clip, torch.where(level < 128, level + amount, level))


def saturation(clip: Tensor, factor: float) -> Tensor:
    """0: grey, 1: as it is, above: more colourful. Pillow calls it Color."""
    if _on_cpu(clip):
        planes = clip.flatten(2).contiguous().numpy()
        return torch.from_numpy(levels.saturate(planes, np.float32(factor))).view(clip.shape)
    return _blend(grey(clip).float(), clip, factor)


def contrast(clip: Tensor, factor: float) -> Tensor:
    """0: the mean grey of each frame everywhere, 1: as it is, above: more contrast."""
    mean = (_grey_sums(clip).double() / clip[0, 0].numel() + 0.5).floor().float()
    return _look_up(clip, _blend(mean[None, :, None], _every_level(clip), factor))


def _grey_sums(clip: Tensor) -> Tensor:
    """Sum of the lightness of each frame, int64 (T,)."""
    if _on_cpu(clip):
        return torch.from_numpy(levels.grey_sums(clip.flatten(2).contiguous().numpy()))
    return grey(clip)[0].flatten(1).sum(1)


def brightness(clip: Tensor, factor: float) -> Tensor:
    """0: black, 1: as it is, above: brighter."""
    return _look_up(clip, (_every_level(clip) * factor).clamp_(0, 255))


def _on_cpu(clip: Tensor) -> bool:
    """Whether the compiled loops can be had, which give the same in less time."""
    return clip.device.type == "cpu"


def _every_level(clip: Tensor) -> Tensor:
    """float32 (1, 1, 256): 0 to 255, where the clip is."""
    return torch.arange(256, dtype=torch.float32, device=clip.device)[None, None]


def sharpness(clip: Tensor, factor: float) -> Tensor:
    """0: smoothed over 3 x 3 pixels, 1: as it is, above: sharper. Pixels at the border stay."""
    if _on_cpu(clip):  # frame by frame, so that what lies between stays in the cache
        return torch.cat([_sharpened(frame, factor) for frame in torch.split(clip, 1, dim=1)], dim=1)
    return _sharpened(clip, factor)


def _sharpened(clip: Tensor, factor: float) -> Tensor:
    pixels = clip.float()
    rows = pixels[..., :-2, :] + pixels[..., 1:-1, :] + pixels[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * pixels[..., 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = (total / 13 + 0.5).floor_()
    return _blend(smooth, clip, factor)


def grey(clip: Tensor) -> Tensor:
    """int32 (1, T, H, W): lightness, 0 to 255."""
    red, green, blue = clip.int()
    weighted: Tensor = red * levels.RED + green * levels.GREEN + blue * levels.BLUE
    return (weighted + 0x8000 >> 16)[None]


def _blend(start: Tensor, clip: Tensor, factor: float) -> Tensor:
    """From `start` (0) to the clip (1) or beyond it. Pillow cuts the fraction off, in single precision."""
    return ((clip.float() - start) * factor + start).clamp_(0, 255).to(torch.uint8)
