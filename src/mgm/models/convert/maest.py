"""MAE-ST (Feichtenhofer et al. 2022): encoders with a class token and separable learned position embeddings.

Its decoder, which also has these and predicts one of two frames, is not supported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.convert.shapes import PATCH_KERNEL, kernel_sizes
from mgm.models.networks.network import PIXEL_MEAN, PIXEL_STD
from mgm.models.patches import MEAN, STD
from mgm.models.state_dict import check_floating, misshapen, wrong_shapes

_POSITIONS: Final = {"pos_embed_spatial": "encoder.position_space", "pos_embed_temporal": "encoder.position_time"}
_CLASS_TOKEN: Final = ("cls_token", "pos_embed_class")


def from_maest(state: Mapping[str, Tensor], *, imagenet: bool = False) -> dict[str, Tensor]:
    """The encoder, or the classifier, of a state dict of MAE-ST in this package's names, without the decoder.

    The patch embedding is rewritten, exactly, for pixels normalised with ImageNet's statistics, as for all models here.
    The class token contains its position embedding.

    Args:
        imagenet: whether its pixels are normalised with these statistics already.

    Raises:
        ModelError: the position embeddings are not separable, or tensors are missing or have another shape.
    """
    if "pos_embed" in state and not any(key in state for key in _POSITIONS):
        raise ModelError(
            "state dict",
            "found pos_embed, a joint learned position embedding",
            "MAE-ST's separable ones (pos_embed_spatial, pos_embed_temporal)",
            reason="unsupported",
        )
    _check(state)
    tuned = "head.weight" in state
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(("decoder_", "mask_token", "pos_embed_class")):
            continue
        if key == "cls_token":
            ours["encoder.class_token"] = value.float() + state["pos_embed_class"].float()
        elif key in _POSITIONS:
            ours[_POSITIONS[key]] = value.squeeze(0)
        elif key.startswith("head."):
            ours[key] = value
        elif key.startswith("norm.") and tuned:  # the only norm of its classifier follows the mean
            ours[f"fc_{key}"] = value
        elif not re.search(r"\.attn\.[qkv]\.", key):
            ours[f"encoder.{key}"] = value
    for block in _attentions(state):
        ours[f"encoder.{block}.qkv.weight"] = torch.cat([state[f"{block}.{part}.weight"] for part in "qkv"])
        for part in "qv":  # the softmax cancels the keys' bias, which adds the same to every score of a query
            ours[f"encoder.{block}.{part}_bias"] = state[f"{block}.{part}.bias"]
    if imagenet:
        ours[PATCH_KERNEL] = ours.pop("encoder.patch_embed.proj.weight")
        ours["encoder.patch_embed.bias"] = ours.pop("encoder.patch_embed.proj.bias")
    else:
        _normalise_as_imagenet(ours)
    return ours


def _attentions(state: Mapping[str, Tensor]) -> list[str]:
    return sorted({found[1] for key in state if (found := re.match(r"(blocks\.\d+\.attn)\.[qkv]\.", key))})


def _check(state: Mapping[str, Tensor]) -> None:
    """Check the tensors that are combined here; the others are checked against the model."""
    kernel = state["patch_embed.proj.weight"]
    check_floating("patch_embed.proj.weight", kernel)
    dim, _, _ = kernel_sizes(kernel)
    expected: dict[str, tuple[int, ...]] = {"patch_embed.proj.bias": (dim,)}
    for key in _POSITIONS:
        positions = state[key].shape[1] if key in state and state[key].ndim == 3 else 1
        expected[key] = (1, positions, dim)
    if any(key in state for key in _CLASS_TOKEN):  # MAE-ST also exists without them
        expected |= dict.fromkeys(_CLASS_TOKEN, (1, 1, dim))
    for block in _attentions(state):
        expected |= {f"{block}.{part}.weight": (dim, dim) for part in "qkv"}
        expected |= {f"{block}.{part}.bias": (dim,) for part in "qv"}
    missing = [key for key in expected if key not in state]
    if missing:
        raise ModelError(
            "state dict",
            f"found {len(missing)} of {len(expected)} keys of MAE-ST missing ({', '.join(missing[:3])})",
            "every tensor of its encoder",
            "the file is incomplete: fetch it again, or save the whole state dict",
            reason="malformed",
        )
    wrong = misshapen(state, expected)
    if wrong:
        raise wrong_shapes(wrong)
    for key in expected:
        check_floating(key, state[key])


def _normalise_as_imagenet(ours: dict[str, Tensor]) -> None:
    """W x + b of x = (p - .45) / .225 as W' y + b' of y = (p - MEAN) / STD, p in [0, 1]."""
    kernel = ours.pop("encoder.patch_embed.proj.weight").double()
    bias = ours.pop("encoder.patch_embed.proj.bias").double()
    scale = (torch.tensor(STD, dtype=torch.float64) / PIXEL_STD).view(3, 1, 1, 1)
    shift = ((torch.tensor(MEAN, dtype=torch.float64) - PIXEL_MEAN) / PIXEL_STD).view(3, 1, 1, 1)
    ours[PATCH_KERNEL] = (kernel * scale).float()
    ours["encoder.patch_embed.bias"] = (bias + (kernel * shift).sum((1, 2, 3, 4))).float()
