"""Every network of the catalog has exactly the parameters and the computation that its entry gives."""

from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mgm.errors import ModelError
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.network import VideoNetwork
from tests.errors import raises
from tests.models.networks.small import SMALL

ENTRIES = (*(entry for entry in NETWORKS.values() if entry.needs is None or find_spec(entry.needs)), SMALL)
"""Networks whose package is not installed cannot be built."""


@cache
def built(entry: NetworkEntry) -> VideoNetwork:
    """The network without values; tests must not change it."""
    with torch.device("meta"):
        return entry.build(NetworkOptions(classes=entry.classes)).eval().requires_grad_(False)


def multiply_accumulates(entry: NetworkEntry) -> int:
    """Of one view, counted by PyTorch on tensors without values."""
    video = torch.empty(1, 3, entry.frames, entry.size, entry.size, device="meta")
    with FlopCounterMode(display=False) as counter:
        built(entry)(video)
    return counter.get_total_flops() // 2


def written(gmacs: float) -> int:
    """The decimals of a number as an entry gives it."""
    return len(str(gmacs).partition(".")[2])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
class TestEntry:
    def test_parameters(self, entry):
        assert sum(p.numel() for p in built(entry).parameters()) == entry.parameters

    def test_computation(self, entry):
        assert round(multiply_accumulates(entry) / 1e9, written(entry.gmacs)) == entry.gmacs

    def test_layers_of_decay(self, entry):
        """Every parameter belongs to a layer, and none is left empty."""
        network = built(entry)
        layers = {network.depth_of(name) for name, _ in network.named_parameters()}
        assert layers <= set(range(network.depth + 2))
        assert network.depth == 0 or layers == set(range(network.depth + 2))

    def test_says_whether_it_has_stochastic_depth(self, entry):
        with torch.device("meta"), nullcontext() if entry.stochastic_depth else raises(ModelError, "unsupported"):
            entry.build(NetworkOptions(classes=entry.classes, drop_path=0.1))

    def test_says_whether_it_has_an_order_of_layers(self, entry):
        assert entry.layer_decay == (built(entry).depth > 0)

    def test_formats_are_told_apart(self, entry):
        keys = [one.key for one in entry.formats]
        assert len(set(keys)) == len(keys)


VARIANTS = ("vjepa2-h", "vjepa2-g", "slowfast-r101", "maskfeat-mvitv2-s", "mvitv1-b-64x3")
"""Of a network that is tested beside them; so are those of the same network with the classes of SSv2."""


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(e, id=e.name, marks=[pytest.mark.slow] if e.name.startswith(VARIANTS) or "ssv2" in e.name else [])
        for e in ENTRIES
    ],
)
def test_shapes(entry):
    """Tokens of the width that it claims, and a row of logits per clip, also with another head."""
    with torch.device("meta"):
        network = entry.build(NetworkOptions(classes=entry.classes)).eval()
        video = torch.empty(2, 3, entry.frames, entry.size, entry.size, dtype=torch.uint8)
        tokens = network.tokens(video)
        assert tokens.ndim == 3
        assert tokens.shape[::2] == (2, network.feature_dim)
        assert network.classify(tokens).shape == (2, entry.classes)
        network.replace_head(11, [str(i) for i in range(11)])
        assert network(video).shape == (2, 11)
        assert network.labels is not None
        assert len(network.labels) == network.classes == 11


def test_names_are_unique():
    assert len(NETWORKS) == len({entry.name for entry in NETWORKS.values()})
    assert all(name == entry.name for name, entry in NETWORKS.items())
