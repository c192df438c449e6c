"""The computation of a model, in multiply-accumulates: what papers on video call FLOPs."""

from __future__ import annotations

from mgm.models.sizes import ModelSpec


def encoder_multiply_accumulates(spec: ModelSpec) -> int | None:
    """Of one clip without a mask, without biases, norms and softmax; None for divided attention.

    The published figures of VideoMAE's ViT-S, B, L and H count these: 57, 180, 597 and 1,191 G.
    """
    if spec.divided:
        return None
    N, D, hidden = spec.tokens, spec.encoder.dim, spec.encoder.mlp
    embedding = N * D * 3 * spec.tubelet * spec.patch**2
    block = N * D * (4 * D + 2 * hidden) + 2 * N * N * D
    return embedding + spec.encoder.depth * block
