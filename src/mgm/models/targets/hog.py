"""Histograms of oriented gradients as a target (MaskFeat, Wei et al. 2022; Dalal and Triggs 2005)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.models.patches import to_255
from mgm.models.targets.target import Target

ORIENTATIONS: Final = 9
CELL: Final = 8
EPSILON: Final = 1e-6


@dataclass(frozen=True)
class Hog(Target):
    """Histograms of 9 unsigned orientations in cells of 8 x 8 pixels, per channel, each block of a patch of length 1.

    Of each frame and channel, x in [0, 1]: gradients are differences of the two neighbours of a pixel (at the frame's
    edge the pixel itself is repeated), across patch borders too. A pixel votes with its gradient's length for the two
    orientations nearest to its own, the centres at 0, 20, ... 160 degrees, in proportion to how near they are. The votes
    of a cell are added up, and the cells of a patch and channel are a block: its values are divided by
    sqrt(sum of squares + 1e-6^2), so that flat patches are 0. Order: (frame, channel, row of cells, column, orientation).
    A patch whose side is no multiple of 8 is a single cell.
    """

    name: ClassVar[str] = "hog"

    @property
    def dim(self) -> int:
        """9 values per cell, channel and frame of a token: 216 for patches of 2 x 16 x 16."""
        return self.spec.tubelet * 3 * self._cells**2 * ORIENTATIONS

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim) in [0, 1]."""
        with torch.no_grad():
            x = self._with_border(source, tokens)
            across = x[..., 1:-1, 2:] - x[..., 1:-1, :-2]
            down = x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
            # In units of the distance between two orientations; both directions of an edge are one orientation.
            place = torch.atan2(down, across).remainder(math.pi) * (ORIENTATIONS / math.pi)
            length = torch.hypot(across, down)
            side, weighted = self.spec.patch // self._cells, place * length
            votes = []
            for k in range(ORIENTATIONS + 1):
                # length * (1 - |place - k|), where that is above 0, in few passes over the pixels
                vote = torch.sub(weighted, length, alpha=k).abs_().neg_().add_(length).clamp_min_(0)
                votes.append(vote.view(*vote.shape[:4], self._cells, side, self._cells, side).sum((5, 7)))
            votes[0] += votes.pop()  # 180 degrees are 0 degrees
            cells = torch.stack(votes, dim=-1)  # (B, n, tubelet, 3, rows, columns, 9)
            norm = cells.flatten(4).square().sum(-1).add(EPSILON**2).sqrt()
            return (cells / norm[..., None, None, None]).flatten(2)

    @property
    def _cells(self) -> int:
        """Cells per side of a patch."""
        return self.spec.patch // CELL if self.spec.patch % CELL == 0 else 1

    def _with_border(self, video: Tensor, tokens: Tensor) -> Tensor:
        """float32 (B, n, tubelet, 3, patch + 2, patch + 2) in [0, 1]: the tokens' pixels with one more on each side."""
        (_, h, w), p = self.spec.grid, self.spec.patch
        rows, columns = (self._reach(n, video.device) for n in (h, w))
        row = torch.arange(len(video), device=tokens.device)[:, None, None, None]
        cut = video.reshape(len(video), 3, -1, self.spec.tubelet, *self.spec.frame_size).permute(0, 2, 4, 5, 3, 1)
        step, y, x = tokens // (h * w), tokens // w % h, tokens % w
        picked = cut[row, step[..., None, None], rows[y][..., :, None], columns[x][..., None, :]]
        return (to_255(picked) / 255).permute(0, 1, 4, 5, 2, 3).reshape(*tokens.shape, -1, 3, p + 2, p + 2)

    def _reach(self, patches: int, device: torch.device) -> Tensor:
        """int64 (patches, patch + 2): the pixels of each patch along one side of the frame, its neighbours included."""
        pixels = torch.arange(patches * self.spec.patch, device=device)
        padded = F.pad(pixels[None].double(), (1, 1), mode="replicate")[0].long()
        return padded.unfold(0, self.spec.patch + 2, self.spec.patch)
