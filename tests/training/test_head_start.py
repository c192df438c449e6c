import numpy as np
import pytest
import torch

from mgm.data.loading.dataset import ClipTransform
from mgm.models.logistic import balanced_weights, logistic_regression
from mgm.models.networks.catalog import NETWORKS
from mgm.training import head_start
from mgm.training.finetune import build_classifier, finetune
from mgm.training.head_start import start_head_from_probe
from mgm.training.networks import network_to_train
from mgm.training.run import training_clips
from tests.models.networks.small import SMALL

PROBE = "finetune.head_init=probe"


@pytest.fixture
def clip_set(videos, memory):
    """The training clips of a configuration."""

    def of(config):
        transform = ClipTransform(config.finetune.crop, flip=True)
        return training_clips(videos.train, config, transform, memory, repeats=1, show_progress=False)

    return of


def test_the_head_is_the_logistic_regression_of_its_inputs(small, videos, clip_set):
    """Against scikit-learn's, on standardised features of five epochs."""
    config = small(PROBE, "finetune.label_smoothing=0")
    clips = clip_set(config)
    torch.manual_seed(0)
    model = build_classifier(config, classes=8)
    start_head_from_probe(model, clips, config)
    assert model.training
    model.eval()
    inputs, outputs = [], []
    model.head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    keys = [(epoch, index) for epoch in range(5) for index in range(len(clips))]
    with torch.no_grad():
        for key in keys:
            outputs.append(model(clips[key].video[None]).softmax(-1))
    features, label = torch.cat(inputs).double(), np.array([clips.items[index].label for _, index in keys])
    logistic = pytest.importorskip("sklearn.linear_model").LogisticRegression
    scaled = ((features - features.mean(0)) / (features.std(0, correction=0) + 1e-6)).numpy()
    peer = logistic(C=1 / (2 * 0.1 * len(label)), max_iter=1000).fit(scaled, label)
    torch.testing.assert_close(torch.cat(outputs).double(), torch.tensor(peer.predict_proba(scaled)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "attentive"])
def test_fine_tuning_starts_from_it(small, videos, memory, tmp_path, pooling):
    def first_loss(out, *settings):
        config = small("finetune.steps=1", f"finetune.pooling={pooling}", *settings)
        return finetune(None, videos, config, out=tmp_path / out, source=memory, show_progress=False).history.losses[0]

    assert first_loss("probe", PROBE) < 0.7 * first_loss("random")
    assert first_loss("again", PROBE) == first_loss("probe again", PROBE)


def test_a_run_that_continues_fits_no_probe(small, videos, memory, tmp_path, monkeypatch):
    config = small(PROBE, "finetune.steps=2")
    made = finetune(None, videos, config, out=tmp_path, source=memory, show_progress=False)
    monkeypatch.setattr(head_start, "logistic_regression", lambda *_: pytest.fail("the checkpoint has the classifier"))
    again = finetune(None, videos, config, out=tmp_path, resume=True, source=memory, show_progress=False)
    assert torch.equal(again.model.head.weight, made.model.head.weight)


def test_the_head_of_a_network_too(small, videos, clip_set, monkeypatch):
    monkeypatch.setitem(NETWORKS, "small", SMALL)
    config = small(PROBE, "model.network=small", "finetune.layer_decay=1")
    model = network_to_train(config, videos.classes, None)
    before = model.head.weight.clone()
    start_head_from_probe(model, clip_set(config), config)
    assert not torch.equal(before, model.head.weight)
    assert model.head.weight.isfinite().all()


def test_balanced_weights():
    weights = balanced_weights(torch.tensor([6, 2, 0]))
    # scikit-learn's "balanced", without empty classes
    assert weights.tolist() == pytest.approx([8 / (2 * 6), 8 / (2 * 2), 0])


def test_a_balanced_probe_equals_one_of_repeated_samples():
    """A sample that counts thrice is a sample that is there thrice."""
    torch.manual_seed(0)
    features, label = torch.randn(40, 3), torch.tensor([0] * 30 + [1] * 10)
    often = torch.cat([features, features[30:], features[30:]]), torch.cat([label, label[30:], label[30:]])
    weight, bias = logistic_regression(features, label, 2, 0.1, balanced_weights(label.bincount()))
    expected, expected_bias = logistic_regression(*often, 2, 0.1)
    torch.testing.assert_close(weight, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(bias, expected_bias, atol=1e-4, rtol=0)
