"""Trajectories of points as a target (M3Video, MME: Sun et al. 2023)."""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from mgm.models.targets.target import Target

_LONGEST: Final = 20  # pixels per step
_SIDE: Final = 2  # seeds per side of a patch: one each 8 pixels for patches of 16
_EPSILON: Final = 1e-6


@dataclass(frozen=True)
class Trajectory(Target):
    """How 2 x 2 points of a patch move over some steps, each step relative to the four.

    A point starts at the centre of each quarter of a patch, in the first frame of the token's tubelet. At each step it moves by
    the displacement of the cell that it is in, cut to whole pixels as the authors' is. Theirs comes from TV-L1 flow; here it is the
    motion of the batch, of the codec or of flow. A point that leaves the frame continues from its edge. Displacements are limited
    to +-20 pixels. Per step and coordinate they become (x - mean) / (deviation + 1e-6) over the four points, the deviation unbiased
    ("PatchStd"): 0 where the points move alike. Predictions pass a tanh. Order: (coordinate, step, row, column).

    The authors step along consecutive frames of the video; here steps are those of the clip's frames, whose motion covers the
    frames between. NaN, which the loss leaves out: steps beyond the clip's last frame, motion that was not measured, and tokens of
    which each point has left the frame before a step.

    Attributes:
        steps: number of steps, 4 in the authors' script.
    """

    name: ClassVar[str] = "trajectory"
    reads = "motion"
    motion_parts: ClassVar[int] = _SIDE

    steps: int = 4

    @property
    def dim(self) -> int:
        """Two coordinates per step and point: 32."""
        return 2 * self.steps * _SIDE**2

    def activate(self, prediction: Tensor) -> Tensor:
        """A tanh."""
        return prediction.tanh()

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """source: float32 (B, T, 2 h, 2 w, 2), mean displacement of the quarters of patches in pixels. Returns (B, n, dim)."""
        with torch.no_grad():
            (t, h, w), batch = self.spec.grid, len(source)
            moves, inside = self._followed(source.float())
            moves = moves.clamp(-_LONGEST, _LONGEST)
            # (B, t, steps, 2 h, 2 w, 2) -> (B, t, h, w, 2, steps, 4)
            cut = moves.view(batch, t, self.steps, h, _SIDE, w, _SIDE, 2).permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(6)
            cut = (cut - cut.mean(-1, keepdim=True)) / (cut.std(-1, keepdim=True) + _EPSILON)
            counts = inside.view(batch, t, h, _SIDE, w, _SIDE).any(5).any(3)
            values = cut.flatten(4).masked_fill(~counts[..., None], torch.nan)
            return values.flatten(1, 3).take_along_dim(tokens[:, :, None], dim=1)

    def _followed(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements float32 (B, t, steps, 2 h, 2 w, 2), and bool (B, t, 2 h, 2 w): the point began each step in the frame."""
        batch, frames, rows, columns, _ = motion.shape
        height, width = self.spec.frame_size
        side = self.spec.patch / _SIDE
        first = torch.arange(self.spec.grid[0], device=motion.device) * self.spec.tubelet
        y = ((torch.arange(rows, device=motion.device) + 0.5) * side)[:, None].expand(batch, len(first), rows, columns)
        x = ((torch.arange(columns, device=motion.device) + 0.5) * side).expand(batch, len(first), rows, columns)
        clip = torch.arange(batch, device=motion.device)[:, None, None, None]
        inside = torch.ones_like(x, dtype=torch.bool)
        moves = []
        for step in range(self.steps):
            inside = inside & (x >= 0) & (x < width) & (y >= 0) & (y < height)
            x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
            frame = first + step + 1  # its motion is that since the frame before
            row, column = (y / side).long(), (x / side).long()
            move = motion[clip, frame.clamp_max(frames - 1)[:, None, None], row, column].trunc()
            known = (frame < frames)[:, None, None, None] & ~move.isnan()
            still = torch.where(known, move, 0)
            x, y = x + still[..., 0], y + still[..., 1]
            moves.append(torch.where(known, move, torch.nan))
        return torch.stack(moves, dim=2), inside

    def loss(self, prediction: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        """The squared error over the known values, divided by the number of all values, as the authors' weights of 0 and 1 do."""
        known = ~values.isnan() if valid is None else ~values.isnan() & valid[:, :, None]
        error = torch.where(known, prediction - values, 0).square()  # the gradient at a NaN is 0, not NaN
        return error.sum() / (values.numel() if valid is None else (valid.sum() * self.dim).clamp_min(1))
