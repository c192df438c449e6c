"""The transformer block of the reference: pre-norm attention without key bias, and an MLP."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention with a bias on queries and values, none on keys (the softmax would cancel it)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, *, last: int | None = None) -> Tensor:
        """x: (B, n, dim). Returns (B, n, dim), or (B, last, dim): the last tokens alone ask, all of them answer."""
        dim = x.shape[-1]
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        if last is None:
            query, key, value = F.linear(x, self.qkv.weight, bias).chunk(3, dim=-1)
        else:
            query = F.linear(x[:, -last:], self.qkv.weight[:dim], self.q_bias)
            key, value = F.linear(x, self.qkv.weight[dim:], bias[dim:]).chunk(2, dim=-1)
        out = F.scaled_dot_product_attention(self._split(query), self._split(key), self._split(value))
        mixed: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return mixed

    def weights(self, x: Tensor, *, query: int) -> Tensor:
        """The attention that token `query` pays to all tokens. x: (B, n, dim). Returns (B, heads, n); rows sum to 1."""
        dim = x.shape[-1]
        asked = self._split(F.linear(x[:, query : query + 1], self.qkv.weight[:dim], self.q_bias))
        key = self._split(F.linear(x, self.qkv.weight[dim : 2 * dim]))
        score: Tensor = asked @ key.transpose(2, 3) * (dim // self.heads) ** -0.5
        return score.softmax(dim=-1).squeeze(2)

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, dim) -> (B, heads, n, dim / heads)."""
        batch, n, dim = x.shape
        return x.view(batch, n, self.heads, dim // self.heads).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them; the hidden width is 4 x dim where none is given."""

    def __init__(self, dim: int, *, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or 4 * dim
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim). Returns (..., dim)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    hidden: width of the MLP's hidden layer, None: 4 x dim.
    drop_path: probability, in training, that a clip skips a branch (stochastic depth, Huang et al. 2016).
    """

    def __init__(self, dim: int, heads: int, *, eps: float, drop_path: float = 0.0, hidden: int | None = None) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, hidden=hidden)

    def forward(self, x: Tensor, *, last: int | None = None) -> Tensor:
        """x: (B, n, dim). Returns (B, n, dim), or (B, last, dim): the last tokens' outputs, computed for them alone."""
        kept = x if last is None else x[:, -last:]
        x = kept + self._skip(self.attn(self.norm1(x), last=last))
        return x + self._skip(self.mlp(self.norm2(x)))

    def _skip(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        # Divided by the chance to be kept, so that the expectation is that of evaluation.
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep).div_(keep)


def initialise_blocks(module: nn.Module) -> None:
    """Sets every Linear of `module` as the reference does for pre-training: weights Xavier-uniform, biases zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
