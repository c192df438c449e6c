"""V-JEPA 2's encoder (Assran et al. 2025) for probing, built by transformers, which its authors publish it for (extra `hf`).

Its weights have no classes: `mgm probe WEIGHTS SET --model vjepa2-l` trains them on frozen tokens, as the paper's attentive probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.network import VideoNetwork
from mgm.models.networks.vit_parts import tubelets_per_clip
from mgm.models.networks.weights import ALL_BUT_HEAD, WeightsFormat
from mgm.models.patches import MEAN, STD

_TUBELET: Final = 2


@dataclass(frozen=True, slots=True)
class VJepa2Spec:
    """The sizes of V-JEPA 2's encoder.

    Attributes:
        dim, depth, heads, mlp: of the blocks, the last relative to dim.
        patch: side in pixels.
    """

    dim: int
    depth: int
    heads: int
    mlp: float = 4.0
    patch: int = 16


class VJepa2(VideoNetwork):
    """A ViT of tubelets with rotary positions of three axes; `classify` is the mean of its tokens and a linear layer."""

    first_layers = ("encoder.embeddings.",)
    blocks_below = "encoder.layer."

    def __init__(
        self,
        spec: VJepa2Spec,
        *,
        classes: int,
        labels: Sequence[str] | None = None,
        frames: int | None = None,
        size: int = 256,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(classes=classes, labels=labels, mean=MEAN, std=STD, frames=frames, size=size)
        if frames is not None:
            tubelets_per_clip(frames, _TUBELET)
        self.feature_dim, self.depth = spec.dim, spec.depth
        self.encoder = _encoder(spec, size, drop_path)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(spec.dim, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        """The tokens in the order (t, h, w), after the last norm: (B, N, dim)."""
        tokens: Tensor = self.encoder(pixel_values_videos=x.transpose(1, 2)).last_hidden_state
        return tokens

    def classify(self, features: Tensor) -> Tensor:
        """See `VideoNetwork.classify`."""
        logits: Tensor = self.head(self.dropout(features.mean(1)))
        return logits


def _encoder(spec: VJepa2Spec, size: int, drop_path: float) -> nn.Module:
    try:
        from transformers import VJEPA2Config, VJEPA2Model
    except ImportError as error:
        raise ModelError.missing_package("vjepa2", "transformers with V-JEPA 2", extra="hf") from error
    sizes = {"hidden_size": spec.dim, "num_hidden_layers": spec.depth, "num_attention_heads": spec.heads}
    # The predictor of pretraining is not used: it is made as small as it can be, and dropped.
    least = {"pred_hidden_size": 24, "pred_num_attention_heads": 1, "pred_num_hidden_layers": 1}
    config = VJEPA2Config(
        crop_size=size,
        patch_size=spec.patch,
        mlp_ratio=spec.mlp,
        drop_path_rate=drop_path,
        attn_implementation="sdpa",
        **sizes,
        **least,
    )
    encoder: nn.Module = VJEPA2Model(config).encoder.to(torch.get_default_dtype())
    return encoder


def from_huggingface(name: str) -> str | None:
    """The name of a weight of transformers' VJEPA2Model or VJEPA2ForVideoClassification; None for its predictor and its probe."""
    bare = name.removeprefix("vjepa2.")
    return None if bare.startswith(("predictor.", "pooler.", "classifier.")) else bare


def build_vjepa2(spec: VJepa2Spec, options: NetworkOptions) -> VJepa2:
    """See `NetworkBuilder`."""
    return VJepa2(spec, **options.given("classes", "labels", "frames", "size", "dropout", "drop_path"))


_KEY: Final = "encoder.layer.0.attention.query.weight"


def _entry(letter: str, spec: VJepa2Spec, **facts: Any) -> NetworkEntry:
    return NetworkEntry(
        name=f"vjepa2-{letter}",
        title=f"V-JEPA 2, ViT-{letter}",
        build=partial(build_vjepa2, spec),
        formats=tuple(
            WeightsFormat("Hugging Face V-JEPA 2", key, from_huggingface, fresh=ALL_BUT_HEAD)
            for key in (_KEY, f"vjepa2.{_KEY}")
        ),
        classes=174,
        class_names=None,
        frames=16,
        stride=4,
        size=256,
        views=(2, 3),
        sampling="dense",
        licence="MIT",
        source="https://huggingface.co/facebook",
        paper="Assran et al. 2025",
        recipe="probe-vjepa2-vitl",
        needs="transformers",
        **facts,
    )


ENTRIES: Final = (
    _entry("l", VJepa2Spec(1024, 24, 16), parameters=304_063_662, gmacs=827.9),
    _entry("h", VJepa2Spec(1280, 32, 16), parameters=631_870_894, gmacs=1636.1),
    _entry("g", VJepa2Spec(1408, 40, 22, 48 / 11), parameters=1_012_419_118, gmacs=2543.8),
)
