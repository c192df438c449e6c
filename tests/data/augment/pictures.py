"""Clips for the tests of augmentation, and Pillow's operations on their frames."""

import numpy as np
import torch
from PIL import Image

H, W = 24, 36


def pillow(frames, operation):
    """Pillow's operation on each frame, (T, H, W, 3)."""
    return np.stack([np.asarray(operation(Image.fromarray(frame))) for frame in frames])


def as_clip(frames):
    """(T, H, W, 3) to (3, T, H, W)."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2)


def as_frames(clip):
    """(3, T, H, W) to (T, H, W, 3)."""
    return clip.permute(1, 2, 3, 0).numpy()


def random_batch(size=4, frames=3, side=24):
    """Random clips, uint8 (B, 3, T, H, W), their labels and their keys."""
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (size, frames, side, side, 3), dtype=np.uint8))
    keys = torch.tensor([[2, 7 * i + 1, i % 2] for i in range(size)])
    return pixels.permute(0, 4, 1, 2, 3), torch.arange(size), keys
