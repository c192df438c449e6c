"""What every supervised network has in common: the range of its input, its features, its classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.sizes import check_classes

PIXEL_MEAN, PIXEL_STD = 0.45, 0.225
"""Of RGB in [0, 1], as PySlowFast normalises every channel."""


class CatalogBuild(NamedTuple):
    """How a network of the catalog was built: the name of its entry, frames and side in pixels of its clips."""

    name: str
    frames: int
    size: int


class VideoNetwork(nn.Module, ABC):
    """A network from a clip to the scores of classes, which normalises its input itself.

    A padded first convolution is why: a difference of normalisations cannot be folded into it, as it can for ViT's patches.
    Subclasses set `feature_dim` and `head`, the last linear layer (`features` and `classify` are below); a subclass whose
    recipe has layer decay also sets `depth`, and `first_layers` and `blocks_below` or its own `depth_of`.

    Args:
        classes: number of labels.
        labels: their names in the order of the logits; None if unknown.
        mean, std: of RGB in [0, 1], one number or one per channel: the input of `features` is (x - mean) / std.
        frames, size: of a clip; None: any.

    Raises:
        ModelError: a number is out of range or the labels are not as many as the classes.
    """

    feature_dim: int
    head: nn.Linear
    depth: int = 0
    """Number of blocks, for layer decay; 0: the network's recipe has none."""
    first_layers: tuple[str, ...] = ()
    """Beginnings of the names of the parameters before the first block."""
    blocks_below: str = "blocks."
    """Beginning of the names of the blocks' parameters, before the number of the block."""
    catalog_build: CatalogBuild | None = None
    """Set where a network comes from the catalog; None: built by hand. An export describes it."""

    def __init__(
        self,
        *,
        classes: int,
        labels: Sequence[str] | None = None,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        frames: int | None = None,
        size: int | None = None,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.labels = check_classes(classes, labels)
        self.frames, self.size = frames, size
        shape = (1, 3, 1, 1, 1)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", _per_channel(mean).view(shape), persistent=False)
        self.register_buffer("std", _per_channel(std).view(shape), persistent=False)

    def forward(self, video: Tensor) -> Tensor:
        """Logits of clips.

        Args:
            video: (B, 3, T, H, W), uint8 RGB, or floating point RGB in [0, 1].

        Returns:
            (B, classes): their softmax are the probabilities.

        Raises:
            ModelError: type or shape do not fit.
        """
        return self.classify(self.tokens(video))

    def tokens(self, video: Tensor) -> Tensor:
        """The features of clips, (B, n, feature_dim); `video` as in `forward`."""
        return self.features(self.normalised(video))

    def normalised(self, video: Tensor) -> Tensor:
        """`(x - mean) / std` of RGB in [0, 1], in the type of the weights; `video` as in `forward`."""
        self.check(video)
        x = video.to(self.head.weight.dtype)
        if video.dtype == torch.uint8:
            x = x / 255
        return (x - self.mean) / self.std

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Tokens, or the cells of the last map, before pooling.

        Args:
            x: normalised, (B, 3, T, H, W).

        Returns:
            (B, n, feature_dim); a class token is token 0.
        """

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Logits (B, classes) of `features`."""

    def depth_of(self, name: str) -> int:
        """The layer of a parameter for layer decay: 0 for the first embedding, k + 1 for block k, `depth` + 1 for the head."""
        if name.startswith(self.first_layers):
            return 0
        if not name.startswith(self.blocks_below):
            return self.depth + 1
        return int(name.removeprefix(self.blocks_below).partition(".")[0]) + 1

    def fit(self, name: str, value: Tensor) -> Tensor:
        """The weight `name` of other clips or windows as this network holds it, such as an interpolated table."""
        return value

    def replace_head(self, classes: int, labels: Sequence[str] | None = None) -> None:
        """Replace the last layer by a new one for other classes, as fine-tuning from weights of another set does."""
        self.classes, self.labels = classes, check_classes(classes, labels)
        old = self.head
        self.head = nn.Linear(old.in_features, classes, bias=old.bias is not None).to(old.weight)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def check(self, video: object) -> None:
        """Raises ModelError unless `video` is an input of `forward`."""
        frames, size = self.frames or "T", self.size
        expected = f"(B, 3, {frames}, {size or 'H'}, {size or 'W'})"
        if not isinstance(video, Tensor):
            raise ModelError("video", f"found {type(video).__name__}", f"a tensor {expected}", reason="invalid_type")
        shape = tuple(video.shape)
        wanted = (3, self.frames, size, size)
        if len(shape) != 5 or any(one not in (None, n) for n, one in zip(shape[1:], wanted, strict=True)):
            raise ModelError(
                "video",
                f"found shape {shape}",
                expected,
                "resample or resize the clip, or build the network for these frames and this size",
                reason="invalid_shape",
            )
        if 0 in shape:
            raise ModelError("video", f"found an empty batch of shape {shape}", expected, reason="invalid_shape")
        if video.dtype != torch.uint8 and not video.is_floating_point():
            raise ModelError(
                "video", f"found {video.dtype}", "uint8 (0 to 255) or floating point (0 to 1)", reason="invalid_type"
            )


class TokensOf(nn.Module):
    """A network without its head: the features of clips, (B, n, feature_dim)."""

    def __init__(self, network: VideoNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, video: Tensor) -> Tensor:
        """See `VideoNetwork.tokens`."""
        return self.network.tokens(video)


def check_no_stochastic_depth(name: str, drop_path: float | None) -> None:
    """Raises ModelError for a rate of a network that has none. name: of the network, for the message."""
    if drop_path:
        raise ModelError(
            "drop_path", f"found {drop_path}", "0", f"{name} has no stochastic depth", reason="unsupported"
        )


def _per_channel(values: float | Sequence[float]) -> Tensor:
    return torch.tensor([values] * 3 if isinstance(values, int | float) else list(values), dtype=torch.float32)
