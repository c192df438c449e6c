"""The names of the reference's checkpoints, which VideoMAE V2 and most work that follows VideoMAE share, and mmaction2's.

They are this package's own names but for the embedding of patches, and a fine-tuned file has no `encoder.` before them.
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
from mgm.models.convert.shapes import PATCH_KERNEL, Model, check_floating, unflattened
from mgm.models.encoder import Encoder
from mgm.models.position import sincos_1d
from mgm.models.targets import Pixels

# mmaction2 builds blocks of mmcv's parts.
_MMACTION: Final = {
    "patch_embed.projection.": "patch_embed.proj.",
    ".mlp.layers.0.0.": ".mlp.fc1.",
    ".mlp.layers.1.": ".mlp.fc2.",
    "cls_head.fc_cls.": "head.",
}
# The parts of the encoder, which a fine-tuned file names without a prefix.
_ENCODER: Final = ("patch_embed.", "blocks.", "norm.", "pos_embed")


def from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of VideoMAE, V2, a fork or mmaction2 in this package's names, the patch embedding as a convolution.

    Raises ModelError for what this package's models cannot be: another code of places, layer scale.
    """
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix("backbone.")
        for theirs, mine in _MMACTION.items():
            name = name.replace(theirs, mine)
        if name.startswith(_ENCODER):
            name = f"encoder.{name}"
        if name.endswith((".gamma_1", ".gamma_2")):
            raise ModelError(f"state dict: found {key}, layer scale, which models here do not have")
        if name == "encoder.pos_embed":
            _check_places(value)
            continue
        ours[name.replace("patch_embed.proj.", "patch_embed.")] = value
    for name in [name for name in ours if name.endswith(".attn.qkv.bias")]:
        # One bias for all three: the keys' adds the same to every score of a query, and the softmax cancels it.
        query, _, value = ours.pop(name).chunk(3)
        prefix = name.removesuffix("qkv.bias")
        ours |= {f"{prefix}q_bias": query, f"{prefix}v_bias": value}
    return ours


def to_reference(model: Model) -> dict[str, Tensor]:
    """The state dict of a model in the reference's names, for its pre-training or, of a classifier, its fine-tuning code.

    An encoder alone keeps the prefix `encoder.`, from which the reference's fine-tuning starts.
    """
    state = {key: value.detach().clone() for key, value in model.state_dict().items()}
    if not isinstance(model, MaskedAutoencoder | Classifier):
        state = {f"encoder.{key}": value for key, value in state.items()}
        spec = model.spec
    else:
        spec = model.encoder.spec
    state[PATCH_KERNEL] = unflattened(state[PATCH_KERNEL], spec)
    state = {re.sub(r"(^encoder\.patch_embed\.)", r"\1proj.", key): value for key, value in state.items()}
    if isinstance(model, Classifier):
        return {key.removeprefix("encoder."): value for key, value in state.items()}
    return state


def arguments_of(model: Model) -> dict[str, Any]:
    """What the names and shapes of `to_reference` do not tell, as the reference's command line would: the clips, the target
    (its spelling of it) and, by the names of its models' arguments, the heads. What it has no argument for, the epsilons and
    the names of the classes, has our names: its code leaves that alone."""
    spec = model.spec if isinstance(model, Encoder) else model.encoder.spec
    arguments: dict[str, Any] = {"num_frames": spec.frames, "encoder_num_heads": spec.encoder.heads}
    arguments |= {"norm_eps": float(spec.norm_eps), "head_norm_eps": float(spec.head_norm_eps)}
    if isinstance(spec.resolution, int):
        arguments["input_size"] = spec.resolution
    if isinstance(model, MaskedAutoencoder):
        arguments |= {"decoder_num_heads": spec.decoder.heads, "normlize_target": not isinstance(model.target, Pixels)}
    elif isinstance(model, Classifier) and model.labels is not None:
        arguments["labels"] = list(model.labels)
    return arguments


def _check_places(stored: Tensor) -> None:
    """mmaction2 stores the fixed code, which is computed here; a learned one would be lost."""
    check_floating("pos_embed", stored)
    shape = tuple(stored.shape)
    fits = len(shape) in (2, 3) and shape[:-2] in ((), (1,))
    if not fits or not torch.allclose(
        stored.reshape(shape[-2:]).float(), sincos_1d(*shape[-2:]), rtol=0, atol=_slack(stored)
    ):
        raise ModelError(
            f"state dict: found pos_embed {shape} that is not the sine-cosine code of the flattened index, "
            "expected that one; a learned code of VideoMAE's layout is not supported"
        )


def _slack(stored: Tensor) -> float:
    """How far a stored sine or cosine may be from the exact one: angles of a thousand in single precision are off by up to
    1e-4 and more, and storing a value up to 1 rounds it by up to half of the type's epsilon (bfloat16: 4e-3)."""
    return 1e-3 + torch.finfo(stored.dtype).eps / 2
