"""What a network does in masked prediction: embed patches, replace the hidden ones, return features of every token."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.encoder import Encoder
from mgm.models.patches import to_255
from mgm.models.spec import ModelSpec

SizesT = TypeVar("SizesT")


class Trunk(nn.Module, ABC):
    """A network with a mask token.

    Attributes:
        encoder: the network that is fine-tuned later.
        feature_dim: width of the features.
        per_token: features of each token, more than one where time is refined: a feature of each frame of its tubelet.
    """

    encoder: nn.Module
    feature_dim: int
    per_token: int = 1

    def __init__(self, spec: ModelSpec, dim: int) -> None:
        """dim: width of the embedded patches, which the mask token replaces."""
        super().__init__()
        self.spec = spec
        self.mask_token = nn.Parameter(torch.empty(dim))
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    @abstractmethod
    def set_up(self, *, drop_path: float, checkpointing: bool) -> None:
        """Set stochastic depth, of the last block and growing linearly from 0 at the first, and activation checkpointing.

        Raises:
            ModelError: the network does not have it.
        """

    def add_pictures(self) -> None:
        """Make the layers of clips of one step, pictures in batches of their own. Raises ModelError where there are none."""
        raise ModelError(
            "pictures", f"found true for {type(self).__name__}", "false, or the network swin", reason="unsupported"
        )

    @abstractmethod
    def forward(self, video: Tensor, hidden: Tensor) -> Tensor:
        """Features, normalised by the network's last norm.

        Args:
            video: (B, 3, T, H, W), uint8, or floating point normalised with ImageNet's statistics.
            hidden: bool (B, t, h, w), on the video's device.

        Returns:
            (B, N, per_token, feature_dim).
        """

    def replace(self, x: Tensor, hidden: Tensor) -> Tensor:
        """The embedded patches (B, t, h', w', dim), those under hidden tokens replaced; their grid is finer than the tokens'."""
        sides = x.shape[1:4]
        if hidden.shape[1:] != sides:
            hidden = F.interpolate(hidden[:, None].float(), size=sides, mode="nearest")[:, 0].bool()
        return torch.where(hidden[..., None], self.mask_token.to(x), x)


class ViTTrunk(Trunk):
    """mgm's encoder: the position embedding is added after the replacement, as in MaskFeat's ViT (Wei et al. 2022) and BEiT."""

    encoder: Encoder

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, spec.encoder.dim)
        self.encoder = Encoder(spec)
        self.feature_dim = spec.encoder.dim

    def set_up(self, *, drop_path: float, checkpointing: bool) -> None:
        """See `Trunk.set_up`."""
        self.encoder.set_drop_path(drop_path)
        self.encoder.checkpointing = checkpointing

    def forward(self, video: Tensor, hidden: Tensor) -> Tensor:
        """See `Trunk.forward`."""
        embedded = self.encoder.embed(video)
        token = self.mask_token.to(embedded) + self.encoder.position_embedding()
        x = self.encoder.transform(torch.where(hidden.flatten(1)[..., None], token, embedded))
        return x[:, :, None]


def sizes_of(name: str, spec: ModelSpec, known: Mapping[str, SizesT]) -> SizesT:
    """The sizes of the network `name` for `spec.size`. Raises ModelError if it does not have this size."""
    if spec.size not in known:
        raise ModelError("size", f"found {spec.size!r}", f"{' or '.join(known)} for {name}", reason="unknown_name")
    return known[str(spec.size)]


def wrong_tokens(found: str, expected: str) -> ModelError:
    """The error of a specification whose tokens are not cells of the network."""
    return ModelError("patch", found, expected, "leave model.patch and model.tubelet out", reason="mismatch")


def normalised(video: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """A video as for `Trunk.forward`, normalised with these statistics per channel instead: float32 of the same shape."""
    values = to_255(video.movedim(1, -1)) / 255
    centre, scale = (torch.cat([values.new_full((1,), v) for v in numbers]) for numbers in (mean, std))
    return ((values - centre) / scale).movedim(-1, 1)
