"""Fixed sine-cosine codes of the place of a token: computed, never learned, never stored in a checkpoint."""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.sizes import ModelSpec, PositionKind

FLAT_BASE: Final = 10000.0
# An axis has some ten places, not a thousand: with base 10000 most of its waves would hardly move along it.
AXIS_BASE: Final = 30.0


def position_embedding(spec: ModelSpec, dim: int) -> Tensor:
    """The code that a model of `spec` adds to tokens of width `dim`: float32 (N, dim), computed on the model's grid, or
    on `spec.position_grid` and interpolated from there."""
    grid = spec.position_grid or spec.grid
    code = sincos_embedding(spec.position, grid, dim)
    return code if grid == spec.grid else interpolate_embedding(code, grid, spec.grid)


def interpolate_embedding(code: Tensor, grid: tuple[int, int, int], to: tuple[int, int, int]) -> Tensor:
    """A code of one grid as a code of another, trilinear: both grids cover the same clip.

    code: float32 (t*h*w, dim) of `grid`. Returns float32 (t'*h'*w', dim) of the grid `to`.
    """
    dim = code.shape[1]
    volume = code.T.reshape(1, dim, *grid)
    # Cells and not their centres are aligned: a grid twice as fine has two places where the other had one.
    return F.interpolate(volume, size=to, mode="trilinear", align_corners=False)[0].flatten(1).T.contiguous()


def sincos_embedding(kind: PositionKind, grid: tuple[int, int, int], dim: int) -> Tensor:
    """The fixed code `kind` of a token grid.

    grid: (t, h, w). dim: width of the tokens. Returns float32 (t*h*w, dim), row-major (t, h, w), values in [-1, 1].
    Raises ModelError for a learned code, which an encoder can have and the decoder of an autoencoder has not.
    """
    if kind == "learned-separable":
        raise ModelError(f"position: found {kind}, which only an encoder can have; expected sincos-1d or sincos-3d")
    if kind == "sincos-1d":
        return sincos_1d(grid[0] * grid[1] * grid[2], dim)
    return sincos_3d(grid, dim)


def sincos_1d(tokens: int, dim: int) -> Tensor:
    """The code of the flattened index, as in VideoMAE.

    angle = place / 10000^(2*(j//2)/dim); the sine on even j, the cosine on odd j.

    Returns float32 (tokens, dim).
    """
    j = np.arange(dim)
    angle = np.arange(tokens)[:, None] / FLAT_BASE ** (2 * (j // 2) / dim)
    return torch.tensor(np.where(j % 2 == 0, np.sin(angle), np.cos(angle)), dtype=torch.float32)


def sincos_3d(grid: tuple[int, int, int], dim: int) -> Tensor:
    """A separable code: about a quarter of the channels follow t, the others are shared by h and w.

    A small model need not unmix rows, columns and time from one index, and learns sooner with it.
    Returns float32 (t*h*w, dim). Raises ModelError when `dim` is odd or too small to be shared by three axes.
    """
    if dim % 2 or dim < 8:
        raise ModelError(f"sincos-3d: found dim {dim}, expected an even number of at least 8; or take sincos-1d")
    t, h, w = grid
    dim_t = dim // 8 * 2
    dim_h = (dim - dim_t) // 4 * 2
    dim_w = dim - dim_t - dim_h
    code = np.concatenate(
        [
            np.broadcast_to(_axis(t, dim_t)[:, None, None], (t, h, w, dim_t)),
            np.broadcast_to(_axis(h, dim_h)[None, :, None], (t, h, w, dim_h)),
            np.broadcast_to(_axis(w, dim_w)[None, None, :], (t, h, w, dim_w)),
        ],
        axis=-1,
    )
    return torch.tensor(code.reshape(t * h * w, dim), dtype=torch.float32)


def _axis(places: int, dim: int) -> NDArray[np.float64]:
    """float64 (places, dim): sines, then cosines, of dim/2 wavelengths from 2*pi up to almost 2*pi*AXIS_BASE places."""
    half = dim // 2
    angle = np.arange(places)[:, None] / AXIS_BASE ** (np.arange(half) / half)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
