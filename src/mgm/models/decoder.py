"""Decoders: from the encoder's output and the positions of the hidden tokens to predictions for the hidden tokens."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from mgm.models.attention import Block, CrossBlock, initialise_blocks, run_block
from mgm.models.patches import TokenSplit
from mgm.models.position import position_embedding
from mgm.models.sizes import Stack
from mgm.models.spec import ModelSpec

_HIDDEN: Final = 512  # of MME's heads


class Decoder(nn.Module):
    """Blocks, a norm and the head that maps tokens of the decoder's width to predictions.

    Args:
        spec: shapes and kinds.
        outs: predicted values per token of each target.
        stack: widths.

    Attributes:
        checkpointing: as in `Encoder`.
    """

    kind: ClassVar[type[Block] | type[CrossBlock]]

    def __init__(self, spec: ModelSpec, outs: Sequence[int], stack: Stack) -> None:
        super().__init__()
        self.checkpointing = False
        self.blocks = nn.ModuleList(
            self.kind(stack.dim, stack.heads, eps=spec.norm_eps, hidden=stack.hidden) for _ in range(stack.depth)
        )
        self.norm = nn.LayerNorm(stack.dim, eps=spec.head_norm_eps)
        mlp = spec.prediction_head == "mlp"
        self.head = MlpHeads(stack.dim, outs) if mlp else nn.Linear(stack.dim, sum(outs))
        initialise_blocks(self)


class MlpHeads(nn.ModuleList):
    """For each target a linear layer to 512, an exact GELU and a linear layer; outputs (..., sum of outs)."""

    def __init__(self, dim: int, outs: Sequence[int]) -> None:
        super().__init__(nn.Sequential(nn.Linear(dim, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, out)) for out in outs)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim)."""
        return torch.cat([head(x) for head in self], dim=-1)


class SelfDecoder(Decoder):
    """VideoMAE's decoder: visible and hidden tokens attend to each other."""

    kind = Block

    def forward(self, seen: Tensor, hidden: Tensor, *, valid: Tensor | None = None) -> Tensor:
        """seen: (B, v, dim), visible tokens. hidden: (B, n, dim), mask tokens; both with position embeddings.

        Args:
            valid: bool (B, n), False for padding, to which no token attends; None: no padding.

        Returns:
            The predictions (B, n, out).
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


class DecoderBranch(nn.Module):
    """A decoder with the projection and the mask token before it, for one target.

    Args:
        spec, outs, stack: as for `Decoder`.
        checkpointing: as in `Encoder`.
    """

    def __init__(self, spec: ModelSpec, outs: Sequence[int], stack: Stack, *, checkpointing: bool = False) -> None:
        super().__init__()
        self.projection = nn.Linear(spec.encoder.dim, stack.dim, bias=False)
        self.decoder = DECODERS[spec.decoder_attention](spec, outs, stack)
        self.decoder.checkpointing = checkpointing
        nn.init.xavier_uniform_(self.projection.weight)
        self.mask_token = new_mask_token(spec, stack.dim)
        self.position: Tensor
        self.register_buffer("position", position_embedding(spec, stack.dim), persistent=False)

    def forward(self, encoded: Tensor, regressed: Tensor | None, split: TokenSplit) -> Tensor:
        """As `decode`."""
        return decode(self.projection, self.mask_token, self.position, self.decoder, encoded, regressed, split)


def new_mask_token(spec: ModelSpec, dim: int) -> nn.Parameter | None:
    """The token that stands for a hidden one before the decoder; None with a regressor, whose results take its place."""
    if spec.regressor_depth is not None:
        return None
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02, a=-0.02, b=0.02))


def decode(
    projection: nn.Module,
    mask_token: nn.Parameter | None,
    position: Tensor,
    decoder: nn.Module,
    encoded: Tensor,
    regressed: Tensor | None,
    split: TokenSplit,
) -> Tensor:
    """The predictions (B, n, out) of the hidden tokens.

    Args:
        position: (N, width of the decoder).
        encoded: (B, v, dim), the encoder's output.
        regressed: (B, n, dim), the regressor's, with which the decoder gets no visible tokens; None without a regressor.
    """
    if regressed is None:
        assert mask_token is not None
        seen = projection(encoded) + position[split.visible]
        hidden = mask_token + position[split.hidden]
    else:
        hidden = projection(regressed) + position[split.hidden]
        seen = hidden[:, :0]
    prediction: Tensor = decoder(seen, hidden, valid=split.valid)
    return prediction
