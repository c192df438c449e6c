"""Decoders: from the encoder's output and the positions of the hidden tokens to predictions for the hidden tokens."""

from collections.abc import Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from mgm.models.attention import Block, CrossBlock, initialise_blocks, run_block
from mgm.models.sizes import ModelSpec


class Decoder(nn.Module):
    """Blocks, a norm and the head that maps tokens of the decoder's width to predictions.

    spec: sizes. out: predicted values per token. checkpointing: as in `Encoder`.
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
        self.head = nn.Linear(dim, out)
        initialise_blocks(self)


class SelfDecoder(Decoder):
    """VideoMAE's decoder: visible and hidden tokens attend to each other."""

    kind = Block

    def forward(self, seen: Tensor, hidden: Tensor, *, valid: Tensor | None = None) -> Tensor:
        """seen: (B, v, dim), visible tokens. hidden: (B, n, dim), mask tokens; both with position embeddings.

        valid: bool (B, n), False for padding, to which no token attends; None: no padding.
        Returns the predictions (B, n, out).
        """
        mask = None
        if valid is not None:
            mask = torch.cat((valid.new_ones(seen.shape[:2]), valid), dim=1)[:, None, None, :]
        # Mask tokens come last regardless of their position, which is in the embedding, so that the last block can skip the others.
        x = torch.cat((seen, hidden), dim=1)
        for layer in self.blocks[:-1]:
            x = run_block(layer, x, checkpointing=self.checkpointing, mask=mask)
        # The last block computes the hidden tokens only: nothing reads the others afterwards.
        x = run_block(self.blocks[-1], x, checkpointing=self.checkpointing, mask=mask, last=hidden.shape[1])
        out: Tensor = self.head(self.norm(x))
        return out


class CrossDecoder(Decoder):
    """CrossMAE's decoder (Fu et al. 2024): hidden tokens attend to visible tokens and not to each other.

    So a prediction does not depend on which other tokens are reconstructed.
    """

    kind = CrossBlock

    def forward(self, seen: Tensor, hidden: Tensor, *, valid: Tensor | None = None) -> Tensor:
        """As `SelfDecoder.forward`; `valid` has no effect, because no token attends to a hidden one."""
        for layer in self.blocks:
            hidden = run_block(layer, hidden, seen, checkpointing=self.checkpointing)
        out: Tensor = self.head(self.norm(hidden))
        return out


DECODERS: Final[Mapping[str, type[SelfDecoder] | type[CrossDecoder]]] = {"self": SelfDecoder, "cross": CrossDecoder}
