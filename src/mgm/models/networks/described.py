"""The network that a checkpoint of mgm describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mgm.errors import ModelError
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkOptions
from mgm.models.networks.network import CatalogBuild, VideoNetwork
from mgm.models.state_dict import load_state


def network_of(
    about: Mapping[str, Any],
    state: Mapping[str, Tensor],
    *,
    frames: int | None = None,
    size: int | tuple[int, int] | None = None,
) -> VideoNetwork:
    """The network of a description (network, frames, size, classes) with its weights, in evaluation mode.

    Args:
        frames, size: of other clips, which not every network takes; None: those of the description.

    Raises:
        ModelError: an unknown network, or weights that do not fit.
        KeyError: the description lacks a part.
    """
    name, classes = about["network"], about["classes"]
    if name not in NETWORKS:
        raise ModelError(
            "network", f"found {name!r}", f"one of {', '.join(NETWORKS)}", "update mgm", reason="unknown_name"
        )
    frames, size = frames or about["frames"], size or about["size"]
    if not isinstance(size, int):
        raise ModelError("resolution", f"found {size}", "one number for a network", reason="invalid_type")
    network = NETWORKS[name].build(NetworkOptions(classes=len(classes), labels=classes, frames=frames, size=size))
    network.catalog_build = CatalogBuild(name, frames, size)
    load_state(network, state)
    return network.eval()


def describe(network: VideoNetwork) -> dict[str, Any]:
    """The description that `network_of` reads, of a network of the catalog. Raises ModelError for another."""
    if network.catalog_build is None:
        found = f"found a {type(network).__name__} that was built by hand"
        raise ModelError(
            "network", found, "one of the catalog", "pass its run, or weights with --model", reason="mismatch"
        )
    name, frames, size = network.catalog_build
    classes = list(network.labels or map(str, range(network.classes)))
    return {"kind": "network", "network": name, "frames": frames, "size": size, "classes": classes}
