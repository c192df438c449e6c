"""One feature per clip from its tokens."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mgm.training.sections import FeaturePooling

TokenPooling: TypeAlias = FeaturePooling | Literal["none"]


def pool_tokens(tokens: Tensor, pooling: TokenPooling) -> Tensor:
    """The feature of each clip: float (B, N, dim) -> (B, dim), (B, 3 dim) with "mean-std-max", or with "none" the tokens.

    The mean loses what single tokens have; the standard deviation and the maximum of each channel over the tokens keep some of it.
    """
    if pooling == "none":
        return tokens
    mean = tokens.mean(1)
    if pooling == "mean":
        return mean
    return torch.cat((mean, tokens.std(1, correction=0), tokens.amax(1)), dim=1)


def feature_shape(tokens: int, dim: int, pooling: TokenPooling) -> tuple[int, ...]:
    """The shape of the feature of a clip of `tokens` tokens of width `dim`."""
    shapes = {"none": (tokens, dim), "mean": (dim,), "mean-std-max": (3 * dim,)}
    return shapes[pooling]
