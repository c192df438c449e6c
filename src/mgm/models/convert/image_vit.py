"""A ViT of pictures (MAE, DeiT, timm, transformers' ViTModel) as an encoder of clips of one frame: the teacher of MVD."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mgm.models.convert.maest import from_maest
from mgm.models.networks.image_start import check_image, vit

_LEFT_OUT = ("decoder_", "mask_token")


def from_image_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of such a state dict in this package's names, without a decoder and a head.

    Its pixels are normalised with ImageNet's statistics, as MAE and DeiT have it. Positions of patches are those of the only step.

    Raises:
        ModelError: as `from_maest`, about the names of MAE-ST.
    """
    theirs: dict[str, Tensor] = {}
    found = {key: value for key, value in vit(state).items() if not key.startswith(_LEFT_OUT)}
    check_image(found, "patch_embed.proj.weight")
    for key, value in found.items():
        before, attention, kind = key.partition(".attn.qkv.")
        if key == "pos_embed":
            theirs |= {"pos_embed_class": value[:, :1], "pos_embed_spatial": value[:, 1:]}
            theirs["pos_embed_temporal"] = value.new_zeros(1, 1, value.shape[-1])
        elif key == "patch_embed.proj.weight":
            theirs[key] = value[:, :, None]
        elif attention:
            parts = zip("qkv", value.chunk(3), strict=True)
            theirs |= {f"{before}.attn.{part}.{kind}": rows for part, rows in parts}
        else:
            theirs[key] = value
    return from_maest(theirs, imagenet=True)
