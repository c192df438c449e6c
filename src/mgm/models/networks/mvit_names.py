"""The names that PySlowFast gives the weights of MViT."""

from __future__ import annotations

import re
from typing import Final

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


FORMATS: Final = (WeightsFormat("PySlowFast", "patch_embed.proj.weight", from_pyslowfast),)
