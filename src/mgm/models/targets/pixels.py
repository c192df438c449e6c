"""Targets of pixels: normalised, unchanged, of one frame of each tubelet, and the difference between frames."""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from mgm.models.patches import patchify, to_255
from mgm.models.targets.target import Target

# The reference adds this to the standard deviation of values in [0, 1].
EPSILON: Final = 1e-6
# MAE-ST normalises its videos with this deviation and adds EPSILON to the variance of a patch in that unit.
_MAE_ST_STD: Final = 0.225


@dataclass(frozen=True)
class NormalisedPixels(Target):
    """Pixels normalised per patch and per channel, the target of VideoMAE (He et al. 2022, Tong et al. 2022).

    (x - mean) / (sqrt(var) + 1e-6) over the pixels of a token, x in [0, 1], unbiased variance, flattened channel-last.
    """

    name: ClassVar[str] = "normalised-pixels"

    @property
    def dim(self) -> int:
        """Three values per pixel of a token."""
        return 3 * self.spec.token_pixels

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim); mean 0 and, in patches that are not flat, variance 1 per token and channel."""
        with torch.no_grad():
            _, centred, deviation = self._statistics(source, tokens)
            return centred.div_(deviation).flatten(2)

    def pixels(self, prediction: Tensor, video: Tensor, tokens: Tensor) -> Tensor:
        """The prediction scaled by the TRUE patch's mean and deviation, which the model does not predict: for display."""
        mean, _, deviation = self._statistics(video, tokens)
        return (prediction.float().reshape(*tokens.shape, -1, 3) * deviation + mean) / 255

    def _statistics(self, video: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """In units of 1/255: mean (B, n, 1, 3), centred pixels (B, n, token_pixels, 3), deviation (B, n, 1, 3)."""
        pixels = to_255(patchify(video, self.spec, tokens))
        mean = pixels.mean(2, keepdim=True)
        # In place: new memory costs more than the arithmetic. Two passes keep flat patches exact, one would not.
        centred = pixels.sub_(mean)
        deviation = torch.linalg.vector_norm(centred, dim=2, keepdim=True) / max(1, self.spec.token_pixels - 1) ** 0.5
        return mean, centred, deviation + 255 * EPSILON


@dataclass(frozen=True)
class Pixels(Target):
    """Pixels, RGB in [0, 1], flattened channel-last."""

    name: ClassVar[str] = "pixels"

    @property
    def dim(self) -> int:
        """Three values per pixel of a token."""
        return 3 * self.spec.token_pixels

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim) in [0, 1]."""
        with torch.no_grad():
            return to_255(patchify(source, self.spec, tokens)).div_(255).flatten(2)

    def pixels(self, prediction: Tensor, video: Tensor, tokens: Tensor) -> Tensor:
        """The prediction itself, (B, n, token_pixels, 3)."""
        return prediction.float().reshape(*tokens.shape, -1, 3)


@dataclass(frozen=True)
class OneFrame(Target):
    """One frame of each tubelet, normalised per patch over all its values: the target of MAE-ST (Feichtenhofer et al. 2022).

    (x - mean) / sqrt(var + 1e-6) over the patch's pixels and channels together, unbiased variance; the epsilon is in
    the unit of MAE-ST's videos, (x - .45) / .225, x in [0, 1]. Of T frames in t tubelets the t frames of
    `linspace(0, T - 1)`, rounded down, are used: the first of each tubelet of 2, and the last of the clip.
    """

    name: ClassVar[str] = "one-frame"

    @property
    def dim(self) -> int:
        """Three values per pixel of a patch."""
        return 3 * self.spec.patch**2

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim), flattened channel-last; mean 0 per token."""
        with torch.no_grad():
            _, centred, deviation = self._statistics(source, tokens)
            return (centred / deviation).flatten(2)

    def pixels(self, prediction: Tensor, video: Tensor, tokens: Tensor) -> Tensor:
        """The predicted frame, scaled by the TRUE patch's mean and deviation, at every frame of its tubelet."""
        mean, _, deviation = self._statistics(video, tokens)
        patch = (prediction.float().reshape(*tokens.shape, -1, 3) * deviation + mean) / 255
        return patch.repeat(1, 1, self.spec.tubelet, 1)

    def _statistics(self, video: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """In units of 1/255: mean (B, n, 1, 1), centred pixels (B, n, patch * patch, 3), deviation (B, n, 1, 1)."""
        steps, tubelet = self.spec.grid[0], self.spec.tubelet
        step = tokens // (self.spec.tokens // steps)
        within = step * (self.spec.frames - 1) // max(1, steps - 1) - step * tubelet
        frames = to_255(patchify(video, self.spec, tokens)).view(*tokens.shape, tubelet, -1, 3)
        pixels = frames.take_along_dim(within[:, :, None, None, None], dim=2).squeeze(2)
        mean = pixels.mean((2, 3), keepdim=True)
        centred = pixels - mean
        variance = centred.square().sum((2, 3), keepdim=True) / (self.dim - 1)
        return mean, centred, (variance + EPSILON * (255 * _MAE_ST_STD) ** 2).sqrt()


@dataclass(frozen=True)
class FrameDifference(Target):
    """Difference to the previous frame (MotionMAE, Yang et al. 2022): x_f - x_{f-1}, RGB in [0, 1], channel-last.

    The difference of the clip's first frame is 0.
    """

    name: ClassVar[str] = "frame-difference"

    @property
    def dim(self) -> int:
        """Three values per pixel of a token."""
        return 3 * self.spec.token_pixels

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim) in [-1, 1]."""
        per_step = self.spec.tokens // self.spec.grid[0]
        first = tokens < per_step
        with torch.no_grad():
            frames = self._frames(source, tokens)
            before = self._frames(source, torch.where(first, tokens, tokens - per_step))[:, :, -1:]
            before = torch.where(first[:, :, None, None, None], frames[:, :, :1], before)
            return ((frames - torch.cat((before, frames[:, :, :-1]), dim=2)) / 255).flatten(2)

    def _frames(self, video: Tensor, tokens: Tensor) -> Tensor:
        """In units of 1/255: float32 (B, n, tubelet, patch * patch, 3)."""
        return to_255(patchify(video, self.spec, tokens)).view(*tokens.shape, self.spec.tubelet, -1, 3)
