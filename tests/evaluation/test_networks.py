"""Networks of the catalog in `mgm evaluate`, `probe`, `embed` and `predict`: a run of one, and weights of its authors."""

import json

import numpy as np
import pytest
import torch

from mgm.data.annotations import load_set
from mgm.errors import DataError, ModelError
from mgm.evaluation.embedding import embed
from mgm.evaluation.multi_view import evaluate
from mgm.evaluation.prediction import predict
from mgm.evaluation.run import probe
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkOptions
from mgm.models.tokens import token_shape
from mgm.training import load_config, load_pretrained
from tests.errors import raises
from tests.models.networks.small import SMALL, authors_names
from tests.training.helpers import save

CHOSEN = ("model.network=small", "data.workers=0", "data.memory=false")
QUICK = (*CHOSEN, "probe.steps=3", "probe.batch=4", "probe.lr=0.01", "probe.weight_decay=0.01")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(NETWORKS, "small", SMALL)


@pytest.fixture
def theirs(tmp_path, videos):
    """A file of the authors for the classes of the set, in their order reversed, and the file of these names."""
    torch.manual_seed(3)
    network = SMALL.build(NetworkOptions(classes=len(videos.classes), frames=4, size=32))
    torch.nn.init.normal_(network.head.weight)
    torch.save({"model_state": authors_names(network.state_dict())}, tmp_path / "small.pyth")
    (tmp_path / "labels.json").write_text(json.dumps({name: i for i, name in enumerate(videos.classes[::-1])}))
    return tmp_path / "small.pyth", tmp_path / "labels.json", network.eval()


def test_evaluates_published_weights(theirs, videos, memory):
    weights, labels, _ = theirs
    found = evaluate(weights, videos, overrides=CHOSEN, labels=labels, source=memory)
    result = found.result
    assert result.protocol["temporal views"] == 2
    assert (result.protocol["frames"], result.protocol["stride"], result.protocol["size"]) == (4, 2, 32)
    assert result.cost["multiply-accumulates"] == 2 * 16 * round(SMALL.gmacs * 1e9)
    # The class of a video is where its name is among theirs.
    assert found.predictions.label.tolist() == [7 - item.label for item in videos.test]
    assert weights.with_name("small.pyth.evaluation.json").exists()


def test_names_of_classes_are_asked_for(theirs, videos, memory):
    with raises(DataError, "missing_value") as caught:
        evaluate(theirs[0], videos, overrides=CHOSEN, source=memory)
    assert "--labels" in caught.value.advice


def test_names_have_the_number_of_the_classes(theirs, videos, memory, tmp_path):
    (tmp_path / "few.txt").write_text("a\nb\n")
    with raises(ModelError, "mismatch"):
        evaluate(theirs[0], videos, overrides=CHOSEN, labels=tmp_path / "few.txt", source=memory)


@pytest.fixture
def run(tmp_path, videos):
    """The folder of a run that trained a network."""
    torch.manual_seed(0)
    config = load_config("debug", [*QUICK, "finetune.layer_decay=1"])
    model = SMALL.build(NetworkOptions(classes=len(videos.classes), frames=4, size=32))
    torch.nn.init.normal_(model.head.weight)
    about = {"kind": "network", "network": "small", "frames": 4, "size": 32, "classes": list(videos.classes)}
    settings = config.model_dump(mode="json")
    save(tmp_path / "run", {**about, "model": model.state_dict(), "config": settings})
    return tmp_path / "run"


def test_evaluates_a_run(run, videos, memory):
    found = evaluate(run, videos, source=memory)
    assert found.predictions.probability.shape == (16, 8)
    assert len(np.unique(found.predictions.probability[:, 0])) > 8
    again = evaluate(run, videos, source=memory, overrides=("data.size=64",))
    assert again.result.protocol["size"] == 64
    assert "multiply-accumulates" not in again.result.cost  # the published figure is that of other clips


def test_another_recipe_keeps_the_network(run, videos, memory):
    found = evaluate(run, videos, source=memory, recipe="debug", overrides=("data.workers=0",))
    assert found.result.protocol["frames"] == 4


def test_probes_its_frozen_features(run, videos, memory):
    report = probe(run, videos, source=memory)
    assert set(report.scores.hits) >= {"attentive probe", "linear probe", "20-NN"}
    assert [c.name for c in report.comparisons] == list(report.scores.hits)


def test_probes_published_weights(theirs, videos, memory):
    report = probe(
        theirs[0], videos, overrides=(*QUICK, "probe.heads=[knn]", "probe.neighbours=1"), untrained=False, source=memory
    )
    assert "1-NN" in report.scores.hits


def test_embeds_its_tokens(run, videos, memory):
    found = embed(run, videos, source=memory, overrides=("probe.temporal_views=1",))
    assert found.features.shape == (32, 16)
    tokens = embed(run, videos, source=memory, pooling="none", overrides=("probe.temporal_views=1",))
    assert tokens.features.shape == (32, 32, 16)
    np.testing.assert_allclose(tokens.features.mean(1), found.features, atol=1e-6)
    with raises(ModelError, "unsupported", subject="layer"):
        embed(run, videos, source=memory, layer=0)


def test_predicts(run, theirs, tiny_set):
    video = next(tiny_set.rglob("*.mp4"))
    (one,) = predict(run, [video], overrides=("data.workers=0",)).predictions
    assert one.classes[0] in load_set(tiny_set).classes
    weights, labels, _ = theirs
    (numbered,) = predict(weights, [video], overrides=CHOSEN).predictions
    (named,) = predict(weights, [video], overrides=CHOSEN, labels=labels).predictions
    names = list(json.loads(labels.read_text()))
    assert [names[int(number)] for number in numbered.classes] == list(named.classes)
    assert named.probabilities == numbered.probabilities


def test_the_shape_of_tokens_computes_none(run):
    model = load_pretrained(run)
    before = {name: value.data_ptr() for name, value in model.state_dict().items()}
    assert token_shape(model, frames=4, size=32) == (32, 16, 1)
    assert before == {name: value.data_ptr() for name, value in model.state_dict().items()}
    assert not model.training
