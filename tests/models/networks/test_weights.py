"""Weights under their authors' names, read strictly."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.entry import NetworkOptions
from mgm.models.networks.weights import classes_of, load_renamed
from tests.errors import raises
from tests.models.networks.small import SMALL, authors_names, rename


@pytest.fixture
def trained():
    torch.manual_seed(1)
    network = SMALL.build(NetworkOptions(classes=5))
    network(torch.rand(2, 3, 4, 32, 32))  # moves the statistics of batch norm
    return network.eval()


@pytest.fixture
def state(trained):
    return authors_names(trained.state_dict())


def test_loads_every_weight(trained, state):
    network = SMALL.build(NetworkOptions(classes=classes_of(state, rename))).eval()
    load_renamed(network, state, rename)
    video = torch.rand(2, 3, 4, 32, 32)
    assert torch.equal(network(video), trained(video))


def test_skips_what_is_no_weight_and_needs_no_counters(trained, state):
    del state["net.bn1.num_batches_tracked"]
    state["conv1_momentum"] = torch.zeros(3)
    network = SMALL.build(NetworkOptions(classes=5)).eval()
    load_renamed(network, state, rename)
    assert torch.equal(network.norm.running_mean, trained.norm.running_mean)


def _missing(state):
    del state["net.blocks.1.weight"]


def _extra(state):
    state["net.blocks.2.weight"] = torch.zeros(16, 16)


def _misshapen(state):
    state["net.conv1.weight"] = torch.zeros(16, 3, 2, 4, 8)


def _twice(state):
    state["stem.weight"] = state["net.conv1.weight"]


def _not_finite(state):
    state["net.fc.bias"][2] = torch.nan


def _quantised(state):
    state["net.fc.bias"] = torch.zeros(5, dtype=torch.int8)


@pytest.mark.parametrize(
    ("damage", "reason", "named"),
    [
        (_missing, "mismatch", "blocks.1.weight"),
        (_extra, "mismatch", "net.blocks.2.weight"),
        (_misshapen, "invalid_shape", "net.conv1.weight (16, 3, 2, 4, 8), expected (16, 3, 2, 8, 8)"),
        (_twice, "conflict", "stem.weight"),
        (_not_finite, "diverged", "head.bias"),
        (_quantised, "invalid_type", "head.bias"),
    ],
)
def test_names_what_does_not_fit(state, damage, reason, named):
    damage(state)
    with raises(ModelError, reason, subject="state dict") as caught:
        load_renamed(SMALL.build(NetworkOptions(classes=5)), state, rename)
    assert named in caught.value.found


def test_weights_without_a_head_have_no_classes(state):
    del state["net.fc.weight"]
    with raises(ModelError, "mismatch", subject="state dict"):
        classes_of(state, rename)
