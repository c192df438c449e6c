"""The blocks of MViT, whose attention pools queries, keys and values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.attention import Residual, split_heads
from mgm.models.networks.mvit_spec import EPS, BlockSpec, Grid, MViTSpec, PoolKernel


class MultiscaleBlock(Residual):
    """x + attention(norm(x)), then x + mlp(norm(x)); either may change the width, the attention the grid."""

    def __init__(self, spec: MViTSpec, size: BlockSpec, *, drop_path: float) -> None:
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

    Args:
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
        bias = self.relative_bias(query, query_grid, key_grid) if self.relative else None
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        if self.relative:
            token, cells = _part(query, query_grid)
            mixed = mixed + torch.cat((torch.zeros_like(token), cells), dim=2)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out, query_grid

    def relative_bias(self, query: Tensor, queries: Grid, keys: Grid) -> Tensor:
        """The scores of the relative positions, (B, heads, queries, keys): the sum over the axes of query . table.

        The query is not scaled. The class token's row and column are 0.
        """
        token, cells = _part(query, queries)
        cells = cells.reshape(*cells.shape[:2], *queries, -1)
        tables = (self.relative_t, self.relative_h, self.relative_w)
        t, h, w = (relative_rows(table, n, m) for table, n, m in zip(tables, queries, keys, strict=True))
        along_t = torch.einsum("bathwc,tkc->bathwk", cells, t)[..., :, None, None]
        along_h = torch.einsum("bathwc,hkc->bathwk", cells, h)[..., None, :, None]
        along_w = torch.einsum("bathwc,wkc->bathwk", cells, w)[..., None, None, :]
        bias = (along_t + along_h + along_w).flatten(5).flatten(2, 4)
        first = token.shape[2]
        return F.pad(bias, (first, 0, first, 0))


class Pool(nn.Module):
    """Depthwise convolution over the grid, then LayerNorm; the class token is normalised alone.

    Args:
        kernel: odd, (t, h, w).
        stride: in height and width.
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


def _pool(width: int, stride: int, kernel: PoolKernel) -> Pool | None:
    """The pooling of queries, keys or values; None where it would be the identity."""
    if kernel == "cube":
        return Pool(width, (3, 3, 3), stride)
    return None if stride == 1 else Pool(width, (1, stride + 1, stride + 1), stride)


def _part(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """The class token, of length 0 where there is none, and the cells of a grid. x: (..., [1 +] n, dim)."""
    cells = grid[0] * grid[1] * grid[2]
    return x[..., :-cells, :], x[..., -cells:, :]


def relative_rows(table: Tensor, queries: int, keys: int) -> Tensor:
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
