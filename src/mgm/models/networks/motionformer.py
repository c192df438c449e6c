"""Motionformer (Patrick et al. 2021): attention along trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.attention import Mlp, Residual, linear_drop_path, split_heads
from mgm.models.networks.class_names import ClassList
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.image_start import State, central, vit_on_grid
from mgm.models.networks.network import VideoNetwork
from mgm.models.networks.vit_parts import patches_per_side, start_linear_layers, tubelets_per_clip
from mgm.models.networks.weights import WeightsFormat, same_name, vit_formats

TrajectoryValues = Literal["input", "projected"]
_EPS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class MotionformerSpec:
    """The sizes of a Motionformer.

    Attributes:
        frames, tubelet, size, patch: of a clip, in frames and pixels.
        dim, depth, heads: of the blocks.
        drop_path: of the last block.
        values: of the attention over a trajectory's steps. "input", as the published weights were trained: the trajectory itself;
            "projected", as the paper has it (equation 5).
    """

    frames: int = 16
    tubelet: int = 2
    size: int = 224
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12
    drop_path: float = 0.2
    values: TrajectoryValues = "input"

    @property
    def steps(self) -> int:
        """Tubelets of a clip. Raises ModelError unless they fill it."""
        return tubelets_per_clip(self.frames, self.tubelet)


class Motionformer(VideoNetwork):
    """A ViT of tubelets whose tokens attend to the most similar place of every step, then along that trajectory.

    Weights have the authors' names. `patch_embed`, of single frames, is in their files and never used. dropout: before the head.
    """

    first_layers = ("cls_token", "pos_embed", "temp_embed", "patch_embed")

    def __init__(
        self, spec: MotionformerSpec, *, classes: int, labels: Sequence[str] | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__(classes=classes, labels=labels, mean=0.5, std=0.5, frames=spec.frames, size=spec.size)
        self.feature_dim, self.depth = spec.dim, spec.depth
        self.steps, places = spec.steps, patches_per_side(spec.size, spec.patch) ** 2
        tubelet = (spec.tubelet, spec.patch, spec.patch)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, spec.dim, spec.patch, spec.patch)})
        self.patch_embed.requires_grad_(False)
        self.patch_embed_3d = nn.ModuleDict({"proj": nn.Conv3d(3, spec.dim, tubelet, tubelet)})
        self.cls_token = nn.Parameter(torch.empty(1, 1, spec.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, places + 1, spec.dim))
        self.temp_embed = nn.Parameter(torch.zeros(1, self.steps, spec.dim))
        self.blocks = nn.ModuleList(
            TrajectoryBlock(spec.dim, spec.heads, values=spec.values, drop_path=rate)
            for rate in linear_drop_path(spec.drop_path, spec.depth)
        )
        self.norm = nn.LayerNorm(spec.dim, eps=_EPS)
        self.pre_logits = nn.ModuleDict({"fc": nn.Linear(spec.dim, spec.dim)})
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(spec.dim, classes)
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)
        start_linear_layers(self)

    def features(self, x: Tensor) -> Tensor:
        """The class token, then the tubelets in the order (t, h, w), after the last norm: (B, 1 + N, dim)."""
        batch = x.shape[0]
        patches = self.patch_embed_3d["proj"](x).flatten(3).permute(0, 2, 3, 1)  # (B, t, h*w, dim)
        tokens = patches + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
        x = torch.cat((first, tokens.flatten(1, 2)), dim=1)
        for block in self.blocks:
            x = block(x, self.steps)
        out: Tensor = self.norm(x)
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Logits of the class token."""
        logits: Tensor = self.head(self.dropout(self.pre_logits["fc"](features[:, 0]).tanh()))
        return logits


class TrajectoryAttention(nn.Module):
    """Each token finds its trajectory, the mean of a step's tokens weighted by similarity, then attends along it.

    The class token attends to all tokens. values: see `MotionformerSpec`; with "input" the rows of `proj_kv` for the values are
    kept, as in the published files, and not computed: a quarter of the work.
    """

    def __init__(self, dim: int, heads: int, *, values: TrajectoryValues) -> None:
        super().__init__()
        self.heads = heads
        self.values = values
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj_q = nn.Linear(dim, dim)
        self.proj_kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        """x: (B, 1 + N, dim), the class token and the patches in the order (t, h, w). steps: t. Returns (B, 1 + N, dim)."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        first = F.scaled_dot_product_attention(query[:, :, :1], key, value).transpose(1, 2).flatten(2)
        along = self._along(self._trajectories(query[:, :, 1:], key[:, :, 1:], value[:, :, 1:], steps))
        out: Tensor = self.proj(torch.cat((first, along), dim=1))
        return out

    def _trajectories(self, query: Tensor, key: Tensor, value: Tensor, steps: int) -> Tensor:
        """The place of every token in every step, (B, N, t, dim); equation 3. query, key, value: (B, heads, N, dim / heads)."""
        found = [
            F.scaled_dot_product_attention(query, k, v)
            for k, v in zip(key.chunk(steps, dim=2), value.chunk(steps, dim=2), strict=True)
        ]
        return torch.stack(found, dim=3).permute(0, 2, 3, 1, 4).flatten(3)

    def _along(self, x: Tensor) -> Tensor:
        """The tokens after attention along their trajectories, (B, N, dim); equations 4 and 5. x: (B, N, t, dim)."""
        batch, tokens, steps, dim = x.shape
        # (B, h*w, dim, t): each token in its own step
        own = x.view(batch, steps, -1, steps, dim).diagonal(dim1=1, dim2=3)
        query = self.proj_q(own.permute(0, 3, 1, 2).flatten(1, 2))
        if self.values == "input":
            key, value = F.linear(x, self.proj_kv.weight[:dim], self.proj_kv.bias[:dim]), x
        else:
            key, value = self.proj_kv(x).chunk(2, dim=-1)
        query = query.view(batch * tokens, 1, self.heads, -1).transpose(1, 2)  # (B*N, heads, 1, dim / heads)
        key, value = (part.reshape(batch * tokens, steps, self.heads, -1).transpose(1, 2) for part in (key, value))
        return F.scaled_dot_product_attention(query, key, value).reshape(batch, tokens, dim)


class TrajectoryBlock(Residual):
    """x + trajectory attention(norm(x)), then x + mlp(norm(x)). drop_path: as in `Residual`."""

    def __init__(self, dim: int, heads: int, *, values: TrajectoryValues, drop_path: float) -> None:
        super().__init__(drop_path)
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.attn = TrajectoryAttention(dim, heads, values=values)
        self.norm2 = nn.LayerNorm(dim, eps=_EPS)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        """x: (B, 1 + N, dim). steps: t. Returns (B, 1 + N, dim)."""
        x = x + self._skip(self.attn(self.norm1(x), steps))
        return x + self._skip(self.mlp(self.norm2(x)))


def inflate_vit(network: nn.Module, state: State) -> dict[str, Tensor]:
    """A ViT of images as the authors start from it: its patch embedding is that of the middle frame of a tubelet."""
    assert isinstance(network, Motionformer)
    found = vit_on_grid(state, network.pos_embed.shape[1] - 1)
    for kind in ("weight", "bias"):
        value = found.get(f"patch_embed.proj.{kind}")
        if value is not None:
            frames = network.state_dict()["patch_embed_3d.proj.weight"].shape[2]
            found[f"patch_embed_3d.proj.{kind}"] = central(value, frames) if kind == "weight" else value
    return found


_FORMATS: Final = (
    WeightsFormat("Motionformer", "blocks.0.attn.proj_kv.weight", same_name),
    *vit_formats(r"(head|pre_logits|blocks\.\d+\.attn\.proj_(q|kv))\..*|temp_embed", inflate_vit),
)


def build_motionformer(options: NetworkOptions) -> Motionformer:
    """See `NetworkBuilder`."""
    spec = replace(MotionformerSpec(), **options.given("frames", "size", "drop_path"))
    return Motionformer(spec, **options.given("classes", "labels", "dropout"))


def _entry(
    name: str, *, classes: int, class_names: ClassList, views: tuple[int, int], sparse: bool, parameters: int
) -> NetworkEntry:
    return NetworkEntry(
        name=name,
        title="Motionformer, 16 frames",
        build=build_motionformer,
        formats=_FORMATS,
        classes=classes,
        class_names=class_names,
        frames=16,
        stride=4,
        size=224,
        views=views,
        sampling="sparse" if sparse else "dense",
        parameters=parameters,
        gmacs=_GMACS,
        recipe=f"supervised-motionformer-{'ssv2' if sparse else 'k400'}",
        licence="Apache-2.0",
        source="https://github.com/facebookresearch/Motionformer",
        paper="Patrick et al. 2021",
    )


_GMACS: Final = 280.6
"""Of a view with the values "input"; the authors' code computes the unused values as well: 369.4."""

ENTRIES: Final = (
    _entry(
        "motionformer",
        classes=400,
        class_names="kinetics400",
        views=(10, 3),
        sparse=False,
        parameters=109_144_720,
    ),
    _entry("motionformer-ssv2", classes=174, class_names="ssv2", views=(1, 3), sparse=True, parameters=108_970_926),
)
