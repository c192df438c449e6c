"""Divided space-time attention (TimeSformer, Bertasius et al. 2021) over the visible tokens of a clip."""

import torch
from torch import Tensor, nn

from mgm.models.attention import Attention, Mlp, Residual


class DividedBlock(Residual):
    """Attention along time, then within a step, then an MLP, each with its own norm and added to its input.

    Along time a token attends to the visible tokens at its own position (h, w) in all steps, itself included. The time
    branch ends with one more linear layer, as in the reference.

    Args:
        steps: steps of a clip, t. Every step has the same number of tokens.
        hidden: as in `Block`.
    """

    def __init__(self, dim: int, heads: int, *, steps: int, eps: float, hidden: int | None = None) -> None:
        super().__init__()
        self.steps = steps
        self.temporal_norm1 = nn.LayerNorm(dim, eps=eps)
        self.temporal_attn = Attention(dim, heads)
        self.temporal_fc = nn.Linear(dim, dim)
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, hidden=hidden)

    def forward(self, x: Tensor, same_position: Tensor | None = None) -> Tensor:
        """x: (B, n, dim), ordered by step. same_position: from `same_position_mask`; None: no token is hidden, n = N.

        Returns:
            (B, n, dim).
        """
        x = x + self._skip(self._along_time(x, same_position))
        x = x + self._skip(self._within_steps(x))
        return x + self._skip(self.mlp(self.norm2(x)))

    def weights(self, x: Tensor, *, query: int) -> Tensor:
        """The attention that token `query` pays within its step, 0 to all others. x: (B, N, dim). Returns (B, heads, N)."""
        x = x + self._along_time(x, None)
        step, position = divmod(query, x.shape[1] // self.steps)
        tokens = self.norm1(self._by_step(x)[:, step])
        row = self.attn.weights(tokens, query=position)
        whole = row.new_zeros(*row.shape[:2], self.steps, row.shape[2])
        whole[:, :, step] = row
        out: Tensor = whole.flatten(2)
        return out

    def _along_time(self, x: Tensor, same_position: Tensor | None) -> Tensor:
        normed = self.temporal_norm1(x)
        if same_position is None:
            tubes = self._by_step(normed).transpose(1, 2)  # (B, h*w, t, dim)
            mixed = self.temporal_attn(tubes.flatten(0, 1)).view(tubes.shape).transpose(1, 2).flatten(1, 2)
        else:
            # One product over all pairs, masked to the tubes, because tubes differ in length.
            mixed = self.temporal_attn(normed, mask=same_position)
        out: Tensor = self.temporal_fc(mixed)
        return out

    def _within_steps(self, x: Tensor) -> Tensor:
        frames = self._by_step(self.norm1(x))
        mixed: Tensor = self.attn(frames.flatten(0, 1)).view(x.shape)
        return mixed

    def _by_step(self, x: Tensor) -> Tensor:
        """(B, n, dim) -> (B, t, n / t, dim)."""
        return x.view(x.shape[0], self.steps, -1, x.shape[2])  # see `patchify` on len()


def same_position_mask(visible: Tensor, *, positions: int) -> Tensor:
    """bool (B, 1, n, n): True where two tokens have the same position (h, w) in the frame.

    Args:
        visible: int64 (B, n), row-major (t, h, w).
        positions: tokens per step, h*w.
    """
    position = torch.remainder(visible, positions)
    return (position[:, :, None] == position[:, None, :])[:, None]
