"""Random clips and masks for a small specification, for the tests of models."""

import torch
from torch import Tensor

from mgm.models import ModelSpec
from mgm.models.patches import split_mask

SMALL = ModelSpec("debug", patch=8, frames=4, resolution=(32, 24))


def random_video(spec: ModelSpec = SMALL, *, batch: int = 2, seed: int = 0) -> Tensor:
    """uint8 (B, 3, T, H, W) of noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, *spec.video_shape), dtype=torch.uint8, generator=generator)


def random_mask(spec: ModelSpec = SMALL, *, batch: int = 2, hidden: int = 18, seed: int = 0) -> Tensor:
    """bool (B, t, h, w) that hides `hidden` tokens of each clip, others in each."""
    generator = torch.Generator().manual_seed(seed)
    rank = torch.rand(batch, spec.tokens, generator=generator).argsort(1)
    return (rank < hidden).view(batch, *spec.grid)


def normalised(video: Tensor) -> Tensor:
    """A uint8 video normalised with ImageNet's mean and standard deviation, float32."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1, 1)
    return (video.float() / 255 - mean) / std


def masked_tokens() -> Tensor:
    """The numbers of the tokens that `random_mask` hides in each of two clips, int64 (B, n)."""
    return split_mask(random_mask(), SMALL, batch=2)[1]
