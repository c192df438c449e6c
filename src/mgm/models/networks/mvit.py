"""MViT, a transformer whose tokens grow fewer and wider with depth: version 1 (Fan et al. 2021) and 2 (Li et al. 2022).

torchvision has both, for users whose torch and torchvision come from one index; it fixes the size of a clip and has no
model without the last pooling, which MaskFeat needs. It is the peer of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.attention import linear_drop_path
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.mvit_blocks import MultiscaleBlock
from mgm.models.networks.mvit_names import FORMATS
from mgm.models.networks.mvit_spec import EPS, PATCH_KERNEL, PATCH_PADDING, PATCH_STRIDE, Grid, MViTSpec
from mgm.models.networks.network import PIXEL_MEAN, PIXEL_STD, VideoNetwork
from mgm.models.networks.vit_parts import start_linear_layers


class MViT(VideoNetwork):
    """Convolution to tokens, multiscale blocks, LayerNorm; the class token is classified, or the mean.

    `features` are the tokens after the norm, which with `MViTSpec.mean_pooling` follows the mean: the class token first, then the
    last grid row-major (t, h, w). Another clip than `spec` says is possible with relative positions, whose tables are interpolated.

    Args:
        drop_path: rate of stochastic depth of the last block, growing linearly from 0.
        dropout: before the head.
    """

    first_layers = ("class_token", "position_", "patch_embed")

    def __init__(
        self,
        spec: MViTSpec,
        *,
        classes: int,
        labels: Sequence[str] | None = None,
        mean: float | Sequence[float] = PIXEL_MEAN,
        std: float | Sequence[float] = PIXEL_STD,
        drop_path: float = 0.0,
        dropout: float = 0.5,
    ) -> None:
        frames, size = (None, None) if spec.relative else (spec.frames, spec.size)
        super().__init__(classes=classes, labels=labels, mean=mean, std=std, frames=frames, size=size)
        self.spec = spec
        self.depth = spec.depth
        sizes = spec.blocks()
        self.feature_dim = sizes[-1].out
        self.patch_embed = nn.Conv3d(3, spec.dim, PATCH_KERNEL, PATCH_STRIDE, PATCH_PADDING)
        self.class_token = nn.Parameter(torch.empty(1, 1, spec.dim)) if spec.class_token else None
        self.position_class = None
        if not spec.relative:
            t, h, w = spec.grid
            self.position_space = nn.Parameter(torch.empty(1, h * w, spec.dim))
            self.position_time = nn.Parameter(torch.empty(1, t, spec.dim))
            self.position_class = nn.Parameter(torch.empty(1, 1, spec.dim)) if spec.class_token else None
        rates = linear_drop_path(drop_path, spec.depth)
        self.blocks = nn.ModuleList(
            MultiscaleBlock(spec, size, drop_path=rate) for size, rate in zip(sizes, rates, strict=True)
        )
        self.norm = nn.LayerNorm(self.feature_dim, eps=EPS)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.feature_dim, classes)
        self._initialise()

    def features(self, x: Tensor) -> Tensor:
        """x: (B, 3, T, H, W), normalised. Returns (B, 1 + n, dim), or (B, n, dim) without a class token."""
        tokens = self.blocks_of(*self.embed(x))
        return tokens if self.spec.mean_pooling else self.norm(tokens)

    def classify(self, features: Tensor) -> Tensor:
        """Logits (B, classes) of the class token, or of the mean over the tokens where there is none."""
        if self.spec.mean_pooling:
            feature = self.norm(features[:, 0 if self.class_token is None else 1 :].mean(1))
        else:
            feature = features.mean(1) if self.class_token is None else features[:, 0]
        logits: Tensor = self.head(self.dropout(feature))
        return logits

    def embed(self, x: Tensor) -> tuple[Tensor, Grid]:
        """The tokens of the patch embedding alone, (B, n, dim) row-major, without positions, and their grid."""
        cells = self.patch_embed(x)
        t, h, w = cells.shape[2:]
        return cells.flatten(2).transpose(1, 2), (t, h, w)

    def encode(self, tokens: Tensor, grid: Grid) -> Tensor:
        """The blocks and the norm over the tokens of `embed`, some of which may have been replaced: see `features`."""
        normed: Tensor = self.norm(self.blocks_of(tokens, grid))
        return normed

    def blocks_of(self, tokens: Tensor, grid: Grid) -> Tensor:
        """`encode` without the norm."""
        if not self.spec.relative:
            tokens = tokens + (self.position_time[:, :, None] + self.position_space[:, None]).flatten(1, 2)
        if self.class_token is not None:
            token: Tensor = self.class_token
            if self.position_class is not None:
                token = token + self.position_class
            tokens = torch.cat((token.expand(len(tokens), -1, -1), tokens), dim=1)
        for block in self.blocks:
            tokens, grid = block(tokens, grid)
        return tokens

    def fit(self, name: str, value: Tensor) -> Tensor:
        """A table of relative positions of another grid, interpolated linearly to this network's."""
        if "relative_" not in name or value.ndim != 2:
            return value
        own = self.get_parameter(name)
        if len(own) == len(value) or own.shape[1] != value.shape[1]:
            return value  # another width is reported as misshapen
        return F.interpolate(value.T[None].float(), size=len(own), mode="linear")[0].T.to(value).contiguous()

    def _initialise(self) -> None:
        start_linear_layers(self)
        for name, table in self.named_parameters():
            if "position_" in name or "relative_" in name or name == "class_token":
                nn.init.trunc_normal_(table, std=0.02)


def build_mvit(spec: MViTSpec, rate: float, options: NetworkOptions) -> MViT:
    """See `NetworkBuilder`. rate: of stochastic depth by default.

    Learned positions are made for the clip. The tables of relative positions keep their size, so that weights fit at any.
    """
    if not spec.relative:
        spec = replace(spec, **options.given("frames", "size"))
    return MViT(spec, **{"drop_path": rate} | options.given("classes", "labels", "dropout", "drop_path"))


B16: Final = (1, 3, 14)
B24: Final = (2, 5, 21)
V1_16X4: Final = MViTSpec(16, B16, frames=16, relative=False, widen_in_attention=False)
V1_64X3: Final = replace(V1_16X4, frames=64)
V1_32X3: Final = replace(V1_16X4, depth=24, widen=B24, frames=32, pool_kernel="stride")
V2_S: Final = MViTSpec(16, B16, frames=16, relative=True, widen_in_attention=True)
V2_B: Final = replace(V2_S, depth=24, widen=B24, frames=32)
MASKFEAT_S: Final = replace(V2_S, widen_in_attention=False, pool=B16[:2])
"""MViTv2-S as MaskFeat pretrains it: the last query stride removed, the width grown as in version 1."""
MASKFEAT_S_TUNED: Final = replace(MASKFEAT_S, pool=None, mean_pooling=True)
"""The same as MaskFeat fine-tunes it: with the last query stride, and the mean over tokens."""


def _entry(spec: MViTSpec, *, drop_path: float, **facts: Any) -> NetworkEntry:
    """An entry; by default a network of Kinetics-400, tested in 5 x 1 views, whose weights are public."""
    common: dict[str, Any] = {
        "classes": 400, "class_names": "kinetics400", "frames": spec.frames, "size": spec.size, "views": (5, 1),
        "sampling": "dense", "licence": "Apache-2.0", "source": "https://github.com/facebookresearch/SlowFast",
        "paper": "Li et al. 2022" if spec.relative else "Fan et al. 2021",
    }  # fmt: skip
    return NetworkEntry(build=partial(build_mvit, spec, drop_path), formats=FORMATS, **common | facts)


_SSV2: Final = {"classes": 174, "class_names": "ssv2", "views": (1, 3), "sampling": "sparse"}

# The numbers of a name are frames and their distance; the rates of stochastic depth are those of the authors' configurations.
ENTRIES: Final = (
    _entry(
        MASKFEAT_S_TUNED, name="maskfeat-mvitv2-s-16x4", title="MViTv2-S, 16x4, as MaskFeat fine-tunes it", stride=4,
        drop_path=0.1, parameters=36_475_120, gmacs=71.2, recipe="finetune-mvits-k400",
        source="https://github.com/facebookresearch/SlowFast/tree/main/projects/maskfeat",
        paper="Wei et al. 2022",
    ),
    _entry(
        V1_16X4, name="mvitv1-b-16x4", title="MViTv1-B, 16 blocks, 16x4", stride=4, drop_path=0.2,
        parameters=36_610_672, gmacs=70.6,
        recipe="supervised-mvitv1-b-k400",
    ),
    _entry(
        V1_32X3, name="mvitv1-b-32x3", title="MViTv1-B, 24 blocks, 32x3", stride=3, drop_path=0.3,
        parameters=53_115_280, gmacs=235.8,
        recipe="supervised-mvitv1-b-k400",
    ),
    _entry(
        V1_64X3, name="mvitv1-b-64x3", title="MViTv1-B, 16 blocks, 64x3", stride=3, drop_path=0.2,
        parameters=36_612_976, gmacs=455.06, views=(3, 3), licence="",
        recipe="supervised-mvitv1-b-k400",
    ),
    _entry(
        V2_S, name="mvitv2-s-16x4", title="MViTv2-S, 16x4", stride=4, drop_path=0.2,
        parameters=34_537_744, gmacs=64.2,
        recipe="supervised-mvitv2-s-k400",
    ),
    _entry(
        V2_B, name="mvitv2-b-32x3", title="MViTv2-B, 32x3", stride=3, drop_path=0.3,
        parameters=51_230_128, gmacs=224.5,
        recipe="supervised-mvitv2-b-k400",
    ),
    _entry(
        V2_S, name="mvitv2-s-16x4-ssv2", title="MViTv2-S, 16x4, of Something-Something V2", stride=4, drop_path=0.4,
        parameters=34_363_950, gmacs=64.2,
        recipe="supervised-mvitv2-s-ssv2", **_SSV2,
    ),
    _entry(
        V2_B, name="mvitv2-b-32x3-ssv2", title="MViTv2-B, 32x3, of Something-Something V2", stride=3, drop_path=0.4,
        parameters=51_056_334, gmacs=224.5,
        recipe="supervised-mvitv2-b-ssv2", **_SSV2,
    ),
)  # fmt: skip
