"""What a masked autoencoder predicts for a masked token. A new target is one small class and one line in `TARGETS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from mgm.models.patches import brightness, patches_of
from mgm.models.sizes import ModelSpec

# The reference adds this to the standard deviation of values in [0, 1].
EPSILON: Final = 1e-6


class Target(Protocol):
    """What is predicted, computed for masked tokens only."""

    @property
    def dim(self) -> int:
        """Values per token."""
        ...

    def __call__(self, video: Tensor, masked: Tensor) -> Tensor:
        """video: (B, 3, T, H, W) as the model takes it. masked: int64 (B, n). Returns float32 (B, n, dim)."""
        ...

    def pixels(self, prediction: Tensor, video: Tensor, masked: Tensor) -> Tensor:
        """A prediction (B, n, dim) as pixels: float32 (B, n, token_pixels, 3), about [0, 1].

        Raises ModelError where a prediction is no picture.
        """
        ...


@dataclass(frozen=True)
class NormalisedPixels:
    """Pixels normalised per patch and per channel, the target of VideoMAE (He et al. 2022, Tong et al. 2022).

    (x - mean) / (sqrt(var) + 1e-6) over the pixels of a token, x in [0, 1], unbiased variance, flattened channel-last.
    """

    spec: ModelSpec

    @property
    def dim(self) -> int:
        """Three values per pixel of a token."""
        return 3 * self.spec.token_pixels

    def __call__(self, video: Tensor, masked: Tensor) -> Tensor:
        """Returns float32 (B, n, dim); mean 0 and, in patches that are not flat, variance 1 per token and channel."""
        with torch.no_grad():
            _, centred, deviation = self._statistics(video, masked)
            return (centred / deviation).flatten(2)

    def pixels(self, prediction: Tensor, video: Tensor, masked: Tensor) -> Tensor:
        """The prediction scaled by the TRUE patch's mean and deviation, which nobody predicted: for pictures."""
        mean, _, deviation = self._statistics(video, masked)
        return (prediction.float().reshape(*masked.shape, -1, 3) * deviation + mean) / 255

    def _statistics(self, video: Tensor, masked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """In units of 1/255: mean (B, n, 1, 3), centred pixels (B, n, token_pixels, 3), deviation (B, n, 1, 3)."""
        pixels = brightness(patches_of(video, self.spec, masked))
        mean = pixels.mean(2, keepdim=True)
        centred = pixels - mean
        # Two passes take a third of the time of torch.var_mean, for this axis is not the last; flat patches are exact.
        variance = centred.square().sum(2, keepdim=True) / max(1, self.spec.token_pixels - 1)
        return mean, centred, variance.sqrt() + 255 * EPSILON


@dataclass(frozen=True)
class Pixels:
    """Pixels as they are, RGB in [0, 1], flattened channel-last."""

    spec: ModelSpec

    @property
    def dim(self) -> int:
        """Three values per pixel of a token."""
        return 3 * self.spec.token_pixels

    def __call__(self, video: Tensor, masked: Tensor) -> Tensor:
        """Returns float32 (B, n, dim) in [0, 1]."""
        with torch.no_grad():
            return (brightness(patches_of(video, self.spec, masked)) / 255).flatten(2)

    def pixels(self, prediction: Tensor, video: Tensor, masked: Tensor) -> Tensor:
        """The prediction itself, (B, n, token_pixels, 3)."""
        return prediction.float().reshape(*masked.shape, -1, 3)


TARGETS: Final[Mapping[str, Callable[[ModelSpec], Target]]] = {
    "normalised-pixels": NormalisedPixels,
    "pixels": Pixels,
}
