"""Starts from models of images: how the authors of each family convert weights without time.

An `Inflate` gets the network and the weights of an image model under their own names, and returns them under the names of the
network. It returns unknown weights unchanged, so that the error of reading names them. Names and rules are those of the authors'
code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.errors import ModelError

State = Mapping[str, Tensor]
Inflate = Callable[[nn.Module, State], dict[str, Tensor]]

VIT_KEY: Final = "blocks.0.attn.qkv.weight"
"""A key of timm's ViT, whose names those of DeiT and MAE are."""
VIT_HF_KEY: Final = "encoder.layer.0.attention.attention.query.weight"
"""A key of transformers' ViTModel."""

_HEADS: Final = re.compile(r"(head|fc_norm|pre_logits|classifier|pooler|layernorm_pooler|fc)\..*")
_IN_LAYER: Final = {
    "attention.output.dense": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
_QKV: Final = ("query", "key", "value")
_OUTSIDE: Final = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}


def vit(state: State) -> dict[str, Tensor]:
    """A ViT of images under timm's names, without its head, from these or from those of transformers."""
    bare = {key.removeprefix("vit."): value for key, value in state.items()}
    if VIT_HF_KEY in bare:
        bare = _from_huggingface(bare)
    found = {key: value for key, value in bare.items() if not _HEADS.fullmatch(key)}
    patch = found.get("patch_embed.proj.weight")
    if patch is not None and patch.ndim == 2:  # the patches' pixels in one row, as the first files of timm
        side = int((patch.shape[1] // 3) ** 0.5)
        found["patch_embed.proj.weight"] = patch.view(len(patch), 3, side, side)
    return found


def vit_on_grid(state: State, places: int) -> dict[str, Tensor]:
    """The same, with its positions for a square of `places` patches. Raises ModelError for a model of videos."""
    found = vit(state)
    check_image(found, "patch_embed.proj.weight")
    if "pos_embed" in found:
        found["pos_embed"] = positions(found["pos_embed"], places)
    return found


def positions(found: Tensor, places: int) -> Tensor:
    """Learned positions (1, 1 + n, dim), the class token's first, for another square of `places` patches: bicubic."""
    if found.ndim != 3 or found.shape[1] == 1 + places:
        return found
    before, after = round((found.shape[1] - 1) ** 0.5), round(places**0.5)
    if before**2 != found.shape[1] - 1 or after**2 != places:
        return found  # no square: reported as misshapen
    grid = found[:, 1:].reshape(1, before, before, -1).permute(0, 3, 1, 2)
    larger = F.interpolate(grid.float(), size=(after, after), mode="bicubic", align_corners=False)
    return torch.cat((found[:, :1], larger.flatten(2).transpose(1, 2).to(found)), dim=1)


def averaged(weight: Tensor, frames: int) -> Tensor:
    """A kernel of two dimensions in every frame of one of three, each its share: a still clip has the result of the image."""
    flat = weight[:, :, None] if weight.ndim == 4 else weight
    return flat.repeat(1, 1, frames // flat.shape[2], 1, 1) * (flat.shape[2] / frames)


def central(weight: Tensor, frames: int) -> Tensor:
    """A kernel of two dimensions in the middle frame of one of three, zeros in the others."""
    made = weight.new_zeros(*weight.shape[:2], frames, *weight.shape[2:])
    made[:, :, frames // 2] = weight
    return made


def check_image(state: State, key: str) -> None:
    """Raises ModelError unless the patch embedding is that of a model of images."""
    found = state.get(key)
    if found is not None and found.ndim != 4:
        raise ModelError(
            "state dict",
            f"found {key} {tuple(found.shape)}",
            "4 dimensions, of a model of images",
            "these are weights of another network of videos",
            reason="invalid_shape",
        )


def _from_huggingface(state: State) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        match = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", key)
        if match is None:
            found[_OUTSIDE.get(key, key)] = value
        elif match[2] in _IN_LAYER:
            found[f"blocks.{match[1]}.{_IN_LAYER[match[2]]}.{match[3]}"] = value
        elif match[2] == "attention.attention.query":
            parts = [state[name] for part in _QKV if (name := key.replace("query", part)) in state]
            if len(parts) == len(_QKV):  # else the key is reported as missing
                found[f"blocks.{match[1]}.attn.qkv.{match[3]}"] = torch.cat(parts)
        elif match[2] not in ("attention.attention.key", "attention.attention.value"):
            found[key] = value
    return found
