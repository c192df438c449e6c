"""The computation of a model, in multiply-accumulates: what papers on video call FLOPs."""

from __future__ import annotations

from mgm.models.sizes import Stack
from mgm.models.spec import ModelSpec


def encoder_multiply_accumulates(spec: ModelSpec) -> int | None:
    """Of one clip without a mask, without biases, norms and softmax; None for divided attention.

    The published figures of VideoMAE's ViT-S, B, L and H count these: 57, 180, 597 and 1,191 G.
    """
    return None if spec.divided else _embedding(spec) + _blocks(spec.encoder, spec.tokens)


def autoencoder_multiply_accumulates(spec: ModelSpec, visible: int) -> int | None:
    """Of one clip in pretraining with `visible` tokens: encoder, projection, decoder with self-attention on all tokens, head.

    None for divided attention, for a decoder with cross-attention or heads of several layers, for several decoders, and with a
    regressor.
    """
    plain = spec.decoder_attention == "self" and spec.decoders is None and spec.regressor_depth is None
    if spec.divided or not plain or spec.prediction_head != "linear":
        return None
    decoder, pixels = spec.decoder, 3 * spec.tubelet * spec.patch**2
    projection = visible * spec.encoder.dim * decoder.dim
    head = (spec.tokens - visible) * decoder.dim * pixels
    encoder = _embedding(spec) + _blocks(spec.encoder, visible)
    return encoder + projection + _blocks(decoder, spec.tokens) + head


def _embedding(spec: ModelSpec) -> int:
    """Of all patches; embedding only the visible ones would save 1 of 35 G at a ratio of .9."""
    return spec.tokens * spec.encoder.dim * 3 * spec.tubelet * spec.patch**2


def _blocks(stack: Stack, tokens: int) -> int:
    linear = tokens * stack.dim * (4 * stack.dim + 2 * stack.mlp)
    return stack.depth * (linear + 2 * tokens**2 * stack.dim)
