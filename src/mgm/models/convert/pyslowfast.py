"""MAE-ST as PySlowFast writes it: the same model as in its own repository, under the names of PySlowFast's MViT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mgm.errors import ModelError
from mgm.models.convert.maest import from_maest

_DECODER = ("decoder_", "pred_head.", "mask_token")


def from_pyslowfast(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder, or the classifier, of such a state dict in this package's names, without the decoder.

    Raises:
        ModelError: as `from_maest`, about the names of MAE-ST, or an attention that is not one matrix of three.
    """
    theirs: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(_DECODER):
            continue
        before, found, kind = key.partition(".attn.qkv.")
        if not found:
            theirs[key.replace("head.projection.", "head.")] = value
            continue
        if len(value) % 3:
            raise ModelError(
                "state dict", f"found {key} {tuple(value.shape)}", "three parts of equal size", reason="invalid_shape"
            )
        theirs |= {f"{before}.attn.{part}.{kind}": rows for part, rows in zip("qkv", value.chunk(3), strict=True)}
    return from_maest(theirs)
