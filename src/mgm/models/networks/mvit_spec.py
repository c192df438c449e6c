"""The sizes of an MViT and of its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

EPS = 1e-6
PATCH_KERNEL, PATCH_STRIDE, PATCH_PADDING = (3, 7, 7), (2, 4, 4), (1, 3, 3)

Grid = tuple[int, int, int]
PoolKernel = Literal["cube", "stride"]


@dataclass(frozen=True)
class MViTSpec:
    """Sizes of an MViT.

    Attributes:
        depth: number of blocks.
        widen: the blocks where width and heads double; indices from 0.
        frames, size: the clip that the position tables are made for.
        relative: version 2: relative positions, the pooled query added to the output, queries pooled in every block. False: version
            1: learned absolute positions.
        widen_in_attention: whether the width grows in the attention of the block, as in version 2, or in the MLP of the block
            before, as in version 1 and in MaskFeat's version 2.
        pool: the blocks whose queries are strided; None: those of `widen`.
        pool_kernel: "cube": 3 x 3 x 3; "stride": 1 x (stride + 1) x (stride + 1), and no pooling at stride 1, as in the authors'
            configuration of version 1 with 24 blocks, which sets no kernel.
        class_token: False: tokens of the grid alone.
        mean_pooling: classify the norm of the mean over the grid's tokens, as MaskFeat's fine-tuning does, instead of the norm of
            the class token.
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
    pool_kernel: PoolKernel = "cube"
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
