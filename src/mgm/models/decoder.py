"""Decoders: from the encoder's output and the hidden tokens' places to predictions for the hidden tokens."""

from collections.abc import Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from mgm.models.attention import Block, CrossBlock, initialise_blocks, run_block
from mgm.models.cpu import Linear
from mgm.models.sizes import ModelSpec


class Decoder(nn.Module):
    """Blocks, a norm and the head that turns tokens of the decoder's width into predictions.

    spec: sizes. out: values that are predicted per token. checkpointing: as in `Encoder`.
    """

    kind: ClassVar[type[Block] | type[CrossBlock]]

    def __init__(self, spec: ModelSpec, out: int) -> None:
        super().__init__()
        self.checkpointing = False
        dim, depth, heads = spec.decoder.dim, spec.decoder.depth, spec.decoder.heads
        self.blocks = nn.ModuleList(
            self.kind(dim, heads, eps=spec.norm_eps, hidden=spec.decoder.hidden) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=spec.head_norm_eps)
        self.head = Linear(dim, out)
        initialise_blocks(self)


class SelfDecoder(Decoder):
    """VideoMAE's decoder: visible and hidden tokens attend to each other."""

    kind = Block

    def forward(self, seen: Tensor, hidden: Tensor, *, valid: Tensor | None = None) -> Tensor:
        """seen: (B, v, dim), visible tokens. hidden: (B, n, dim), mask tokens; both with the codes of their places.

        counted: bool (B, n), False for hidden tokens that only fill a row up: no other token attends to them.
        Returns the predictions (B, n, out).
        """
        mask = None
        if valid is not None:
            mask = torch.cat((valid.new_ones(seen.shape[:2]), valid), dim=1)[:, None, None, :]
        # Mask tokens come last, whatever their place: the code carries it, and the last block can leave out the rest.
        x = torch.cat((seen, hidden), dim=1)
        for layer in self.blocks[:-1]:
            x = run_block(layer, x, checkpointing=self.checkpointing, mask=mask)
        # Nothing reads the other tokens after the last block, so it computes none of them.
        x = run_block(self.blocks[-1], x, checkpointing=self.checkpointing, mask=mask, last=hidden.shape[1])
        out: Tensor = self.head(self.norm(x))
        return out


class CrossDecoder(Decoder):
    """CrossMAE's decoder (Fu et al. 2024): each hidden token attends to the visible ones, and to no other hidden token.

    Hidden tokens that nobody asks for cost nothing and change nothing.
    """

    kind = CrossBlock

    def forward(self, seen: Tensor, hidden: Tensor, *, valid: Tensor | None = None) -> Tensor:
        """As `SelfDecoder.forward`; `counted` changes nothing, for no token attends to a hidden one."""
        for layer in self.blocks:
            hidden = run_block(layer, hidden, seen, checkpointing=self.checkpointing)
        out: Tensor = self.head(self.norm(hidden))
        return out


DECODERS: Final[Mapping[str, type[SelfDecoder] | type[CrossDecoder]]] = {"self": SelfDecoder, "cross": CrossDecoder}
