"""Lanczos resizing, as Pillow computes it, of tensors on any device; torch has no such filter."""

from functools import cache

import numpy as np
import torch
from torch import Tensor


def resize(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures of another size, by a windowed sinc of three lobes that widens when a picture shrinks.

    Along lines first, then along columns, with the overshoot cut off after each, as Pillow; which also rounds to 1/255 each time.

    Args:
        pictures: float32 (..., H, W) in [0, 1].
        size: (height, width).

    Returns:
        float32 (..., height, width) in [0, 1].
    """
    height, width = pictures.shape[-2:]
    if (height, width) == size:
        return pictures
    down, across = (_weights(a, b, pictures.device) for a, b in ((height, size[0]), (width, size[1])))
    return (down @ (pictures @ across.T).clamp(0, 1)).clamp(0, 1)


@cache
def _weights(before: int, after: int, device: torch.device) -> Tensor:
    """float32 (after, before): the weights of the pixels of a line in each pixel of the new line; rows sum to 1."""
    scale = before / after
    stretch = max(scale, 1.0)
    centres = (np.arange(after) + 0.5) * scale
    pixels = np.arange(before) + 0.5
    distance = (pixels[None] - centres[:, None]) / stretch
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    return torch.from_numpy(weights / weights.sum(1, keepdims=True)).float().to(device)
