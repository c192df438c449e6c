"""What all networks share: the range of their input, labels, a new head."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.entry import NetworkOptions
from tests.errors import raises
from tests.models.networks.small import SMALL, SmallNetwork


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SMALL.build(NetworkOptions(classes=3, labels=["a", "b", "c"], frames=4, size=32)).eval()


def clips(seed=0, *, frames=4):
    return torch.randint(
        0, 256, (2, 3, frames, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def test_bytes_and_fractions_are_one_input(network):
    video = clips()
    assert torch.allclose(network(video), network(video / 255), atol=1e-6)


def test_normalises_as_its_authors(network):
    seen = network.normalised(clips())
    assert torch.allclose(seen, (clips() / 255 - 0.45) / 0.225, atol=1e-6)


def test_means_per_channel():
    class Grey(SmallNetwork):
        def __init__(self):
            super().__init__(NetworkOptions(classes=2))
            self.mean.copy_(torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1, 1))

    seen = Grey().normalised(torch.zeros(1, 3, 4, 32, 32))
    assert torch.allclose(seen[0, :, 0, 0, 0], -torch.tensor([0.1, 0.2, 0.3]) / 0.225)


def test_statistics_are_not_weights(network):
    assert {"mean", "std"}.isdisjoint(network.state_dict())


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        (None, "invalid_type"),
        (torch.zeros(2, 3, 4, 32, 32, dtype=torch.int64), "invalid_type"),
        (torch.zeros(3, 4, 32, 32), "invalid_shape"),
        (torch.zeros(2, 4, 3, 32, 32), "invalid_shape"),
        (torch.zeros(2, 3, 8, 32, 32), "invalid_shape"),
        (torch.zeros(2, 3, 4, 32, 40), "invalid_shape"),
        (torch.zeros(0, 3, 4, 32, 32), "invalid_shape"),
    ],
)
def test_refuses_other_clips(network, video, reason):
    with raises(ModelError, reason, subject="video"):
        network(video)


def test_any_clip_where_the_network_allows_it():
    assert SMALL.build(NetworkOptions(classes=3))(torch.zeros(2, 3, 8, 64, 48)).shape == (2, 3)


def test_replaces_the_head(network):
    body = {key: value.clone() for key, value in network.state_dict().items() if not key.startswith("head.")}
    network.replace_head(5)
    assert network.labels is None
    assert network(clips()).shape == (2, 5)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in body.items())


@pytest.mark.parametrize("change", [{"classes": 0}, {"classes": 2, "labels": ["a"]}])
def test_refuses_wrong_classes(network, change):
    with pytest.raises(ModelError):
        SMALL.build(NetworkOptions(**change))
    with pytest.raises(ModelError):
        network.replace_head(**change)
