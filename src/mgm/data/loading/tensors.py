"""Frames as the tensor that a model receives."""

import numpy as np
import numpy.typing as npt
import torch


def to_video(frames: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 (T, H, W, 3) to a uint8 (3, T, H, W) view of the same memory."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)
