import pytest
import torch

from mgm.errors import ModelError
from mgm.models import Encoder
from mgm.training import export_model, load_config, load_encoder
from mgm.training.named_weights import weights_folder
from tests.errors import raises


@pytest.fixture
def small_laptop():
    """An encoder in the shape of the recipe `laptop`, untrained."""
    torch.manual_seed(0)
    return Encoder(load_config("laptop", ["model.size=debug"]).model_spec()).eval()


def test_small_weights_are_loaded_by_their_name(small_laptop, tmp_path, monkeypatch):
    monkeypatch.setenv("MGM_WEIGHTS", str(tmp_path))
    with raises(ModelError, "not_found", subject="mgm-tiny", message="weights-by-name-missing"):
        load_encoder("mgm-tiny")
    export_model(small_laptop, to="safetensors", out=tmp_path / "mgm-tiny")
    again = load_encoder("mgm-tiny")
    assert again.spec == small_laptop.spec
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), small_laptop.parameters(), strict=True))


def test_a_file_of_that_name_comes_first(small_laptop, tmp_path, monkeypatch):
    monkeypatch.setenv("MGM_WEIGHTS", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    export_model(small_laptop, to="safetensors", out="mgm-tiny")
    assert load_encoder("mgm-tiny").spec == small_laptop.spec


def test_the_export_is_small(tmp_path):
    encoder = Encoder(load_config("laptop").model_spec())
    folder = export_model(encoder, to="safetensors", out=tmp_path / "mgm-tiny")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000


def test_the_folder_is_in_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("MGM_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "mgm" / "weights"
