"""V-JEPA 2's encoder: the model of transformers, whose files it reads, and a probe of its tokens."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from mgm.data.annotations import load_set
from mgm.data.clips.source import FileSource
from mgm.errors import ModelError
from mgm.evaluation.probing import probe_encoder
from mgm.models.networks import vjepa2
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.weights import load_renamed
from mgm.models.patches import MEAN, STD
from mgm.training.checkpoint import open_features
from tests.errors import raises

transformers = pytest.importorskip("transformers", reason="transformers, of the extra hf, is not installed")

SPEC = vjepa2.VJepa2Spec(24, 2, 2, patch=8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A download: config.json and model.safetensors of a tiny model with random weights, predictor included."""
    build = partial(vjepa2.build_vjepa2, SPEC)
    monkeypatch.setitem(NETWORKS, "vjepa2-l", replace(NETWORKS["vjepa2-l"], build=build))
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8, "crop_size": 32}
    predictor = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    model = transformers.VJEPA2Model(transformers.VJEPA2Config(**sizes, **predictor)).eval()
    model.save_pretrained(tmp_path / "vjepa2")
    return tmp_path / "vjepa2", model


CLIPS = ("data.frames=4", "data.stride=1", "data.size=32", "data.workers=0")


def test_tokens_are_those_of_transformers(folder):
    path, theirs = folder
    network, config = open_features(path, ["model.network=vjepa2-l", *CLIPS])
    assert config.probe.depth == 4
    video = torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (MEAN, STD))
    pixels = ((video / 255 - mean) / std).transpose(1, 2)
    with torch.no_grad():
        expected = theirs(pixel_values_videos=pixels, skip_predictor=True).last_hidden_state
        torch.testing.assert_close(network.tokens(video), expected, rtol=1e-5, atol=1e-5)
    assert network.tokens(video).shape == (2, 2 * 16, 24)


def test_a_file_is_read_strictly(folder):
    state = dict(folder[1].state_dict())
    del state["encoder.layer.1.mlp.fc1.bias"]
    network = vjepa2.VJepa2(SPEC, classes=2, size=32)
    with raises(ModelError, "mismatch", subject="state dict") as caught:
        load_renamed(network, state, vjepa2.from_huggingface, fresh=r"head\..*")
    assert "encoder.layer.1.mlp.fc1.bias" in caught.value.found


def test_its_tokens_are_probed(folder, tiny_set, tmp_path):
    small = ["probe.heads=[linear]", "probe.temporal_views=1", "probe.spatial_views=1"]
    network, config = open_features(folder[0], ["model.network=vjepa2-l", *CLIPS, *small])
    found = probe_encoder(network, load_set(tiny_set), config, FileSource())
    assert len(found.tested) == 16
