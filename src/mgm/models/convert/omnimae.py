"""OmniMAE (Girdhar et al. 2023): a ViT of VideoMAE's layout, with a full bias of the attention and its own names.

Its decoder begins with a mask token in the encoder's width, which autoencoders of mgm do not have.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mgm.models.convert.reference import from_reference

_LEFT_OUT = ("trunk.decoder.", "trunk.mask_token")


def from_omnimae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder, or the classifier, of a state dict of OmniMAE in this package's names, without the decoder.

    Raises:
        ModelError: position embeddings other than the sine-cosine one.
    """
    tuned = "head.weight" in state
    theirs: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(_LEFT_OUT):
            continue
        name = key.removeprefix("trunk.").replace("patch_embed.proj.1.", "patch_embed.proj.")
        if tuned and name.startswith("norm."):  # its classifier's only norm follows the mean
            name = f"fc_{name}"
        theirs[name] = value
    return from_reference(theirs)
