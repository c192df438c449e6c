"""The weights of a network as its authors publish them: their names to those of mgm, strictly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from mgm.errors import ModelError
from mgm.models.networks.image_start import VIT_HF_KEY, VIT_KEY, Inflate
from mgm.models.networks.network import VideoNetwork
from mgm.models.state_dict import load_state, wrong_keys, wrong_shapes

Rename = Callable[[str], str | None]
"""The name of mgm for a name of the authors; None for a tensor that is not a weight, such as a momentum. A name that the authors'
program does not write is returned as it is: `load_renamed` then reports it as unexpected."""


def same_name(name: str) -> str:
    """A `Rename` where the authors' names are those of mgm."""
    return name


HEAD: Final = "head.weight"
ALL_BUT_HEAD: Final = r"head\..*"
"""`WeightsFormat.fresh` of a pretraining that lacks the head alone."""
_COUNTER: Final = "num_batches_tracked"  # of batch norm; Caffe2 has none, and nothing reads it in evaluation


@dataclass(frozen=True, slots=True)
class WeightsFormat:
    """A program that writes weights of a network.

    Attributes:
        name: for messages and lists.
        key: a name that every such state dict has, and none of the formats that follow it in an entry.
        fresh: of a pretraining without classes or a model of images, the names that it lacks, a pattern of whole names: the network
            starts these itself. None: weights of the whole network.
        inflate: of a model of images, applied after `rename`.
    """

    name: str
    key: str
    rename: Rename
    fresh: str | None = None
    inflate: Inflate | None = None

    @property
    def pretrained(self) -> bool:
        """Whether it has no classes."""
        return self.fresh is not None


def vit_formats(fresh: str, inflate: Inflate) -> tuple[WeightsFormat, ...]:
    """The formats of a ViT of images that a network starts from; after those of the network's own weights."""
    names = (("ViT of images", VIT_KEY), ("Hugging Face ViT", VIT_HF_KEY), ("Hugging Face ViT", f"vit.{VIT_HF_KEY}"))
    return tuple(WeightsFormat(name, key, same_name, fresh, inflate) for name, key in names)


def load_renamed(
    network: VideoNetwork,
    state: Mapping[str, Tensor],
    rename: Rename,
    *,
    fresh: str | None = None,
    inflate: Inflate | None = None,
) -> None:
    """Load weights of the authors into a network, whose number of classes is that of the weights (`classes_of`).

    Args:
        fresh, inflate: as in `WeightsFormat`; what the weights lack stays as it is in the network.

    Raises:
        ModelError: it names missing, unexpected and misshapen keys, two keys of one weight, and values that are not finite.
    """
    theirs: dict[str, str] = {}  # our name -> the authors'
    for key in state:
        ours = rename(key)
        if ours is None:
            continue
        if ours in theirs:
            raise ModelError(
                "state dict", f"found {theirs[ours]} and {key}, which are the same weight", "one", reason="conflict"
            )
        theirs[ours] = key
    if inflate is not None:
        state = inflate(network, {ours: state[key] for ours, key in theirs.items()})
        theirs = {key: key for key in state}
    expected = network.state_dict()
    kept = [key for key in expected if fresh is not None and re.fullmatch(fresh, key)]
    missing = [key for key in expected if key not in theirs and key not in kept and not key.endswith(_COUNTER)]
    unexpected = [key for ours, key in theirs.items() if ours not in expected]
    if missing or unexpected:
        raise wrong_keys(sorted(missing), sorted(unexpected))
    fitted = {ours: network.fit(ours, state[key]) for ours, key in theirs.items()}
    wrong = [
        f"{key} {tuple(state[key].shape)}, expected {tuple(expected[ours].shape)}"
        for ours, key in theirs.items()
        if fitted[ours].shape != expected[ours].shape
    ]
    if wrong:
        raise wrong_shapes(wrong)
    counters = {key: value for key, value in expected.items() if key not in theirs}
    load_state(network, counters | fitted)


def classes_of(state: Mapping[str, Tensor], rename: Rename) -> int:
    """The number of classes of weights, from the rows of their last layer. Raises ModelError if they have none."""
    for key, value in state.items():
        if rename(key) == HEAD and value.ndim >= 2:
            return value.shape[0]
    raise ModelError(
        "state dict", f"found no {HEAD}", "weights of a classifier", "they are of another network", reason="mismatch"
    )
