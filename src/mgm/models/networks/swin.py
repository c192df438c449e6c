"""Video Swin Transformer's backbone (Liu et al. 2022): attention in shifted windows, maps that shrink in space."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.attention import Mlp, Residual, linear_drop_path, run_block
from mgm.models.networks.vit_parts import start_linear_layers

Window: TypeAlias = tuple[int, int, int]
"""Cells along (time, height, width)."""

OUTSIDE = -100.0
"""Added to the score of two tokens that only the cyclic shift brought into one window, as the authors do."""


@dataclass(frozen=True)
class SwinSpec:
    """The shapes of a Video Swin Transformer; the defaults are Swin-B's.

    Attributes:
        dim: width of the first stage; each further stage has twice the width of the one before.
        depths, heads: of each stage.
        window: the largest window.
        patch: frames and pixels of a token.
    """

    dim: int = 128
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    window: Window = (8, 7, 7)
    patch: Window = (2, 4, 4)

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each stage."""
        return tuple(self.dim << stage for stage in range(len(self.depths)))

    @property
    def shrink(self) -> int:
        """Pixels along a side of a cell of the last map."""
        return self.patch[1] << (len(self.depths) - 1)


class SwinBackbone(nn.Module):
    """Patch embedding and stages. Maps are channels-last, (B, t, h, w, dim). Parameters have the authors' names.

    Args:
        drop_path: of the last block, rising from 0 at the first.

    Attributes:
        checkpointing: in training, store the blocks' inputs only and recompute the rest.
    """

    def __init__(self, spec: SwinSpec, *, drop_path: float = 0.0) -> None:
        super().__init__()
        self.spec = spec
        self.checkpointing = False
        self.patch_embed = _PatchEmbedding(spec)
        last = len(spec.depths) - 1
        self.layers = nn.ModuleList(
            _Stage(width, depth, heads, spec.window, merge=stage < last)
            for stage, (width, depth, heads) in enumerate(zip(spec.widths, spec.depths, spec.heads, strict=True))
        )
        self.norm = nn.LayerNorm(spec.widths[-1])
        self.set_drop_path(drop_path)
        start_linear_layers(self)

    def set_drop_path(self, rate: float) -> None:
        """Set stochastic depth: 0 in the first block, growing linearly to `rate` in the last."""
        blocks = [module for module in self.modules() if isinstance(module, SwinBlock)]
        for block, own in zip(blocks, linear_drop_path(rate, len(blocks)), strict=True):
            block.drop_path = own

    def embed(self, video: Tensor) -> Tensor:
        """The tokens (B, t, h, w, dim). video: normalised (B, 3, T, H, W), which is padded with zeros to whole patches."""
        out: Tensor = self.patch_embed(video)
        return out

    def stages(self, x: Tensor) -> list[Tensor]:
        """The map of every stage before its merging, without the final norm, from the tokens of `embed`."""
        maps = []
        for layer in self.layers:
            assert isinstance(layer, _Stage)
            x = layer.blocks_of(x, checkpointing=self.checkpointing)
            maps.append(x)
            if layer.downsample is not None:
                x = layer.downsample(x)
        return maps


class _PatchEmbedding(nn.Module):
    def __init__(self, spec: SwinSpec) -> None:
        super().__init__()
        self.patch = spec.patch
        self.proj = nn.Conv3d(3, spec.dim, spec.patch, spec.patch)
        self.norm = nn.LayerNorm(spec.dim)

    def forward(self, video: Tensor) -> Tensor:
        missing = [-length % side for length, side in zip(video.shape[2:], self.patch, strict=True)]
        out: Tensor = self.norm(self.proj(_pad(video, missing, channels_last=False)).permute(0, 2, 3, 4, 1))
        return out


class _Stage(nn.Module):
    """Blocks whose windows are shifted by half a window in every second one, then the merging of 2 x 2 cells."""

    def __init__(self, dim: int, depth: int, heads: int, window: Window, *, merge: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(SwinBlock(dim, heads, window, shifted=number % 2 == 1) for number in range(depth))
        self.downsample = _Merging(dim) if merge else None

    def blocks_of(self, x: Tensor, *, checkpointing: bool) -> Tensor:
        for block in self.blocks:
            x = run_block(block, x, checkpointing=checkpointing)
        return x


class _Merging(nn.Module):
    """The cells of 2 x 2 become one of twice the width; an odd side is padded."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = _pad(x, (0, x.shape[2] % 2, x.shape[3] % 2))
        # Down first, then to the right: the order of the authors' weights.
        cells = torch.cat([x[:, :, y::2, column::2] for column, y in product((0, 1), (0, 1))], dim=-1)
        out: Tensor = self.reduction(self.norm(cells))
        return out


class SwinBlock(Residual):
    """x + attention(norm(x)) within windows, then x + mlp(norm(x))."""

    def __init__(self, dim: int, heads: int, window: Window, *, shifted: bool) -> None:
        super().__init__()
        self.window = window
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, t, h, w, dim). Returns the same shape."""
        x = x + self._skip_map(self._attend(self.norm1(x)))
        return x + self._skip_map(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor) -> Tensor:
        sides = x.shape[1:4]
        # A map that is not larger than the window has one window along that axis, and nothing to shift.
        window = tuple(min(side, most) for side, most in zip(sides, self.window, strict=True))
        shift = tuple(
            most // 2 if self.shifted and side > most else 0 for side, most in zip(sides, self.window, strict=True)
        )
        x = _pad(x, [-side % length for side, length in zip(sides, window, strict=True)])
        padded, mask = x.shape[1:4], None
        if any(shift):
            x = x.roll([-s for s in shift], (1, 2, 3))
            mask = shift_mask(padded, window, shift, x.device)
        x = _join(self.attn(_cut(x, window), window, mask), window, padded)
        if any(shift):
            x = x.roll(shift, (1, 2, 3))
        return x[:, : sides[0], : sides[1], : sides[2]]

    def _skip_map(self, branch: Tensor) -> Tensor:
        return self._skip(branch.flatten(1, 3)).view(branch.shape)


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a learned bias for every offset (dt, dy, dx) between two tokens."""

    def __init__(self, dim: int, heads: int, window: Window) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets(window), heads))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_index: Tensor
        self.register_buffer("relative_position_index", _offset_index(window), persistent=False)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, window: Iterable[int], mask: Tensor | None) -> Tensor:
        """x: (B, windows, n, dim). mask: float (windows, n, n), added to the scores, or None. Returns the shape of x.

        A window smaller than the largest one takes the offsets of the first n tokens of that, as the authors do; along time alone
        these are its own offsets.
        """
        batch, windows, n, dim = x.shape
        query, key, value = self.qkv(x).view(batch, windows, n, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
        index = self.relative_position_index[:n, :n]
        bias = self.relative_position_bias_table[index.reshape(-1)].view(n, n, -1).permute(2, 0, 1)
        added = bias[None] if mask is None else bias + mask[:, None].to(bias)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=added.to(query))
        out: Tensor = self.proj(mixed.transpose(2, 3).reshape(batch, windows, n, dim))
        return out


def offsets(window: Window) -> int:
    """The number of offsets between two tokens of a window, 2,535 for 8 x 7 x 7."""
    return (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)


def _offset_index(window: Window) -> Tensor:
    """int64 (n, n): the row of the bias table for each pair of tokens of a window, tokens row-major."""
    place = torch.stack(torch.meshgrid(*(torch.arange(side) for side in window), indexing="ij")).flatten(1)
    offset = place[:, :, None] - place[:, None, :] + torch.tensor(window).view(3, 1, 1) - 1
    return (offset[0] * (2 * window[1] - 1) + offset[1]) * (2 * window[2] - 1) + offset[2]


def shift_mask(sides: Iterable[int], window: Iterable[int], shift: Iterable[int], device: torch.device) -> Tensor:
    """float (windows, n, n): 0 for tokens that are neighbours in the clip, `OUTSIDE` for those that the shift wrapped round."""
    parts = []
    for side, length, moved in zip(sides, window, shift, strict=True):
        part = torch.zeros(side, device=device)
        if moved:
            part[side - length : side - moved], part[side - moved :] = 1, 2
        parts.append(part)
    region = parts[0][:, None, None] * 9 + parts[1][:, None] * 3 + parts[2]
    number = _cut(region[None, ..., None], tuple(window)).squeeze((0, 3))
    return (number[:, None] != number[:, :, None]) * OUTSIDE


def _pad(x: Tensor, missing: Iterable[int], *, channels_last: bool = True) -> Tensor:
    """Zeros after the last frame, row and column."""
    t, h, w = missing
    if not (t or h or w):
        return x
    sides = (0, w, 0, h, 0, t)
    return F.pad(x, (0, 0, *sides) if channels_last else sides)


def _cut(x: Tensor, window: tuple[int, ...]) -> Tensor:
    """(B, t, h, w, dim) -> (B, windows, n, dim)."""
    batch, t, h, w, dim = x.shape
    a, b, c = window
    cut = x.reshape(batch, t // a, a, h // b, b, w // c, c, dim).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return cut.reshape(batch, -1, a * b * c, dim)


def _join(x: Tensor, window: tuple[int, ...], sides: Iterable[int]) -> Tensor:
    """The inverse of `_cut`."""
    (t, h, w), (a, b, c) = sides, window
    cut = x.reshape(len(x), t // a, h // b, w // c, a, b, c, -1).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return cut.reshape(len(x), t, h, w, x.shape[-1])
