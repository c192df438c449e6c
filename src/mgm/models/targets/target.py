"""What a target is: the values that a masked autoencoder predicts for a hidden token."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from mgm.errors import ModelError
from mgm.models.sizes import ModelSpec


@dataclass(frozen=True)
class Target(ABC):
    """Values per token, computed for the tokens that are asked for only.

    A new target is a frozen dataclass on this base - a name, `dim` and `__call__` - and one line in `catalog.py`.
    spec: of the model that predicts it.
    """

    name: ClassVar[str]
    """The name in the catalog, and of its part of the loss."""
    reads: ClassVar[Literal["video", "motion"]] = "video"
    """What it is computed from: the clip, or the motion that the batch brings along."""

    spec: ModelSpec

    @property
    @abstractmethod
    def dim(self) -> int:
        """Values per token."""

    @abstractmethod
    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """The values, without a gradient.

        source: the video (B, 3, T, H, W) as the model takes it, or float32 motion (B, T, h, w, 2), as `reads` says.
        tokens: int64 (B, n). Returns float32 (B, n, dim).
        """

    def pixels(self, prediction: Tensor, video: Tensor, tokens: Tensor) -> Tensor:
        """A prediction (B, n, dim) as pixels: float32 (B, n, token_pixels, 3), about [0, 1].

        Raises ModelError where a prediction is no picture.
        """
        raise ModelError(f"target {self.name}: its predictions are no pixels; only those of pixel targets can be shown")
