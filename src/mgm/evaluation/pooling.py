"""One feature per clip from its tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from mgm.training.sections import Pooling


def pool_tokens(tokens: Tensor, pooling: Pooling) -> Tensor:
    """The feature of each clip: float (B, N, dim) -> (B, dim), or (B, 3 dim) with "mean-std-max".

    The mean loses what single tokens have; the standard deviation and the maximum of each channel over the tokens keep some of it.
    """
    mean = tokens.mean(1)
    if pooling == "mean":
        return mean
    return torch.cat((mean, tokens.std(1, correction=0), tokens.amax(1)), dim=1)
