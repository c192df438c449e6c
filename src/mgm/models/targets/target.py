"""The base of targets: the values that a masked autoencoder predicts for a hidden token."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.spec import ModelSpec


@dataclass(frozen=True)
class Target(ABC):
    """Values per token, computed for the given tokens only.

    A new target is a frozen dataclass on this base - a name, `dim` and `__call__` - and one line in `catalog.py`.

    Attributes:
        spec: specification of the model.
    """

    name: ClassVar[str]
    """The name in the catalog and in the parts of the loss."""
    reads: ClassVar[Literal["video", "motion"]] = "video"
    """The source of the values: the clip, or the motion of the clip."""
    motion_parts: ClassVar[int] = 1
    """Of a target that reads motion: displacements per side of a patch."""
    needs: ClassVar[Literal["teacher", "image_teacher", "tokenizer"] | None] = None
    """The frozen network whose outputs are the values, a second argument of the class; None: there is none."""

    spec: ModelSpec

    @property
    @abstractmethod
    def dim(self) -> int:
        """Predicted values per token."""

    @property
    def width(self) -> int:
        """Values per token that `__call__` returns: `dim`, unless the prediction is a score for each of several classes."""
        return self.dim

    @abstractmethod
    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """The values, without a gradient.

        Args:
            source: as `reads`, the video (B, 3, T, H, W) as for the model, or float32 motion (B, T, h, w, 2) in pixels, h and w
                times `motion_parts`.
            tokens: int64 (B, n).

        Returns:
            float32 (B, n, width).
        """

    def activate(self, prediction: Tensor) -> Tensor:
        """The prediction from the decoder's output, both (B, n, dim): here the same."""
        return prediction

    def loss(self, prediction: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        """The error of a prediction, a scalar: here the mean square.

        Args:
            prediction: float32 (B, n, dim).
            values: float32 (B, n, width).
            valid: bool (B, n), False for padding; None: no padding.
        """
        if valid is None:
            return F.mse_loss(prediction, values)
        error = (prediction - values).square().mean(2)
        return (error * valid).sum() / valid.sum()

    @property
    def has_picture(self) -> bool:
        """Whether its predictions are pixels: it overrides `pixels`."""
        return type(self).pixels is not Target.pixels

    def pixels(self, prediction: Tensor, video: Tensor, tokens: Tensor) -> Tensor:
        """A prediction (B, n, dim) as pixels: float32 (B, n, token_pixels, 3), about [0, 1].

        Raises:
            ModelError: predictions are not pixels.
        """
        raise ModelError(
            f"target {self.name}",
            "its predictions are not pixels",
            advice="only predictions of pixel targets can be shown",
            reason="unsupported",
        )
