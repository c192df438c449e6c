"""Weights of MViT under the names of PySlowFast, listed from its code."""

from __future__ import annotations

import torch
from torch import Tensor


def mvit_weights(
    *, widths: list[tuple[int, int, int]], query: list[int], key: list[int], grid: tuple[int, int, int],
    relative: bool, widen_in_attention: bool, cube: bool, classes: int,
) -> dict[str, Tensor]:  # fmt: skip
    """Random weights.

    widths: of each block: before, after, heads. query, key: the strides of each block. grid: tokens (t, h, w) of a clip.
    """
    draw = torch.Generator().manual_seed(0)
    found: dict[str, Tensor] = {}

    def random(name: str, *shape: int, scale: float = 0.1) -> None:
        found[name] = torch.randn(shape, generator=draw) * scale

    def linear(name: str, dim: int, out: int) -> None:
        random(f"{name}.weight", out, dim, scale=dim**-0.5)
        random(f"{name}.bias", out)

    def norm(name: str, dim: int) -> None:
        found[f"{name}.weight"] = torch.rand(dim, generator=draw) + 0.5
        random(f"{name}.bias", dim)

    dim, out = widths[0][0], widths[-1][1]
    random("cls_token", 1, 1, dim)
    random("patch_embed.proj.weight", dim, 3, 3, 7, 7)
    random("patch_embed.proj.bias", dim)
    t, side = grid[0], grid[1]
    if not relative:
        random("pos_embed_spatial", 1, grid[1] * grid[2], dim)
        random("pos_embed_temporal", 1, t, dim)
        random("pos_embed_class", 1, 1, dim)
    for index, ((before, after, heads), query_stride, key_stride) in enumerate(zip(widths, query, key, strict=True)):
        block, inner = f"blocks.{index}", after if widen_in_attention else before
        width = inner // heads
        norm(f"{block}.norm1", before)
        linear(f"{block}.attn.qkv", before, 3 * inner)
        linear(f"{block}.attn.proj", inner, inner)
        for name, stride in (("q", query_stride), ("k", key_stride), ("v", key_stride)):
            if (relative or stride > 1) if name == "q" else (cube or stride > 1):
                kernel = (3, 3, 3) if cube else (1, stride + 1, stride + 1)
                random(f"{block}.attn.pool_{name}.weight", width, 1, *kernel, scale=0.3)
                norm(f"{block}.attn.norm_{name}", width)
        if relative:
            length = 2 * max(side // query_stride, side // key_stride) - 1
            random(f"{block}.attn.rel_pos_h", length, width)
            random(f"{block}.attn.rel_pos_w", length, width)
            random(f"{block}.attn.rel_pos_t", 2 * t - 1, width)
        norm(f"{block}.norm2", inner)
        linear(f"{block}.mlp.fc1", inner, 4 * inner)
        linear(f"{block}.mlp.fc2", 4 * inner, after)
        if before != after:
            linear(f"{block}.proj", before, after)
        side = side // query_stride
    norm("norm", out)
    linear("head.projection", out, classes)
    return found
