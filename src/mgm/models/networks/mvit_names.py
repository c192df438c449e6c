"""The names that PySlowFast gives the weights of MViT."""

from __future__ import annotations

import re
from typing import Final

from torch import Tensor, nn

from mgm.models.networks.image_start import State, averaged, check_image
from mgm.models.networks.weights import WeightsFormat

_NAMES: Final = (
    (r"cls_token", "class_token"),
    (r"pos_embed_spatial", "position_space"),
    (r"pos_embed_temporal", "position_time"),
    (r"pos_embed_class", "position_class"),
    (r"patch_embed\.proj\.(.*)", r"patch_embed.\1"),
    (r"(blocks\.\d+\.attn\.pool_[qkv])\.weight", r"\1.conv.weight"),
    (r"(blocks\.\d+\.attn)\.norm_([qkv])\.(.*)", r"\1.pool_\2.norm.\3"),
    (r"(blocks\.\d+\.attn)\.rel_pos_([hwt])", r"\1.relative_\2"),
    (r"(blocks\.\d+)\.mlp\.(.*)", r"\1.\2"),
    (r"(blocks\.\d+)\.proj\.(.*)", r"\1.widen.\2"),
    (r"head\.projection\.(.*)", r"head.\1"),
)
_RULES: Final = tuple((re.compile(theirs), ours) for theirs, ours in _NAMES)


def from_pyslowfast(key: str) -> str:
    """The name of `MViT` for a name of PySlowFast."""
    for theirs, ours in _RULES:
        if match := theirs.fullmatch(key):
            return match.expand(ours)
    return key


def from_maskfeat(key: str) -> str | None:
    """The name of `MViT` for a name of PySlowFast's MaskFeat; None for its mask token and its scores of targets."""
    return None if key == "mask_token" or key.startswith("pred_head.") else from_pyslowfast(key)


def inflate_mvit(network: nn.Module, state: State) -> dict[str, Tensor]:
    """An MViT of images, whose kernels have no time, or a time of 1: averaged over the frames, as PySlowFast does.

    PySlowFast leaves the kernels of pooling at random, since they have a time of 1; here they are averaged too.
    """
    check_image(state, "patch_embed.weight")
    own = network.state_dict()
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("head."):
            continue
        kernel = name == "patch_embed.weight" or name.endswith(".conv.weight")
        frames = own[name].shape[2] if kernel and name in own else 1
        found[name] = averaged(value, frames) if kernel and value.ndim in (4, 5) else value
    return found


_OF_IMAGES: Final = r"head\..*|class_token|position_(time|class)|blocks\.\d+\.attn\.relative_t"
_MASKFEAT: Final = r"(head|norm)\..*"
FORMATS: Final = (
    WeightsFormat("MaskFeat's pretraining", "mask_token", from_maskfeat, fresh=_MASKFEAT),
    WeightsFormat("PySlowFast", "pos_embed_temporal", from_pyslowfast),  # version 1
    WeightsFormat("PySlowFast", "blocks.0.attn.rel_pos_t", from_pyslowfast),
    WeightsFormat("MViT of images", "blocks.0.attn.pool_k.weight", from_pyslowfast, _OF_IMAGES, inflate_mvit),
)
