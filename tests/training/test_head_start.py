import pytest
import torch

from mgm.data.clips.source import FileSource
from mgm.data.holdout import held_out
from mgm.data.items import VideoItem
from mgm.data.loading.views import ViewSet
from mgm.errors import DataError
from mgm.models.networks.catalog import NETWORKS
from mgm.training.finetune import build_classifier, finetune
from mgm.training.head_start import start_head_from_probe
from mgm.training.networks import network_to_train
from tests.errors import raises
from tests.models.networks.small import SMALL

PROBE = "finetune.head_init=probe"


@pytest.fixture
def clips(small, videos, memory):
    """Centre crops of the training videos, and their labels."""
    config = small()
    views = ViewSet(videos.train, memory, config.clip_settings(motion=False), temporal=1, spatial=1)
    return torch.cat([views[i].video for i in range(len(views))]), torch.tensor([item.label for item in videos.train])


@pytest.mark.parametrize("pooling", ["mean", "attentive"])
def test_the_head_is_the_logistic_regression_of_its_inputs(small, videos, memory, clips, pooling):
    """Against scikit-learn's, on standardised features, with the weight decay of the four that suits held-out videos best."""
    config = small(PROBE, f"finetune.pooling={pooling}", "probe.clips_per_video=1")
    torch.manual_seed(0)
    model = build_classifier(config, classes=8)
    start_head_from_probe(model, videos.train, config, memory)
    assert model.training
    model.eval()
    inputs = []
    model.head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    with torch.no_grad():
        ours = model(clips[0]).softmax(-1)
    features, label = inputs[0].double(), clips[1].numpy()
    logistic = pytest.importorskip("sklearn.linear_model").LogisticRegression
    scaled = ((features - features.mean(0)) / (features.std(0, correction=0) + 1e-6)).numpy()
    out = held_out(videos.train).numpy()

    def peer(decay, rows):
        return logistic(C=1 / (2 * decay * rows.sum()), max_iter=1000).fit(scaled[rows], label[rows])

    decays = [1e-4, 1e-3, 1e-2, 1e-1]
    scores = [peer(decay, ~out).score(scaled[out], label[out]) if out.any() else 0 for decay in decays]
    theirs = peer(decays[scores.index(max(scores))], out | True).predict_proba(scaled)
    torch.testing.assert_close(ours.double(), torch.tensor(theirs), atol=0.02, rtol=0)


def test_fine_tuning_starts_from_it(small, videos, memory, tmp_path):
    def first_loss(out, *settings):
        config = small("finetune.steps=1", "finetune.crop=centre", "finetune.flip=false", *settings)
        return finetune(None, videos, config, out=tmp_path / out, source=memory, show_progress=False).history.losses[0]

    assert first_loss("probe", PROBE) < 0.7 * first_loss("random")
    assert first_loss("again", PROBE) == first_loss("probe again", PROBE)


def test_the_head_of_a_network_too(small, videos, memory, monkeypatch):
    monkeypatch.setitem(NETWORKS, "small", SMALL)
    config = small(PROBE, "model.network=small", "finetune.layer_decay=1")
    model = network_to_train(config, videos.classes, None)
    before = model.head.weight.clone()
    start_head_from_probe(model, videos.train[:8], config, memory)
    assert not torch.equal(before, model.head.weight)
    assert model.head.weight.isfinite().all()


def test_videos_that_cannot_be_read(small, tmp_path):
    config, item = small(PROBE), VideoItem(str(tmp_path / "none.mp4"), 0)
    with raises(DataError, "too_many_failures"):
        start_head_from_probe(build_classifier(config, classes=8), [item], config, FileSource())
