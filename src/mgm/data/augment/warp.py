"""Rotate, shear and shift the frames of a clip for augmentation; pixels from outside the frame are grey.

A clip is uint8 (3, T, H, W), RGB, on any device. Coordinates and signs are Pillow's: pixels, y down; a matrix maps
a position of the result to its position in the source. Motion is not warped: fine-tuning reads none, and pretraining does not use
these.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]
FILL = 128

_ROUNDING_ERROR = 1 / 64
"""Levels by which float32 misses a whole level, at most. Levels are cut off as in Pillow, which computes in float64: without this
an unmoved frame would lose a level in a third of its pixels."""


def rotate(clip: Tensor, degrees: float, *, interpolation: Interpolation = "bilinear") -> Tensor:
    """Rotate around the centre, counter-clockwise."""
    height, width = clip.shape[-2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = width / 2, height / 2
    matrix = (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)
    return warp(clip, matrix, interpolation=interpolation)


def shear_x(clip: Tensor, factor: float, *, interpolation: Interpolation = "bilinear") -> Tensor:
    """Shift each row to the left by `factor` times its distance from the top."""
    return warp(clip, (1, factor, 0, 0, 1, 0), interpolation=interpolation)


def shear_y(clip: Tensor, factor: float, *, interpolation: Interpolation = "bilinear") -> Tensor:
    """Shift each column up by `factor` times its distance from the left."""
    return warp(clip, (1, 0, 0, factor, 1, 0), interpolation=interpolation)


def translate_x(clip: Tensor, share: float, *, interpolation: Interpolation = "bilinear") -> Tensor:
    """Shift to the left by a share of the width."""
    return warp(clip, (1, 0, share * clip.shape[-1], 0, 1, 0), interpolation=interpolation)


def translate_y(clip: Tensor, share: float, *, interpolation: Interpolation = "bilinear") -> Tensor:
    """Shift up by a share of the height."""
    return warp(clip, (1, 0, 0, 0, 1, share * clip.shape[-2]), interpolation=interpolation)


def warp(
    clip: Tensor,
    matrix: tuple[float, float, float, float, float, float],
    *,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Position (x, y) of the result, in pixels from the corner, shows position (a x + b y + c, d x + e y + f) of the clip.

    Bilinear results equal Pillow's `transform` except for rounding. The bicubic kernel of torch is softer than Pillow's (a = -.75
    instead of -1).
    """
    a, b, c, d, e, f = matrix
    height, width = clip.shape[-2:]
    x = torch.arange(width, device=clip.device) + 0.5
    y = torch.arange(height, device=clip.device)[:, None] + 0.5
    from_x, from_y = a * x + b * y + c, d * x + e * y + f
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    grid = torch.stack([from_x * (2 / width) - 1, from_y * (2 / height) - 1], dim=-1)
    # All frames as channels of one picture: one grid, interpolated once.
    moved = F.grid_sample(
        clip.float().flatten(0, 1)[None], grid[None], mode=interpolation, padding_mode="border", align_corners=False
    )[0]
    shown = torch.where(inside, moved.add_(_ROUNDING_ERROR).clamp_(0, 255).to(torch.uint8), FILL)
    return shown.view(clip.shape)
