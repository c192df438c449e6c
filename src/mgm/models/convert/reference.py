"""The names of the reference's checkpoints, shared by VideoMAE V2 and most work that follows VideoMAE, and mmaction2's.

They equal this package's names except for the patch embedding; those of a fine-tuned file lack the prefix `encoder.`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.classifier import Classifier
from mgm.models.convert.shapes import PATCH_KERNEL, Model, encoder_of, unflattened
from mgm.models.encoder import Encoder
from mgm.models.position import sincos_1d
from mgm.models.state_dict import check_floating
from mgm.models.targets import Pixels

# mmaction2 uses mmcv's modules.
_MMACTION: Final = {
    "patch_embed.projection.": "patch_embed.proj.",
    ".mlp.layers.0.0.": ".mlp.fc1.",
    ".mlp.layers.1.": ".mlp.fc2.",
    "cls_head.fc_cls.": "head.",
}
# The modules of the encoder, which have no prefix in a fine-tuned file.
_ENCODER: Final = ("patch_embed.", "blocks.", "norm.", "pos_embed")


def from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of VideoMAE, V2, a fork or mmaction2 in this package's names, the patch embedding as a convolution.

    Raises:
        ModelError: other position embeddings, or layer scale, which models of mgm do not have.
    """
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix("backbone.")
        for theirs, mine in _MMACTION.items():
            name = name.replace(theirs, mine)
        if name.startswith(_ENCODER):
            name = f"encoder.{name}"
        if name.endswith((".gamma_1", ".gamma_2")):
            raise ModelError(
                "state dict", f"found {key}, layer scale, which models of mgm do not have", reason="unsupported"
            )
        if name == "encoder.pos_embed":
            _check_positions(value)
            continue
        ours[name.replace("patch_embed.proj.", "patch_embed.")] = value
    for name in [name for name in ours if name.endswith(".attn.qkv.bias")]:
        # One bias for queries, keys and values; the softmax cancels the keys', which adds the same to every score of a query.
        query, _, value = ours.pop(name).chunk(3)
        prefix = name.removesuffix("qkv.bias")
        ours |= {f"{prefix}q_bias": query, f"{prefix}v_bias": value}
    return ours


def to_reference(model: Model) -> dict[str, Tensor]:
    """The state dict of a model in the reference's names, for its pretraining or, of a classifier, its fine-tuning code.

    An encoder alone keeps the prefix `encoder.`, as the reference's fine-tuning expects.
    """
    state = {key: value.detach().clone() for key, value in model.state_dict().items()}
    if isinstance(model, Encoder):
        state = {f"encoder.{key}": value for key, value in state.items()}
    state[PATCH_KERNEL] = unflattened(state[PATCH_KERNEL], encoder_of(model).spec)
    state = {re.sub(r"(^encoder\.patch_embed\.)", r"\1proj.", key): value for key, value in state.items()}
    if isinstance(model, Classifier):
        return {key.removeprefix("encoder."): value for key, value in state.items()}
    return state


def arguments_of(model: Model) -> dict[str, Any]:
    """Settings that the names and shapes of `to_reference` lack, as arguments of the reference's command line: the clips, the
    target (in its spelling) and the heads (by the names of its models' arguments). The epsilons and the names of the classes,
    for which it has no argument, have names of mgm; its code ignores them."""
    spec = encoder_of(model).spec
    arguments: dict[str, Any] = {"num_frames": spec.frames, "encoder_num_heads": spec.encoder.heads}
    arguments |= {"norm_eps": float(spec.norm_eps), "head_norm_eps": float(spec.head_norm_eps)}
    if isinstance(spec.resolution, int):
        arguments["input_size"] = spec.resolution
    if isinstance(model, MaskedAutoencoder):
        arguments |= {"decoder_num_heads": spec.decoder.heads, "normlize_target": not isinstance(model.target, Pixels)}
    elif isinstance(model, Classifier) and model.labels is not None:
        arguments["labels"] = list(model.labels)
    return arguments


def _check_positions(stored: Tensor) -> None:
    """Raises ModelError unless a stored position embedding, as of mmaction2, equals the fixed one that models here compute."""
    check_floating("pos_embed", stored)
    shape = tuple(stored.shape)
    fits = len(shape) in (2, 3) and shape[:-2] in ((), (1,))
    if not fits or not torch.allclose(
        stored.reshape(shape[-2:]).float(), sincos_1d(*shape[-2:]), rtol=0, atol=_tolerance(stored)
    ):
        raise ModelError(
            "state dict",
            f"found a learned pos_embed {shape}",
            "the sine-cosine embedding of the flattened index",
            "learned position embeddings of VideoMAE's layout are not supported",
            reason="unsupported",
        )


def _tolerance(stored: Tensor) -> float:
    """Largest error of a stored sine or cosine: angles of a thousand in single precision are wrong by 1e-4 and more, and
    storing a value up to 1 rounds it by up to half of the dtype's epsilon (bfloat16: 4e-3)."""
    return 1e-3 + torch.finfo(stored.dtype).eps / 2
