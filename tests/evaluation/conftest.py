"""A set of synthetic videos, its clips in memory, and folders of models with random weights."""

import pytest
import torch

from mgm.data.annotations import load_set
from mgm.data.clips.source import MemorySource
from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.training import load_config
from tests.training.helpers import save

SMALL = ["model.size=debug", "data.frames=4", "data.size=32", "data.workers=0", "data.memory=false"]


@pytest.fixture(scope="module")
def videos(tiny_set):
    return load_set(tiny_set)


@pytest.fixture(scope="module")
def memory(videos):
    source = MemorySource(32, None)
    source.load([item.path for item in videos.items])
    return source


@pytest.fixture(scope="module")
def config():
    return load_config("debug", SMALL)


@pytest.fixture(scope="module")
def classifier_run(config, videos, tmp_path_factory):
    """The folder of a fine-tuned classifier with random weights, whose probabilities differ between videos."""
    torch.manual_seed(0)
    model = Classifier(Encoder(config.model_spec()), len(videos.classes), head_scale=100)
    return write_run(tmp_path_factory.mktemp("run"), config, "classifier", model, classes=list(videos.classes))


@pytest.fixture(scope="module")
def pretrained_run(config, tmp_path_factory):
    """The folder of a pretrained autoencoder with random weights."""
    torch.manual_seed(0)
    model = MaskedAutoencoder(config.model_spec())
    return write_run(tmp_path_factory.mktemp("run"), config, "autoencoder", model, target="normalised-pixels")


def write_run(folder, config, kind, model, **content):
    settings = config.model_dump(mode="json")
    state = {name: value.clone() for name, value in model.state_dict().items()}
    save(folder, {"kind": kind, "spec": config.model_spec().to_dict(), "model": state, "config": settings, **content})
    return folder
