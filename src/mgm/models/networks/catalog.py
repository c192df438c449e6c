"""The catalog of networks. A family is one file of this folder with its `ENTRIES`, and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from mgm.models.networks import coviar, motionformer, mvit, slowfast, timesformer, video_swin, vidtr, vjepa2
from mgm.models.networks.entry import NetworkEntry

_FAMILIES: Final[tuple[tuple[NetworkEntry, ...], ...]] = (
    slowfast.ENTRIES,
    mvit.ENTRIES,
    timesformer.ENTRIES,
    motionformer.ENTRIES,
    vidtr.ENTRIES,
    video_swin.ENTRIES,
    coviar.ENTRIES,
    vjepa2.ENTRIES,
)

NETWORKS: Final[Mapping[str, NetworkEntry]] = {entry.name: entry for entry in chain(*_FAMILIES)}
"""All networks by the name that a recipe gives as `model.network`."""
