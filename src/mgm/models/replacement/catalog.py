"""The networks of masked prediction by name. A new one is a `Trunk` in a file of this folder and one line here."""

from collections.abc import Callable, Mapping
from typing import Final

from mgm.models.replacement.mvit import MViTTrunk
from mgm.models.replacement.swin import SwinTrunk
from mgm.models.replacement.trunk import Trunk, ViTTrunk
from mgm.models.sizes import unknown_name
from mgm.models.spec import ModelSpec

TRUNKS: Final[Mapping[str, Callable[[ModelSpec], Trunk]]] = {"vit": ViTTrunk, "swin": SwinTrunk, "mvit": MViTTrunk}
"""By the setting `model.replacement`."""


def build_trunk(name: str, spec: ModelSpec) -> Trunk:
    """Raises ModelError for an unknown name, or a size or a clip that the network does not have."""
    if name not in TRUNKS:
        raise unknown_name("replacement", name, TRUNKS)
    return TRUNKS[name](spec)
