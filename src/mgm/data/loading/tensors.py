"""Frames as the tensor that a model receives, and back."""

import numpy as np
import numpy.typing as npt
import torch


def to_video(frames: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 (T, H, W, 3) to a uint8 (3, T, H, W) view of the same memory."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)


def to_frames(video: torch.Tensor) -> npt.NDArray[np.uint8]:
    """The inverse of `to_video`: uint8 (3, T, H, W) on any device to (T, H, W, 3)."""
    frames: npt.NDArray[np.uint8] = video.permute(1, 2, 3, 0).cpu().numpy()
    return frames
