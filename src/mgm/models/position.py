"""Fixed sine-cosine position embeddings: computed, not learned, and not stored in checkpoints."""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.spec import ModelSpec, PositionKind

_FLAT_BASE: Final = 10000.0
# An axis has about ten positions, not a thousand: with base 10000 most waves would be almost constant along it.
_AXIS_BASE: Final = 30.0


def position_embedding(spec: ModelSpec, dim: int) -> Tensor:
    """Fixed position embeddings of a model for tokens of width `dim`: float32 (N, dim).

    They are computed on the model's grid, or on `spec.position_grid` and interpolated to the model's grid.
    """
    grid = spec.position_grid or spec.grid
    embedding = sincos_embedding(spec.position, grid, dim)
    return embedding if grid == spec.grid else interpolate_embedding(embedding, grid, spec.grid)


def interpolate_embedding(embedding: Tensor, grid: tuple[int, int, int], to: tuple[int, int, int]) -> Tensor:
    """Embeddings of one grid, trilinearly interpolated to another that covers the same clip.

    Args:
        embedding: float32 (t*h*w, dim) of `grid`.

    Returns:
        float32 (t'*h'*w', dim) of the grid `to`.
    """
    dim = embedding.shape[1]
    volume = embedding.T.reshape(1, dim, *grid)
    # Cells are aligned, not their centres: a grid twice as fine has two positions in each cell of the other.
    return F.interpolate(volume, size=to, mode="trilinear", align_corners=False)[0].flatten(1).T.contiguous()


def sincos_embedding(kind: PositionKind, grid: tuple[int, int, int], dim: int) -> Tensor:
    """The fixed position embeddings `kind` of a token grid.

    Args:
        grid: (t, h, w).
        dim: width of the tokens.

    Returns:
        float32 (t*h*w, dim), row-major (t, h, w), values in [-1, 1].

    Raises:
        ModelError: learned embeddings, which encoders can have and decoders cannot.
    """
    if kind == "learned-separable":
        raise ModelError(
            "position",
            f"found {kind} for a decoder",
            "sincos-1d or sincos-3d",
            "only encoders have learned embeddings",
            reason="unsupported",
        )
    if kind == "sincos-1d":
        return sincos_1d(grid[0] * grid[1] * grid[2], dim)
    return sincos_3d(grid, dim)


def sincos_1d(tokens: int, dim: int) -> Tensor:
    """The embeddings of the flattened index, as in VideoMAE.

    angle = index / 10000^(2*(j//2)/dim); the sine on even j, the cosine on odd j.

    Returns float32 (tokens, dim).
    """
    j = np.arange(dim)
    angle = np.arange(tokens)[:, None] / _FLAT_BASE ** (2 * (j // 2) / dim)
    return torch.tensor(np.where(j % 2 == 0, np.sin(angle), np.cos(angle)), dtype=torch.float32)


def sincos_3d(grid: tuple[int, int, int], dim: int) -> Tensor:
    """Separable embeddings: about a quarter of the channels encode t, the others are divided between h and w.

    A small model learns sooner with them, for it need not derive row, column and time from one index.
    Returns float32 (t*h*w, dim). Raises ModelError when `dim` is odd or too small for three axes.
    """
    if dim % 2 or dim < 8:
        raise ModelError(
            "sincos-3d",
            f"found dim {dim}",
            "an even number of at least 8",
            "or choose sincos-1d",
            reason="invalid_value",
        )
    t, h, w = grid
    dim_t = dim // 8 * 2
    dim_h = (dim - dim_t) // 4 * 2
    dim_w = dim - dim_t - dim_h
    embedding = np.concatenate(
        [
            np.broadcast_to(_axis(t, dim_t)[:, None, None], (t, h, w, dim_t)),
            np.broadcast_to(_axis(h, dim_h)[None, :, None], (t, h, w, dim_h)),
            np.broadcast_to(_axis(w, dim_w)[None, None, :], (t, h, w, dim_w)),
        ],
        axis=-1,
    )
    return torch.tensor(embedding.reshape(t * h * w, dim), dtype=torch.float32)


def _axis(positions: int, dim: int) -> NDArray[np.float64]:
    """float64 (positions, dim): sines, then cosines, of dim/2 wavelengths from 2*pi up to almost 2*pi*_AXIS_BASE positions."""
    half = dim // 2
    angle = np.arange(positions)[:, None] / _AXIS_BASE ** (np.arange(half) / half)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
