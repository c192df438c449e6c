"""Patches with the pixels around them, from which a gradient within a patch is computed."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.models.spec import ModelSpec


def with_border(
    video: Tensor, tokens: Tensor, spec: ModelSpec, *, edge: Literal["replicate", "reflect"] = "replicate"
) -> Tensor:
    """The pixels of tokens and a border of one pixel, which belongs to the neighbouring patches.

    Args:
        video: (B, 3, T, H, W).
        tokens: int64 (B, n).
        edge: the pixel beyond the frame is the last one of the frame, or the one before the last.

    Returns:
        (B, n, tubelet, patch + 2, patch + 2, 3), values and dtype of the video.
    """
    _, h, w = spec.grid
    rows, columns = (_bordered(n, spec.patch, edge, video.device) for n in (h, w))
    row = torch.arange(len(video), device=tokens.device)[:, None, None, None]
    cut = video.reshape(len(video), 3, -1, spec.tubelet, *spec.frame_size).permute(0, 2, 4, 5, 3, 1)
    step, y, x = tokens // (h * w), tokens // w % h, tokens % w
    picked = cut[row, step[..., None, None], rows[y][..., :, None], columns[x][..., None, :]]
    return picked.permute(0, 1, 4, 2, 3, 5)


def _bordered(patches: int, patch: int, edge: str, device: torch.device) -> Tensor:
    """int64 (patches, patch + 2): indices of the pixels of each patch along one side of the frame, with the border."""
    pixels = torch.arange(patches * patch, device=device)
    padded = F.pad(pixels[None].double(), (1, 1), mode=edge)[0].long()
    return padded.unfold(0, patch + 2, patch)
