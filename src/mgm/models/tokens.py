"""The tokens of a clip from a model with features: an encoder, or a network of the catalog."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.encoder import Encoder
from mgm.models.networks.network import VideoNetwork

_HEAD_DIM = 64


class TokenShape(NamedTuple):
    """Number and width of the tokens of a clip, and the heads of an attentive probe on them."""

    tokens: int
    dim: int
    heads: int


def tokens_of(model: Encoder | VideoNetwork, clips: Tensor, block: int | None = None) -> Tensor:
    """The tokens of clips, (B, n, dim). block: of an encoder, see `Encoder.forward`; None: its output."""
    if isinstance(model, VideoNetwork):
        return model.tokens(clips)
    tokens: Tensor = model(clips) if block is None else model(clips, block=block)
    return tokens


def check_block(model: Encoder | VideoNetwork, block: int | None) -> None:
    """Raises ModelError unless `tokens_of` has tokens of this block."""
    if block is None:
        return
    if isinstance(model, VideoNetwork):
        raise ModelError(
            "layer", f"found {block}", "none: a network has tokens before its pooling alone", reason="unsupported"
        )
    model.check_block(block)


def token_shape(model: Encoder | VideoNetwork, *, frames: int, size: int) -> TokenShape:
    """The shape of the tokens of a clip, without computing any."""
    if isinstance(model, Encoder):
        stack = model.spec.encoder
        return TokenShape(model.spec.tokens, stack.dim, stack.heads)
    # A copy whose tensors have shapes and no values: those of `memo` stand for the model's.
    memo: dict[int, object] = {id(p): nn.Parameter(p.to("meta"), requires_grad=False) for p in model.parameters()}
    memo |= {id(b): b.to("meta") for b in model.buffers()}
    shadow: VideoNetwork = copy.deepcopy(model, memo).eval()
    with torch.no_grad():
        _, tokens, dim = shadow.tokens(torch.empty(1, 3, frames, size, size, device="meta")).shape
    heads = max(dim // _HEAD_DIM, 1)
    return TokenShape(tokens, dim, next(n for n in range(heads, 0, -1) if dim % n == 0))
