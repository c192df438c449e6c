"""Weights of Caffe2, pickled by Python 2 and 3, and pickles that want more than arrays."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mgm.errors import ModelError
from mgm.models.convert import read_weights
from mgm.models.networks.slowfast import SlowFast, SlowFastSpec
from mgm.models.networks.slowfast_names import FORMATS
from mgm.models.networks.weights import load_renamed
from tests.errors import raises
from tests.models.networks.slowfast_files import published, slowfast_weights

BLOBS = {"conv1_w": np.arange(6, dtype=np.float32).reshape(2, 3), "lr": np.array(0.1), "model_iter": np.int64(7)}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "SLOWFAST.pkl"


@pytest.mark.parametrize("protocol", range(6))
def test_reads_blobs(file, protocol):
    file.write_bytes(pickle.dumps({"blobs": BLOBS, "cfg": "NUM_GPUS: 8\n"}, protocol=protocol))
    state = read_weights(file).state
    assert state.keys() == BLOBS.keys()
    assert all(torch.equal(state[name], torch.from_numpy(np.array(value))) for name, value in BLOBS.items())


def test_a_network_of_caffe2(file):
    """From the file to the network."""
    spec = SlowFastSpec((1, 1, 2, 1), width=8, nonlocal_after=(1,))
    weights = published(slowfast_weights(spec, classes=5), "Caffe2")
    blobs = {name: value.numpy() for name, value in weights.items()}
    momenta = {f"{name}_momentum": value for name, value in blobs.items()}
    file.write_bytes(pickle.dumps({"blobs": blobs | momenta}, protocol=2))
    network = SlowFast(spec, classes=5)
    load_renamed(network, read_weights(file).state, FORMATS[2].rename)
    assert torch.equal(network.head.weight, weights["pred_w"])


class Harmful:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_wants_code_is_refused(file, tmp_path, protocol):
    touched = tmp_path / "touched"
    file.write_bytes(pickle.dumps({"blobs": BLOBS | {"conv2_w": Harmful(touched)}}, protocol=protocol))
    with raises(ModelError, "unsupported", subject=str(file)):
        read_weights(file)
    assert not touched.exists()


@pytest.mark.parametrize("blobs", [{"conv1_w": "text"}, {3: np.zeros(2)}])
def test_blobs_are_arrays(file, blobs):
    file.write_bytes(pickle.dumps({"blobs": blobs}))
    with raises(ModelError, "malformed", subject=str(file)):
        read_weights(file)


def test_files_of_torch_are_read_as_before(file):
    """Also those without an archive, which are pickles too."""
    torch.save({"conv1_w": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(file).state["conv1_w"], torch.ones(2))


@pytest.mark.parametrize("content", [{"other": {}}, {"blobs": None}, {"x": np.zeros(2)}])
def test_other_pickles_are_no_weights(file, content):
    file.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ModelError) as caught:
        read_weights(file)
    assert caught.value.reason in ("malformed", "unsupported")
