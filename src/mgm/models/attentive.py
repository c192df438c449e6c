"""Attentive pooling: one feature per clip from its tokens, by attention."""

import torch
from torch import Tensor, nn


class AttentivePooler(nn.Module):
    """One learned query that attends to all tokens of a clip, and an MLP (V-JEPA, Bardes et al. 2024, without a class token).

    Tokens have a position in space and time, which their mean loses. A query that can select tokens detects motion that the
    mean dilutes.

    Args:
        dim, heads: of the tokens.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(dim) * 0.02)
        self.gain = nn.Parameter(torch.ones(dim))  # of the layer norm on the tokens
        self.shift = nn.Parameter(torch.zeros(dim))
        self.key = nn.Linear(dim, dim, bias=False)  # with one query, a bias of the keys cancels in the softmax
        self.value = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens after a layer norm without gain and shift, float32 (B, N, dim) -> (B, dim).

        With one query per head, keys and values of single tokens need not be computed. The query is multiplied by gain and key
        matrix once; the shift cancels in the softmax. Gain, shift and value matrix are applied to the pooled token. The result
        is the same, for a fraction of the work.
        """
        B, _, dim = tokens.shape
        width = dim // self.heads
        query = self.query.view(self.heads, 1, width)
        folded = (query @ self.key.weight.view(self.heads, width, dim)).squeeze(1) * self.gain / width**0.5
        attention = (tokens @ folded.T).softmax(dim=1)
        pooled = attention.transpose(1, 2) @ tokens * self.gain + self.shift  # (B, heads, dim)
        values = torch.einsum("bhc,hdc->bhd", pooled, self.value.weight.view(self.heads, width, dim))
        summary = values.reshape(B, dim) + self.value.bias
        result: Tensor = summary + self.mlp(self.mlp_norm(summary))
        return result
