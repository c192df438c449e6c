"""Networks of the catalog as exports: weights with a description, and graphs of logits or of features."""

import json

import numpy as np
import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkOptions
from mgm.training import export_model, load_pretrained
from tests.errors import raises
from tests.models.networks.small import SMALL, SmallNetwork, authors_names
from tests.training.export.models import card_of

LABELS = ["left", "right", "up"]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(NETWORKS, "small", SMALL)


@pytest.fixture
def weights(tmp_path):
    """A file of the network's authors."""
    torch.manual_seed(0)
    network = SMALL.build(NetworkOptions(classes=3, labels=LABELS, frames=4, size=32)).eval()
    network.norm.running_mean.normal_()
    torch.save(authors_names(network.state_dict()), tmp_path / "theirs.pyth")
    return network, tmp_path / "theirs.pyth"


VIDEO = torch.randint(0, 256, (3, 3, 4, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_weights_become_a_file_that_describes_itself(weights, tmp_path):
    network, file = weights
    folder = export_model(file, to="safetensors", out=tmp_path / "out", network="small")
    again = load_pretrained(folder)
    assert torch.equal(again(VIDEO), network(VIDEO))
    assert again.catalog_build == ("small", 4, 32)
    twice = export_model(again, to="safetensors", out=tmp_path / "twice")
    assert torch.equal(load_pretrained(twice)(VIDEO), network(VIDEO))
    assert json.loads((folder / "mgm.json").read_text())["network"] == "small"
    assert "Small (nobody, 2026): a classifier of video clips into 3 classes." in card_of(folder)


@pytest.mark.parametrize("part", ["whole", "encoder"])
def test_a_graph_computes_the_same_for_any_batch(weights, tmp_path, part):
    network, file = weights
    folder = export_model(file, to="torch-export", out=tmp_path / "out", part=part, network="small")
    found = torch.export.load(folder / "model.pt2").module()(VIDEO)
    torch.testing.assert_close(found, network(VIDEO) if part == "whole" else network.tokens(VIDEO))
    card = card_of(folder)
    assert ("logits = model(video)" in card) == (part == "whole")
    assert ("tokens = model(video)" in card) == (part == "encoder")


@pytest.mark.slow
def test_onnx_computes_the_same(weights, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    network, file = weights
    folder = export_model(file, to="onnx", out=tmp_path / "out", video="float32", network="small")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    video = (VIDEO / 255).numpy()
    (found,) = session.run(None, {"video": video})
    np.testing.assert_allclose(found, network(VIDEO).detach().numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "reason", "subject"),
    [
        ({"to": "hf"}, "unsupported", "to"),
        ({"to": "videomae"}, "unsupported", "to"),
        ({"to": "safetensors", "part": "encoder"}, "unsupported", "to"),
    ],
)
def test_formats_that_cannot_hold_it(weights, tmp_path, options, reason, subject):
    message = f"export-network-{options.get('part', 'whole')}-{options['to']}"
    with raises(ModelError, reason, subject=subject, message=message):
        export_model(weights[1], out=tmp_path / "out", network="small", **options)
    assert not (tmp_path / "out").exists()


def test_a_network_built_by_hand_has_no_description(tmp_path):
    with raises(ModelError, "mismatch", subject="network"):
        export_model(SmallNetwork(NetworkOptions(classes=2)), to="safetensors", out=tmp_path / "out")
