"""Histograms of Sobel gradients of one frame of each tubelet, as the authors of MaskFeat and of M3Video compute them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.models.patches import STD, to_255
from mgm.models.targets.borders import with_border
from mgm.models.targets.hog import ORIENTATIONS, cells_per_side
from mgm.models.targets.target import Target


@dataclass(frozen=True)
class _SobelHog(Target):
    """Order of the values: (channel, orientation, row of cells, column). A patch whose side is not a multiple of 8 is one cell."""

    @property
    def dim(self) -> int:
        """9 values per cell and channel: 108 for patches of 16."""
        return 3 * ORIENTATIONS * self._cells**2

    @property
    def _cells(self) -> int:
        return cells_per_side(self.spec.patch)

    def _in_cells(self, votes: Iterable[Tensor]) -> Tensor:
        """Votes for each orientation (B, n, 3, patch, patch), summed over the pixels of each cell: (B, n, 3, 9, rows, columns)."""
        side = self.spec.patch // self._cells
        # One orientation after the other: all votes together would be nine times the pixels.
        sums = [v.reshape(*v.shape[:3], self._cells, side, self._cells, side).sum((4, 6)) for v in votes]
        return torch.stack(sums, dim=3)


@dataclass(frozen=True)
class MaskFeatHog(_SobelHog):
    """The target of MaskFeat for video (Wei et al. 2022, PySlowFast): the first frame of each tubelet.

    Per channel, with the frame mirrored at its edge: Sobel gradients; a pixel votes with the length of its gradient for one of 9
    orientations of 20 degrees, counted from the vertical; votes of a cell of 8 x 8 are summed and divided by their length.
    """

    name: ClassVar[str] = "hog-maskfeat"

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim) in [0, 1]; flat cells are 0."""
        with torch.no_grad():
            across, down = _sobel(to_255(with_border(source, tokens, self.spec, edge="reflect")[:, :, 0]))
            length = torch.hypot(across, down)
            turn = (torch.atan2(across, down) / math.pi * ORIENTATIONS).floor().remainder(ORIENTATIONS)
            votes = (length * (turn == k) for k in range(ORIENTATIONS))
            return F.normalize(self._in_cells(votes), dim=3).flatten(2)


@dataclass(frozen=True)
class M3VideoHog(_SobelHog):
    """The appearance target of M3Video, MME (Sun et al. 2023): the middle frame of each tubelet, the second of two.

    Per channel of the clip as the model sees it, (x - mean) / deviation, with the last pixel repeated at the edge: Sobel
    gradients; a pixel votes with the length of its gradient for the two nearest of 9 orientations, linearly; the MEAN of a cell's
    8 x 8 votes, without normalisation. Predictions pass a sigmoid. The authors' convolution has a bias that nothing sets, a random
    constant added to all gradients; it is left out.
    """

    name: ClassVar[str] = "hog-m3video"

    def activate(self, prediction: Tensor) -> Tensor:
        """A sigmoid."""
        return prediction.sigmoid()

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim), at least 0."""
        with torch.no_grad():
            frame = to_255(with_border(source, tokens, self.spec)[:, :, self.spec.tubelet // 2])
            # A gradient has no mean. Filled, because copying a list synchronises with a GPU.
            unit = torch.cat([frame.new_full((1,), 255 * deviation) for deviation in STD])
            across, down = _sobel(frame / unit)
            # In units of the distance between two orientations; both directions of an edge have the same orientation.
            turn = torch.atan2(down, across).remainder(math.pi) * (ORIENTATIONS / math.pi)
            length = torch.hypot(across, down)
            votes = (length * (1 - _around(turn, k)).clamp_min(0) for k in range(ORIENTATIONS))
            return self._in_cells(votes).flatten(2) / (self.spec.patch // self._cells) ** 2


def _around(turn: Tensor, orientation: int) -> Tensor:
    """The distance from an orientation on the circle of all nine. turn: in [0, 9]."""
    distance = (turn - orientation).abs()
    return torch.minimum(distance, ORIENTATIONS - distance)


def _sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients along x and y of (B, n, p + 2, p + 2, 3): (B, n, 3, p, p) each. A step of 1 has the gradient 4 beside it."""
    x = x.permute(0, 1, 4, 2, 3)
    smooth_down = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    smooth_across = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return smooth_down[..., 2:] - smooth_down[..., :-2], smooth_across[..., 2:, :] - smooth_across[..., :-2, :]
