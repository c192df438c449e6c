"""VidTr (Zhang et al. 2021): attention along time and then over space, within one product of queries and keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.image_start import State, check_image, positions, vit
from mgm.models.networks.network import VideoNetwork
from mgm.models.networks.vit_parts import patches_per_side
from mgm.models.networks.weights import ALL_BUT_HEAD, WeightsFormat, vit_formats
from mgm.models.patches import MEAN, STD

_LAYERWISE_FRAMES: Final = 16
"""In clips of this length, VidTr-M's, the authors add the positions in every layer; in others in the first alone."""


@dataclass(frozen=True, slots=True)
class VidTrSpec:
    """The sizes of a VidTr.

    Attributes:
        frames, size, patch: of a clip, in frames and pixels.
        dim, depth, heads, hidden: of the blocks.
        rate: of dropout within the blocks.
        layerwise_position: add the positions to the input of every block's attention.
    """

    frames: int
    size: int = 224
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    rate: float = 0.1
    layerwise_position: bool = False


class VidTr(VideoNetwork):
    """A ViT of 2-D patches on a grid with one row more for learned tokens of the clip and one column for those of its frames.

    Weights have the authors' names but for the last layer, `fc` there. dropout: rate before the head.
    """

    first_layers = ("cls_", "pos_embedding", "conv_stem")
    blocks_below = "encoder.layers."

    def __init__(
        self, spec: VidTrSpec, *, classes: int, labels: Sequence[str] | None = None, dropout: float = 0.5
    ) -> None:
        super().__init__(classes=classes, labels=labels, mean=MEAN, std=STD, frames=spec.frames, size=spec.size)
        self.feature_dim, self.depth = spec.dim, spec.depth
        self.layerwise_position = spec.layerwise_position
        self.places = patches_per_side(spec.size, spec.patch) ** 2
        kernel = (1, spec.patch, spec.patch)
        self.conv_stem = nn.Conv3d(3, spec.dim, kernel, kernel)
        self.pos_embedding = nn.Parameter(torch.empty(1, (spec.frames + 1) * (self.places + 1), spec.dim))
        self.cls_s = nn.Parameter(torch.empty(spec.frames, 1, spec.dim))
        self.cls_t = nn.Parameter(torch.empty(1, self.places + 1, spec.dim))
        layers = nn.ModuleList(
            SeparableBlock(spec.dim, spec.heads, hidden=spec.hidden, rate=spec.rate) for _ in range(spec.depth)
        )
        self.encoder = nn.ModuleDict({"layers": layers, "norm": nn.LayerNorm(spec.dim)})
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(spec.dim, classes)
        for table in (self.pos_embedding, self.cls_s, self.cls_t):
            nn.init.trunc_normal_(table, std=0.02)  # the authors' own start is that of an image model

    def features(self, x: Tensor) -> Tensor:
        """The tokens of the grid, row by row, after the last norm: (B, (t + 1) * (h*w + 1), dim); the class token is the first."""
        batch = x.shape[0]
        patches = self.conv_stem(x).flatten(3).permute(0, 2, 3, 1)  # (B, t, h*w, dim)
        rows = torch.cat((self.cls_s.expand(batch, -1, -1, -1), patches), dim=2)
        x = torch.cat((self.cls_t.expand(batch, 1, -1, -1), rows), dim=1)  # (B, t + 1, h*w + 1, dim)
        position = self.pos_embedding.view(1, *x.shape[1:])
        layers: nn.ModuleList = self.encoder["layers"]  # type: ignore[assignment]  # of a ModuleDict
        for i, layer in enumerate(layers):
            x = layer(x, position if i == 0 or self.layerwise_position else None)
        out: Tensor = self.encoder["norm"](x.flatten(1, 2))
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Logits of the token of the whole clip."""
        logits: Tensor = self.head(self.dropout(features[:, 0]))
        return logits


class SeparableAttention(nn.Module):
    """Multi-head attention whose matrix is a product: values are mixed along time at each place, then within each step.

    Both softmaxes have the same queries and keys (the paper's separable attention, equations 4 and 5). rate: of dropout of both.
    """

    def __init__(self, dim: int, heads: int, *, rate: float) -> None:
        super().__init__()
        self.heads = heads
        self.rate = rate
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, rows, columns, dim). Returns the same shape."""
        rate = self.rate if self.training else 0.0
        batch, rows, columns, _ = x.shape
        parts = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        query, key, value = (part.view(batch, rows, columns, self.heads, -1) for part in parts)
        # Along time: (B, rows, columns, heads, d) -> (B * columns, heads, rows, d).
        q, k, v = (part.permute(0, 2, 3, 1, 4).flatten(0, 1) for part in (query, key, value))
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=rate).view(batch, columns, self.heads, rows, -1)
        # Over space: -> (B * rows, heads, columns, d).
        q, k = (part.transpose(2, 3).flatten(0, 1) for part in (query, key))
        mixed = F.scaled_dot_product_attention(q, k, mixed.permute(0, 3, 2, 1, 4).flatten(0, 1), dropout_p=rate)
        out: Tensor = self.out_proj(mixed.view(batch, rows, self.heads, columns, -1).transpose(2, 3).reshape(x.shape))
        return out


class SeparableBlock(nn.Module):
    """x + attention(norm(x) + position), then x + mlp(norm(x)) with a ReLU. rate: of dropout of branches and hidden values."""

    def __init__(self, dim: int, heads: int, *, hidden: int, rate: float) -> None:
        super().__init__()
        self.self_attn = SeparableAttention(dim, heads, rate=rate)
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(rate)

    def forward(self, x: Tensor, position: Tensor | None) -> Tensor:
        """x: (B, rows, columns, dim). position: added to queries, keys and values alike; None: none. Returns the same shape."""
        normed = self.norm1(x)
        x = x + self.dropout(self.self_attn(normed if position is None else normed + position))
        out: Tensor = x + self.dropout(self.linear2(self.dropout(self.linear1(self.norm2(x)).relu())))
        return out


def from_pth(name: str) -> str | None:
    """The name of a weight in the authors' files, without their prefix `module.`."""
    return f"head.{name.removeprefix('fc.')}" if name.startswith("fc.") else name


_IN_BLOCK: Final = {
    "attn.qkv.weight": "self_attn.in_proj_weight",
    "attn.qkv.bias": "self_attn.in_proj_bias",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "linear1",
    "mlp.fc2": "linear2",
}


def inflate_vit(network: nn.Module, state: State) -> dict[str, Tensor]:
    """A ViT of images as the authors start from it: positions and class token are repeated over the grid.

    The authors' own file has VidTr's names already. A ViT of others has GELU where VidTr has ReLU.
    """
    assert isinstance(network, VidTr)
    if "cls" in state:
        found = {name: value for name, value in state.items() if not name.startswith("head.")}
        token, place = found.pop("cls") if "cls" in found else None, found.get("pos_embedding")
    else:
        found = {}
        for name, value in vit(state).items():
            block = re.fullmatch(r"blocks\.(\d+)\.(.+?)(\.weight|\.bias)", name)
            if block is None:
                found[name.replace("patch_embed.proj.", "conv_stem.").replace("norm.", "encoder.norm.")] = value
                continue
            ours = _IN_BLOCK.get(block[2] + block[3]) or f"{_IN_BLOCK.get(block[2], block[2])}{block[3]}"
            found[f"encoder.layers.{block[1]}.{ours}"] = value
        check_image(found, "conv_stem.weight")
        if "conv_stem.weight" in found:
            found["conv_stem.weight"] = found["conv_stem.weight"][:, :, None]
        token, place = (found.pop(name) if name in found else None for name in ("cls_token", "pos_embed"))
    frames, places = len(network.cls_s), network.cls_t.shape[1]
    if token is not None:
        found |= {"cls_s": token.repeat(frames, 1, 1), "cls_t": token.repeat(1, places, 1)}
    if place is not None:
        found["pos_embedding"] = positions(place, places - 1).repeat(1, frames + 1, 1)
    return found


_FORMATS: Final = (
    WeightsFormat("VidTr's model of images", "cls", from_pth, ALL_BUT_HEAD, inflate_vit),
    WeightsFormat("VidTr", "encoder.layers.0.self_attn.in_proj_weight", from_pth),
    *vit_formats(ALL_BUT_HEAD, inflate_vit),
)


def build_vidtr(default_frames: int, options: NetworkOptions) -> VidTr:
    """See `NetworkBuilder`. drop_path: the rate of dropout in the blocks, which VidTr has instead of stochastic depth."""
    spec = VidTrSpec(default_frames, layerwise_position=default_frames == _LAYERWISE_FRAMES)
    rate = spec.rate if options.drop_path is None else options.drop_path
    spec = replace(spec, rate=rate, **options.given("frames", "size"))
    return VidTr(spec, **options.given("classes", "labels", "dropout"))


def _entry(letter: str, frames: int, stride: int, parameters: int, gmacs: float) -> NetworkEntry:
    return NetworkEntry(
        name=f"vidtr-{letter.lower()}",
        title=f"VidTr-{letter}, {frames} x {stride} frames",
        build=partial(build_vidtr, frames),
        formats=_FORMATS,
        classes=400,
        class_names="kinetics400",
        frames=frames,
        stride=stride,
        size=224,
        views=(10, 3),
        sampling="dense",
        parameters=parameters,
        gmacs=gmacs,
        recipe="supervised-vidtr-l-k400",
        licence="Apache-2.0",
        source="https://github.com/amazon-science/gluonmm",
        paper="Zhang et al. 2021",
    )


ENTRIES: Final = (
    _entry("S", 8, 8, 87_473_296, 158.2),
    _entry("M", 16, 4, 88_689_808, 299.5),
    _entry("L", 32, 2, 91_122_832, 583.4),
)
