"""The clip's motion as a target (M3Video, Sun et al. 2023; TrackMAE)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mgm.models.targets.target import Target


@dataclass(frozen=True)
class MotionTarget(Target):
    """The mean displacement (dx, dy) of each frame of a token since the frame before, in sides of a patch.

    It reads the motion that a batch contains for its masks; the model itself reads pixels only.
    """

    name: ClassVar[str] = "motion"
    reads = "motion"

    @property
    def dim(self) -> int:
        """Two values per frame of a token."""
        return 2 * self.spec.tubelet

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """source: float32 (B, T, h, w, 2), mean displacement per patch in pixels. Returns float32 (B, n, dim)."""
        with torch.no_grad():
            t, h, w = self.spec.grid
            per_token = source.reshape(len(source), t, self.spec.tubelet, h * w, 2).transpose(2, 3)
            values = per_token.reshape(len(source), self.spec.tokens, self.dim).float() / self.spec.patch
            return values.take_along_dim(tokens[:, :, None], dim=1)

    def loss(self, prediction: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        """The mean square over the values that are known of each clip, 0 if none is. Motion is NaN where it was not measured.

        The mean over clips: it counts a clip as often as its tokens, whatever is known, so that parts of a batch add up to it.
        """
        known = ~values.isnan() if valid is None else ~values.isnan() & valid[:, :, None]
        error = torch.where(known, prediction - values, 0).square()  # the gradient at a NaN is 0, not NaN
        of_clip = error.sum((1, 2)) / known.sum((1, 2)).clamp_min(1)
        return of_clip.mean() if valid is None else (of_clip * valid.sum(1)).sum() / valid.sum()


@dataclass(frozen=True)
class AsinhMotion(MotionTarget):
    """The displacements of `MotionTarget` in sixteenths of a patch, through the inverse hyperbolic sine. Ours.

    Most patches of real video do not move, and a few move by their own size: without the transform, these few are the whole error.
    asinh is linear below one unit and logarithmic above: slow motion counts, and a wrong vector costs its logarithm. Motion that
    was not measured is NaN in the source and stays NaN; the loss omits it.
    """

    name: ClassVar[str] = "asinh-motion"

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """As `MotionTarget`."""
        return torch.asinh(super().__call__(source, tokens) * _UNITS_PER_PATCH)


_UNITS_PER_PATCH = 16
