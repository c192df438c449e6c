"""Published files of SlowFast and MViT, from the file to the network of a recipe."""

import pickle
from dataclasses import replace
from functools import partial

import pytest
import torch

from mgm.models.networks import mvit, slowfast
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.mvit_names import from_pyslowfast
from mgm.models.networks.slowfast_names import FORMATS
from mgm.models.networks.weights import load_renamed
from mgm.training import load_config
from mgm.training.networks import network_to_train, read_network
from tests.models.networks.mvit_files import mvit_weights
from tests.models.networks.slowfast_files import published, slowfast_weights

SLOWFAST = slowfast.SlowFastSpec((1, 1, 2, 1), width=8, nonlocal_after=(1,))
MVIT = replace(mvit.V2_S, depth=3, widen=(1,), dim=8)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The networks of two entries, smaller."""
    for name, build in (
        ("slowfast-r101-16x8-nl", partial(slowfast.build_slowfast, SLOWFAST)),
        ("mvitv2-s-16x4", partial(mvit.build_mvit, MVIT, 0.1)),
    ):
        monkeypatch.setitem(NETWORKS, name, replace(NETWORKS[name], build=build))


@pytest.mark.parametrize("publisher", ["Caffe2", "PySlowFast"])
def test_slowfast(publisher, tmp_path):
    weights = published(slowfast_weights(SLOWFAST, classes=400), publisher)
    file = tmp_path / "weights"
    if publisher == "Caffe2":
        file.write_bytes(pickle.dumps({"blobs": {name: value.numpy() for name, value in weights.items()}}, protocol=2))
    else:
        torch.save({"model_state": weights, "epoch": 195, "cfg": "TRAIN: {}", "optimizer_state": {}}, file)
    settings = ["model.network=slowfast-r101-16x8-nl", "data.frames=16", "data.size=64"]
    config = load_config("debug", settings)
    network = read_network(file, config)
    expected = slowfast.SlowFast(SLOWFAST, classes=400).eval()
    load_renamed(expected, weights, next(one.rename for one in FORMATS if one.name == publisher))
    video = torch.randint(0, 256, (1, 3, 16, 64, 64), dtype=torch.uint8)
    assert network(video).isfinite().all()
    assert torch.equal(network(video), expected(video))
    assert network.labels is not None
    assert network.labels[0] == "abseiling"


def test_mvit(tmp_path):
    weights = mvit_weights(
        widths=[(8, 8, 1), (8, 16, 2), (16, 16, 2)], query=[1, 2, 1], key=[8, 4, 4], grid=(8, 56, 56), relative=True,
        widen_in_attention=True, cube=True, classes=400,
    )  # fmt: skip
    torch.save({"model_state": weights, "epoch": 199, "cfg": "TRAIN: {}"}, tmp_path / "weights.pyth")
    # Clips of another size than the weights': the tables of positions are interpolated.
    config = load_config("debug", ["model.network=mvitv2-s-16x4", "data.frames=4", "data.size=64"])
    network = read_network(tmp_path / "weights.pyth", config)
    assert torch.equal(network.blocks[0].attn.relative_h, weights["blocks.0.attn.rel_pos_h"])
    expected = mvit.MViT(MVIT, classes=400).eval()
    load_renamed(expected, weights, from_pyslowfast)
    video = torch.randint(0, 256, (1, 3, 4, 64, 64), dtype=torch.uint8)
    assert torch.equal(network(video), expected(video))
    started = network_to_train(config, ["a", "b"], network)
    assert started.head.out_features == 2
    assert torch.equal(started.norm.weight, weights["norm.weight"])
