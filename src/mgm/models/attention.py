"""Transformer blocks: the reference's (pre-norm attention without key bias, MLP), and one with cross-attention."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mgm.errors import ModelError


class Attention(nn.Module):
    """Multi-head self-attention with a bias on queries and values, none on keys (the softmax would cancel it)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, *, last: int | None = None, mask: Tensor | None = None) -> Tensor:
        """x: (B, n, dim). Returns (B, n, dim), or (B, last, dim) for the queries of the last tokens alone.

        Args:
            mask: bool, broadcast to (B, heads, queries, n): False where a query does not attend to a token.
        """
        dim = x.shape[-1]
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        if last is None:
            query, key, value = self._linear(x, self.qkv.weight, bias).chunk(3, dim=-1)
        else:
            query = self._linear(x[:, -last:], self.qkv.weight[:dim], self.q_bias)
            key, value = self._linear(x, self.qkv.weight[dim:], bias[dim:]).chunk(2, dim=-1)
        return self._mix(query, key, value, mask)

    def weights(self, x: Tensor, *, query: int) -> Tensor:
        """The attention that token `query` pays to all tokens. x: (B, n, dim). Returns (B, heads, n); rows sum to 1."""
        dim = x.shape[-1]
        one = split_heads(self._linear(x[:, query : query + 1], self.qkv.weight[:dim], self.q_bias), self.heads)
        key = split_heads(self._linear(x, self.qkv.weight[dim : 2 * dim]), self.heads)
        score: Tensor = one @ key.transpose(2, 3) * (dim // self.heads) ** -0.5
        return score.softmax(dim=-1).squeeze(2)

    def mean_weights(self, x: Tensor) -> Tensor:
        """The attention of every token to all, the mean over heads. x: (B, n, dim). Returns (B, n, n); rows sum to 1."""
        dim = x.shape[-1]
        query = split_heads(self._linear(x, self.qkv.weight[:dim], self.q_bias), self.heads)
        key = split_heads(self._linear(x, self.qkv.weight[dim : 2 * dim]), self.heads)
        total = x.new_zeros(len(x), x.shape[1], x.shape[1])
        for head in range(self.heads):  # one after the other: all at once take `heads` times the memory
            total += (query[:, head] @ key[:, head].transpose(1, 2) * (dim // self.heads) ** -0.5).softmax(dim=-1)
        return total / self.heads

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = (split_heads(part, self.heads) for part in (query, key, value))
        mixed = self._attend(query, key, value, mask)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out

    # `accelerate_cpu` replaces the two operations below.
    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x, weight, bias)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


class CrossAttention(nn.Module):
    """Multi-head attention from some tokens to others, with the biases of `Attention`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """x: (B, n, dim), for the queries. memory: (B, m, dim), for keys and values. Returns (B, n, dim)."""
        key, value = self.kv(memory).chunk(2, dim=-1)
        # The weights of a row sum to 1, so a bias on the values equals a bias on the result.
        query, key, value = (split_heads(part, self.heads) for part in (self.q(x), key, value))
        mixed = self._attend(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2) + self.v_bias)
        return out

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # `accelerate_cpu` replaces it
        return F.scaled_dot_product_attention(query, key, value)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, n, dim) -> (B, heads, n, dim / heads)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them. hidden: width between them, by default 4 x dim."""

    def __init__(self, dim: int, *, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or 4 * dim
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim). Returns (..., dim)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Residual(nn.Module):
    """Base of transformer blocks: stochastic depth of the residual branches (Huang et al. 2016).

    Args:
        drop_path: probability, in training, that a clip skips a branch.
    """

    def __init__(self, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path

    def _skip(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        # Divided by the probability to be kept, so that the expectation equals evaluation.
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep).div_(keep)


def linear_drop_path(last: float, depth: int) -> list[float]:
    """The rate of stochastic depth of each block: 0 in the first, growing linearly to `last`.

    Raises:
        ModelError: the rate is outside of [0, 1).
    """
    if not 0 <= last < 1:
        raise ModelError("drop_path", f"found {last}", "at least 0 and less than 1", reason="invalid_value")
    return [last * i / max(depth - 1, 1) for i in range(depth)]


class Block(Residual):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        hidden: width of the MLP's hidden layer, by default 4 x dim.
        drop_path: as in `Residual`.
    """

    def __init__(self, dim: int, heads: int, *, eps: float, drop_path: float = 0.0, hidden: int | None = None) -> None:
        super().__init__(drop_path)
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, hidden=hidden)

    def forward(self, x: Tensor, *, last: int | None = None, mask: Tensor | None = None) -> Tensor:
        """x: (B, n, dim). Returns (B, n, dim), or (B, last, dim): the last tokens' outputs, computed for them alone.

        Args:
            mask: as in `Attention`.
        """
        kept = x if last is None else x[:, -last:]
        x = kept + self._skip(self.attn(self.norm1(x), last=last, mask=mask))
        return x + self._skip(self.mlp(self.norm2(x)))

    def weights(self, x: Tensor, *, query: int) -> Tensor:
        """The attention that token `query` pays to all N tokens in this block. x: (B, N, dim). Returns (B, heads, N)."""
        return self.attn.weights(self.norm1(x), query=query)

    def mean_weights(self, x: Tensor) -> Tensor:
        """`Attention.mean_weights` in this block. x: (B, n, dim). Returns (B, n, n)."""
        return self.attn.mean_weights(self.norm1(x))


class CrossBlock(Residual):
    """x + attention(norm(x) to memory), then x + mlp(norm(x)); tokens of x do not attend to each other (Fu et al. 2024)."""

    def __init__(self, dim: int, heads: int, *, eps: float, hidden: int | None = None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = CrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, hidden=hidden)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """x: (B, n, dim). memory: (B, m, dim). Returns (B, n, dim)."""
        x = x + self.attn(self.norm1(x), memory)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def run_block(block: nn.Module, x: Tensor, *layout: Tensor, checkpointing: bool, **options: Any) -> Tensor:
    """block(x, *layout, **options); with `checkpointing`, activations are recomputed in the backward pass, not stored."""
    if checkpointing and torch.is_grad_enabled():
        recomputed: Tensor = checkpoint(block, x, *layout, use_reentrant=False, **options)
        return recomputed
    out: Tensor = block(x, *layout, **options)
    return out


def initialise_blocks(module: nn.Module) -> None:
    """Initialise every linear layer of `module` as the reference does for pretraining: weights Xavier-uniform, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
