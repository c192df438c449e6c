"""MViT, a transformer whose tokens grow fewer and wider with depth: version 1 (Fan et al. 2021) and 2 (Li et al. 2022).

torchvision has both, for users whose torch and torchvision come from one index; it fixes the size of a clip and has no
model without the last pooling, which MaskFeat needs. It is the peer of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.attention import Residual, split_heads
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.mvit_names import FORMATS
from mgm.models.networks.network import VideoNetwork

EPS = 1e-6
PATCH_KERNEL, PATCH_STRIDE, PATCH_PADDING = (3, 7, 7), (2, 4, 4), (1, 3, 3)
PIXEL_MEAN, PIXEL_STD = 0.45, 0.225

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class MViTSpec:
    """Sizes of an MViT.

    depth: number of blocks. widen: the blocks where width and heads double; indices from 0. frames, size: the clip that the
    position tables are made for.
    relative: version 2: relative positions, the pooled query added to the output, queries pooled in every block. False:
    version 1: learned absolute positions.
    widen_in_attention: whether the width grows in the attention of the block, as in version 2, or in the MLP of the block
    before, as in version 1 and in MaskFeat's version 2. pool: the blocks whose queries are strided; None: those of `widen`.
    pool_kernel: "cube": 3 x 3 x 3; "stride": 1 x (stride + 1) x (stride + 1), and no pooling at stride 1, as in the authors'
    configuration of version 1 with 24 blocks, which sets no kernel.
    class_token: False: tokens of the grid alone. mean_pooling: classify the norm of the mean over the grid's tokens, as MaskFeat's
    fine-tuning does, instead of the norm of the class token.
    """

    depth: int
    widen: tuple[int, ...]
    frames: int
    relative: bool
    widen_in_attention: bool
    size: int = 224
    dim: int = 96
    heads: int = 1
    key_stride: int = 8
    pool: tuple[int, ...] | None = None
    pool_kernel: Literal["cube", "stride"] = "cube"
    class_token: bool = True
    mean_pooling: bool = False

    @property
    def grid(self) -> Grid:
        """Tokens after the patch embedding, (t, h, w)."""
        t, h, w = (
            (side + 2 * padding - kernel) // stride + 1
            for side, kernel, stride, padding in zip(
                (self.frames, self.size, self.size), PATCH_KERNEL, PATCH_STRIDE, PATCH_PADDING, strict=True
            )
        )
        return t, h, w

    def blocks(self) -> list[BlockSpec]:
        """The sizes of every block."""
        pooled = self.widen if self.pool is None else self.pool
        dim, heads, keys, grid = self.dim, self.heads, self.key_stride, self.grid
        found = []
        for index in range(self.depth):
            stride = 2 if index in pooled else 1
            grows = (index if self.widen_in_attention else index + 1) in self.widen
            heads = 2 * heads if index in self.widen else heads
            keys = max(1, keys // stride)
            out = 2 * dim if grows else dim
            found.append(BlockSpec(dim, out, heads, stride, keys, grid))
            dim, grid = out, (grid[0], -(-grid[1] // stride), -(-grid[2] // stride))
        return found


class BlockSpec(NamedTuple):
    """One block: its width before and after, its heads, the strides of queries and of keys in height and width, its grid."""

    dim: int
    out: int
    heads: int
    query_stride: int
    key_stride: int
    grid: Grid


class MViT(VideoNetwork):
    """Convolution to tokens, multiscale blocks, LayerNorm; the class token is classified, or the mean.

    `features` are the tokens after the norm, which with `MViTSpec.mean_pooling` follows the mean: the class token first, then the
    last grid row-major (t, h, w).
    drop_path: rate of stochastic depth of the last block, growing linearly from 0. dropout: before the head.
    Another clip than `spec` says is possible with relative positions, whose tables are interpolated.
    """

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
        last = max(1, spec.depth - 1)
        self.blocks = nn.ModuleList(
            MultiscaleBlock(spec, size, drop_path=drop_path * index / last) for index, size in enumerate(sizes)
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

    def depth_of(self, name: str) -> int:
        """See `VideoNetwork`; the norm belongs to the head's layer."""
        part, *rest = name.split(".")
        if part == "blocks":
            return int(rest[0]) + 1
        return self.depth + 1 if part in ("norm", "head") else 0

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for name, table in self.named_parameters():
            if "position_" in name or "relative_" in name or name == "class_token":
                nn.init.trunc_normal_(table, std=0.02)


class MultiscaleBlock(Residual):
    """x + attention(norm(x)), then x + mlp(norm(x)); either may change the width, the attention the grid."""

    def __init__(self, spec: MViTSpec, size: BlockSpec, *, drop_path: float = 0.0) -> None:
        super().__init__(drop_path)
        self.stride = size.query_stride
        self.widen_first = spec.widen_in_attention
        inner = size.out if self.widen_first else size.dim
        self.norm1 = nn.LayerNorm(size.dim, eps=EPS)
        self.attn = PoolingAttention(spec, size, inner)
        self.norm2 = nn.LayerNorm(inner, eps=EPS)
        self.fc1 = nn.Linear(inner, 4 * inner)
        self.fc2 = nn.Linear(4 * inner, size.out)
        self.widen = nn.Linear(size.dim, size.out) if size.out != size.dim else None

    def forward(self, x: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """x: (B, [1 +] n, dim) on a grid (t, h, w) of n cells. Returns the same of the next grid and width."""
        normed = self.norm1(x)
        attended, next_grid = self.attn(normed, grid)
        if self.widen is not None and self.widen_first:
            x = self.widen(normed)
        x = self._pool_skip(x, grid) + self._skip(attended)
        normed = self.norm2(x)
        if self.widen is not None and not self.widen_first:
            x = self.widen(normed)
        return x + self._skip(self.fc2(F.gelu(self.fc1(normed)))), next_grid

    def _pool_skip(self, x: Tensor, grid: Grid) -> Tensor:
        """The maximum over 3 x 3 cells of a step, where the queries are strided."""
        if self.stride == 1:
            return x
        token, cells = _part(x, grid)
        cells = cells.transpose(1, 2).reshape(len(x), -1, *grid)
        cells = F.max_pool3d(cells, (1, 3, 3), (1, self.stride, self.stride), (0, 1, 1))
        return torch.cat((token, cells.flatten(2).transpose(1, 2)), dim=1)


class PoolingAttention(nn.Module):
    """Attention whose queries, keys and values are first pooled by depthwise convolutions, one for all heads.

    dim: width of queries, keys, values and of the output.
    """

    def __init__(self, spec: MViTSpec, size: BlockSpec, dim: int) -> None:
        super().__init__()
        self.heads = size.heads
        self.relative = spec.relative
        width = dim // size.heads
        self.qkv = nn.Linear(size.dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        pools_query = spec.relative or size.query_stride > 1
        self.pool_q = _pool(width, size.query_stride, spec.pool_kernel) if pools_query else None
        self.pool_k = _pool(width, size.key_stride, spec.pool_kernel)
        self.pool_v = _pool(width, size.key_stride, spec.pool_kernel)
        if spec.relative:
            t, h, w = size.grid
            stride = min(size.query_stride, size.key_stride)
            self.relative_h = nn.Parameter(torch.empty(2 * (h // stride) - 1, width))
            self.relative_w = nn.Parameter(torch.empty(2 * (w // stride) - 1, width))
            self.relative_t = nn.Parameter(torch.empty(2 * t - 1, width))

    def forward(self, x: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """x: (B, [1 +] n, dim). Returns (B, [1 +] n of the queries, dim) and the grid of the queries."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        query_grid = key_grid = grid
        if self.pool_q is not None:
            query, query_grid = self.pool_q(query, grid)
        if self.pool_k is not None and self.pool_v is not None:
            key, key_grid = self.pool_k(key, grid)
            value, _ = self.pool_v(value, grid)
        bias = self._bias(query, query_grid, key_grid) if self.relative else None
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        if self.relative:
            token, cells = _part(query, query_grid)
            mixed = mixed + torch.cat((torch.zeros_like(token), cells), dim=2)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out, query_grid

    def _bias(self, query: Tensor, queries: Grid, keys: Grid) -> Tensor:
        """The scores of the relative positions, (B, heads, queries, keys): the sum over the axes of query . table.

        The query is not scaled. The class token's row and column are 0.
        """
        token, cells = _part(query, queries)
        cells = cells.reshape(*cells.shape[:2], *queries, -1)
        tables = (self.relative_t, self.relative_h, self.relative_w)
        t, h, w = (_differences(table, n, m) for table, n, m in zip(tables, queries, keys, strict=True))
        along_t = torch.einsum("bathwc,tkc->bathwk", cells, t)[..., :, None, None]
        along_h = torch.einsum("bathwc,hkc->bathwk", cells, h)[..., None, :, None]
        along_w = torch.einsum("bathwc,wkc->bathwk", cells, w)[..., None, None, :]
        bias = (along_t + along_h + along_w).flatten(5).flatten(2, 4)
        first = token.shape[2]
        return F.pad(bias, (first, 0, first, 0))


class Pool(nn.Module):
    """Depthwise convolution over the grid, then LayerNorm; the class token is normalised alone.

    kernel: odd, (t, h, w). stride: in height and width.
    """

    def __init__(self, width: int, kernel: Grid, stride: int) -> None:
        super().__init__()
        t, h, w = (side // 2 for side in kernel)
        self.conv = nn.Conv3d(width, width, kernel, (1, stride, stride), (t, h, w), groups=width, bias=False)
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """x: (B, heads, [1 +] n, width) on a grid (t, h, w). Returns the same of the next grid."""
        token, cells = _part(x, grid)
        maps = cells.transpose(2, 3).reshape(-1, x.shape[-1], *grid)
        maps = self.conv(maps)
        t, h, w = maps.shape[2:]
        cells = maps.flatten(2).transpose(1, 2).reshape(*x.shape[:2], -1, x.shape[-1])
        return self.norm(torch.cat((token, cells), dim=2)), (t, h, w)


def _pool(width: int, stride: int, kernel: Literal["cube", "stride"]) -> Pool | None:
    """The pooling of queries, keys or values; None where it would be the identity."""
    if kernel == "cube":
        return Pool(width, (3, 3, 3), stride)
    return None if stride == 1 else Pool(width, (1, stride + 1, stride + 1), stride)


def _part(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """The class token, of length 0 where there is none, and the cells of a grid. x: (..., [1 +] n, dim)."""
    cells = grid[0] * grid[1] * grid[2]
    return x[..., :-cells, :], x[..., -cells:, :]


def _differences(table: Tensor, queries: int, keys: int) -> Tensor:
    """The rows of a table of relative positions for every pair of positions on one axis, (queries, keys, dim).

    Positions are counted on the finer of the two axes; row keys - 1 of a table of equal axes is the difference 0. A table for
    another length is interpolated linearly.
    """
    length = 2 * max(queries, keys) - 1
    if len(table) != length:
        table = F.interpolate(table.T[None], size=length, mode="linear")[0].T
    coarse_query, coarse_key = max(keys / queries, 1.0), max(queries / keys, 1.0)
    at = torch.arange(queries, device=table.device)[:, None] * coarse_query
    of = (torch.arange(keys, device=table.device) - (keys - 1))[None] * coarse_key
    return table[(at - of).long()]


def build(spec: MViTSpec, rate: float, options: NetworkOptions) -> MViT:
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
    return NetworkEntry(build=partial(build, spec, drop_path), formats=FORMATS, **common | facts)


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
