"""TimeSformer (Bertasius et al. 2021) as its authors publish it: divided attention with a class token and learned positions.

mgm's own backbone `timesformer` has neither, because tokens may be hidden from it: it cannot hold these weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.attention import Mlp, Residual, linear_drop_path, split_heads
from mgm.models.networks.class_names import ClassList
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.image_start import State, vit_on_grid
from mgm.models.networks.network import PIXEL_MEAN, PIXEL_STD, VideoNetwork
from mgm.models.networks.vit_parts import patches_per_side, start_linear_layers
from mgm.models.networks.weights import WeightsFormat, same_name, vit_formats

_EPS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class TimeSformerSpec:
    """The sizes of a TimeSformer.

    Attributes:
        frames, size, patch: of a clip, in frames and pixels.
        dim, depth, heads: of the blocks.
        drop_path: of the last block.
    """

    frames: int = 8
    size: int = 224
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12
    drop_path: float = 0.1


class TimeSformer(VideoNetwork):
    """A ViT of 2-D patches whose blocks attend along time, then within each frame.

    Weights have the authors' names. dropout: rate before the head.
    """

    first_layers = ("cls_token", "pos_embed", "time_embed", "patch_embed")

    def __init__(
        self, spec: TimeSformerSpec, *, classes: int, labels: Sequence[str] | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__(
            classes=classes, labels=labels, mean=PIXEL_MEAN, std=PIXEL_STD, frames=spec.frames, size=spec.size
        )
        self.feature_dim, self.depth = spec.dim, spec.depth
        places = patches_per_side(spec.size, spec.patch) ** 2
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, spec.dim, spec.patch, spec.patch)})
        self.cls_token = nn.Parameter(torch.empty(1, 1, spec.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, places + 1, spec.dim))
        self.time_embed = nn.Parameter(torch.zeros(1, spec.frames, spec.dim))
        self.blocks = nn.ModuleList(
            DividedClassBlock(spec.dim, spec.heads, drop_path=rate)
            for rate in linear_drop_path(spec.drop_path, spec.depth)
        )
        self.norm = nn.LayerNorm(spec.dim, eps=_EPS)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(spec.dim, classes)
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)
        start_linear_layers(self)
        for block in self.blocks[1:]:  # a start from an image model attends within frames only, but for the first block
            nn.init.zeros_(block.temporal_fc.weight)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(block.temporal_fc.bias)  # type: ignore[union-attr, arg-type]

    def features(self, x: Tensor) -> Tensor:
        """The class token, then the patches in the order (t, h, w), after the last norm: (B, 1 + N, dim)."""
        batch, _, steps = x.shape[:3]
        patches = self.patch_embed["proj"](x.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2)
        tokens = (
            patches.view(batch, steps, *patches.shape[1:]) + self.pos_embed[:, None, 1:] + self.time_embed[:, :, None]
        )
        first = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
        x = torch.cat((first, tokens.flatten(1, 2)), dim=1)
        for block in self.blocks:
            x = block(x, steps)
        out: Tensor = self.norm(x)
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Logits of the class token."""
        logits: Tensor = self.head(self.dropout(features[:, 0]))
        return logits


class SelfAttention(nn.Module):
    """Multi-head self-attention with a bias on queries, keys and values, as published weights have it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, n, dim). Returns (B, n, dim)."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class DividedClassBlock(Residual):
    """Attention of the patches at one place along time; then within each frame, with a copy of the class token; then the MLP.

    The class token receives the mean of its copies' results. drop_path: as in `Residual`.
    """

    def __init__(self, dim: int, heads: int, *, drop_path: float) -> None:
        super().__init__(drop_path)
        self.temporal_norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.temporal_attn = SelfAttention(dim, heads)
        self.temporal_fc = nn.Linear(dim, dim)
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=_EPS)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        """x: (B, 1 + N, dim), the class token and the patches in the order (t, h, w). steps: t. Returns (B, 1 + N, dim)."""
        batch = x.shape[0]
        first, patches = x[:, :1], x[:, 1:].reshape(batch, steps, -1, x.shape[2])  # (B, t, h*w, dim)
        tubes = patches.transpose(1, 2)  # (B, h*w, t, dim)
        mixed = self.temporal_fc(self._skip(self.temporal_attn(self.temporal_norm1(tubes.flatten(0, 1)))))
        patches = patches + mixed.view(tubes.shape).transpose(1, 2)

        frames = torch.cat((first[:, None].expand(-1, steps, -1, -1), patches), dim=2)  # (B, t, 1 + h*w, dim)
        mixed = self._skip(self.attn(self.norm1(frames.flatten(0, 1)))).view(frames.shape)
        first = first + mixed[:, :, 0].mean(1, keepdim=True)
        x = torch.cat((first, (patches + mixed[:, :, 1:]).flatten(1, 2)), dim=1)
        return x + self._skip(self.mlp(self.norm2(x)))


_TOP: Final = {
    "timesformer.embeddings.cls_token": "cls_token",
    "timesformer.embeddings.position_embeddings": "pos_embed",
    "timesformer.embeddings.time_embeddings": "time_embed",
}
_PARTS: Final = {
    "timesformer.embeddings.patch_embeddings.projection": "patch_embed.proj",
    "timesformer.layernorm": "norm",
    "classifier": "head",
}
_IN_BLOCK: Final = {
    "temporal_layernorm": "temporal_norm1",
    "temporal_attention.attention.qkv": "temporal_attn.qkv",
    "temporal_attention.output.dense": "temporal_attn.proj",
    "temporal_dense": "temporal_fc",
    "layernorm_before": "norm1",
    "attention.attention.qkv": "attn.qkv",
    "attention.output.dense": "attn.proj",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}


def from_huggingface_timesformer(name: str) -> str | None:
    """The name of a weight of transformers' TimesformerForVideoClassification."""
    if name in _TOP:
        return _TOP[name]
    part, _, kind = name.rpartition(".")
    if part in _PARTS:
        return f"{_PARTS[part]}.{kind}"
    block = re.fullmatch(r"timesformer\.encoder\.layer\.(\d+)\.(.+)", part)
    if block is None or block[2] not in _IN_BLOCK:
        return name
    return f"blocks.{block[1]}.{_IN_BLOCK[block[2]]}.{kind}"


def inflate_vit(network: nn.Module, state: State) -> dict[str, Tensor]:
    """A ViT of images as the authors start from it: attention in time begins as that within frames, with its norm."""
    assert isinstance(network, TimeSformer)
    found = vit_on_grid(state, network.pos_embed.shape[1] - 1)
    for name, value in list(found.items()):
        block = re.fullmatch(r"(blocks\.\d+\.)((?:attn|norm1)\..*)", name)
        if block is not None:
            found[f"{block[1]}temporal_{block[2]}"] = value
    return found


_FRESH: Final = r"head\..*|time_embed|blocks\.\d+\.temporal_fc\..*"
_FORMATS: Final = (
    WeightsFormat("TimeSformer", "blocks.0.temporal_fc.weight", same_name),
    WeightsFormat(
        "Hugging Face TimeSformer", "timesformer.encoder.layer.0.temporal_dense.weight", from_huggingface_timesformer
    ),
    *vit_formats(_FRESH, inflate_vit),
)


def build_timesformer(options: NetworkOptions) -> TimeSformer:
    """See `NetworkBuilder`."""
    spec = replace(TimeSformerSpec(), **options.given("frames", "size", "drop_path"))
    return TimeSformer(spec, **options.given("classes", "labels", "dropout"))


def _entry(
    name: str, *, classes: int, class_names: ClassList, stride: int, sparse: bool, parameters: int
) -> NetworkEntry:
    return NetworkEntry(
        name=name,
        title="TimeSformer, divided attention, 8 frames",
        build=build_timesformer,
        formats=_FORMATS,
        classes=classes,
        class_names=class_names,
        frames=8,
        stride=stride,
        size=224,
        views=(1, 3),
        sampling="sparse" if sparse else "dense",
        parameters=parameters,
        gmacs=195.8,
        recipe=f"supervised-timesformer-{'ssv2' if sparse else 'k400'}",
        licence="CC-BY-NC 4.0",
        source="https://github.com/facebookresearch/TimeSformer",
        paper="Bertasius et al. 2021",
    )


ENTRIES: Final = (
    _entry(
        "timesformer",
        classes=400,
        class_names="kinetics400",
        stride=32,
        sparse=False,
        parameters=121_566_352,
    ),
    _entry("timesformer-ssv2", classes=174, class_names="ssv2", stride=8, sparse=True, parameters=121_392_558),
)
