import numpy as np
import pytest
import torch

from mgm.data.clips.source import FileSource
from mgm.data.loading.loader import read_views
from mgm.evaluation import views as views_module
from mgm.evaluation.multi_view import evaluate_classifier, evaluation_metrics
from mgm.evaluation.probing import untrained_encoder
from mgm.models import Classifier
from mgm.training import load_config
from mgm.training.recipe import override


@pytest.fixture(scope="module")
def config():
    return load_config("debug", ["model.size=debug", "data.frames=4", "data.size=32"])


def test_a_classifier_is_evaluated_over_its_views(config, videos, memory):
    torch.manual_seed(0)
    classifier = Classifier(untrained_encoder(config), 8, head_scale=100)
    result = evaluate_classifier(classifier, videos, config, memory)
    assert result.probability.shape == (16, 8)
    np.testing.assert_allclose(result.probability.sum(1), 1, rtol=1e-5)
    top1, top5 = evaluation_metrics(result)[:2]
    assert top1.value == np.mean(result.probability.argmax(1) == result.label)
    assert (top1.name, top1.count, top5.name) == ("top-1", 16, "top-5")
    assert top5.value >= top1.value


def test_views_are_read_by_worker_processes(config, videos, memory, monkeypatch):
    """A video that hangs or kills its process must not stop the evaluation."""
    asked = []

    def watched(views, *, workers, timeout):
        asked.append((workers, timeout))
        return read_views(views)

    monkeypatch.setattr(views_module, "read_views", watched)
    settings = override(config, ["data.workers=3", "data.read_timeout=7", "data.memory=false"])
    classifier = Classifier(untrained_encoder(config), len(videos.classes)).eval()
    lines = []
    evaluate_classifier(classifier, videos, settings, FileSource(), progress=lines.append)
    evaluate_classifier(classifier, videos, settings, memory)
    assert asked == [(3, 7), (0, 7)]
    assert lines == ["classifying 16 of 16 videos"]
