"""Histograms of oriented gradients as a target (MaskFeat, Wei et al. 2022; Dalal and Triggs 2005)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from mgm.models.patches import to_255
from mgm.models.targets.borders import with_border
from mgm.models.targets.target import Target

ORIENTATIONS: Final = 9
_CELL_SIDE: Final = 8
_EPSILON: Final = 1e-6


@dataclass(frozen=True)
class Hog(Target):
    """Histograms of 9 unsigned orientations in cells of 8 x 8 pixels, per channel, each block of a patch of length 1.

    Of each frame and channel, x in [0, 1]: gradients are differences of the two neighbours of a pixel (at the frame's
    edge the pixel itself is repeated), across patch borders too. A pixel votes with its gradient's length for the two
    nearest orientations, whose centres are at 0, 20, ... 160 degrees, by linear interpolation. The votes of a cell are
    summed, and the cells of a patch and channel form a block: its values are divided by sqrt(sum of squares + 1e-6^2), so
    that flat patches are 0. Order: (frame, channel, row of cells, column, orientation).
    A patch whose side is not a multiple of 8 is a single cell.
    """

    name: ClassVar[str] = "hog"

    @property
    def dim(self) -> int:
        """9 values per cell, channel and frame of a token: 216 for patches of 2 x 16 x 16."""
        return self.spec.tubelet * 3 * self._cells**2 * ORIENTATIONS

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim) in [0, 1]."""
        with torch.no_grad():
            x = to_255(with_border(source, tokens, self.spec)).div_(255).permute(0, 1, 2, 5, 3, 4)
            across = x[..., 1:-1, 2:] - x[..., 1:-1, :-2]
            down = x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
            # In units of the distance between two orientations; both directions of an edge have the same orientation.
            angle = torch.atan2(down, across).remainder(math.pi) * (ORIENTATIONS / math.pi)
            length = torch.hypot(across, down)
            side, weighted = self.spec.patch // self._cells, angle * length
            votes = []
            for k in range(ORIENTATIONS + 1):
                # max(0, length * (1 - |angle - k|)), in few passes over the pixels
                vote = torch.sub(weighted, length, alpha=k).abs_().neg_().add_(length).clamp_min_(0)
                votes.append(vote.view(*vote.shape[:4], self._cells, side, self._cells, side).sum((5, 7)))
            votes[0] += votes.pop()  # 180 degrees equal 0 degrees
            cells = torch.stack(votes, dim=-1)  # (B, n, tubelet, 3, rows, columns, 9)
            norm = cells.flatten(4).square().sum(-1).add(_EPSILON**2).sqrt()
            return (cells / norm[..., None, None, None]).flatten(2)

    @property
    def _cells(self) -> int:
        return cells_per_side(self.spec.patch)


def cells_per_side(patch: int) -> int:
    """Cells along a side of a patch of `patch` pixels: of 8 pixels, or one cell if they do not fill it."""
    return patch // _CELL_SIDE if patch % _CELL_SIDE == 0 else 1
