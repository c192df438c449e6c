"""A regressor between encoder and decoder: features of hidden tokens from those of visible ones (MAM2; Chen et al. 2022)."""

import torch
from torch import Tensor, nn

from mgm.models.attention import CrossBlock, initialise_blocks, run_block
from mgm.models.position import position_embedding
from mgm.models.spec import ModelSpec


class Regressor(nn.Module):
    """Blocks of the encoder's width in which a query for each hidden token attends to the encoder's output, and a norm.

    Args:
        spec: sizes, with `regressor_depth`.

    Attributes:
        checkpointing: as in `Encoder`.
    """

    def __init__(self, spec: ModelSpec, depth: int) -> None:
        super().__init__()
        self.checkpointing = False
        stack = spec.encoder
        self.mask_token = nn.Parameter(torch.empty(1, 1, stack.dim))
        self.blocks = nn.ModuleList(
            CrossBlock(stack.dim, stack.heads, eps=spec.norm_eps, hidden=stack.hidden) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(stack.dim, eps=spec.norm_eps)
        initialise_blocks(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        self.position: Tensor
        self.register_buffer("position", position_embedding(spec, stack.dim), persistent=False)

    def forward(self, encoded: Tensor, visible: Tensor, tokens: Tensor) -> Tensor:
        """encoded: (B, v, dim), of the visible tokens. visible, tokens: int64 (B, v) and (B, n). Returns (B, n, dim)."""
        seen = encoded + self.position[visible]
        x = self.mask_token + self.position[tokens]
        for block in self.blocks:
            x = run_block(block, x, seen, checkpointing=self.checkpointing)
        out: Tensor = self.norm(x)
        return out
