"""Pretraining of networks in which a token replaces hidden patches: their recipes learn, resume and load."""

import numpy as np
import pytest
import torch

from mgm.errors import ConfigError, ModelError
from mgm.models import Encoder
from mgm.training import load_config
from mgm.training.checkpoint import load_autoencoder, load_encoder, load_predictor
from mgm.training.pretrain import pretrain
from tests.errors import raises
from tests.models.tokenizers.files import dvae, write_dvae

RECIPES = ["maskfeat-mvits-k400", "maskfeat-vitb-k400", "bevt-swinb-k400"]
SMALL = ("data.frames=4", "data.stride=1", "data.size=32", "data.memory=true", "model.size=debug", "model.patch=8")
SHORT = ("pretrain.warmup=2", "pretrain.batch=8", "pretrain.clip_grad=1.0", "pretrain.precision=32-true")


@pytest.fixture
def tokenizer(tmp_path):
    return write_dvae(tmp_path / "encoder.pkl", dvae())


def smaller(name, tokenizer, *more):
    needs = [f"model.tokenizer={tokenizer}"] if "bevt" in name else []
    return load_config(name, [*SMALL, *SHORT, *needs, *more])


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_falls(name, videos, tokenizer, tmp_path):
    config = smaller(name, tokenizer, "pretrain.steps=20", "pretrain.base_lr=0.1", "pretrain.min_lr=0")
    losses = pretrain(videos, config, out=tmp_path / "run", show_progress=False).history.losses
    assert len(losses) == 20
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:3])


def test_a_run_loads_and_its_vit_is_an_encoder(videos, tokenizer, tmp_path):
    for name in ("maskfeat-vitb-k400", "bevt-swinb-k400"):
        run = tmp_path / name
        trained = pretrain(videos, smaller(name, tokenizer, "pretrain.steps=2"), out=run, show_progress=False).model
        loaded = load_predictor(run)
        assert loaded.state_dict().keys() == trained.state_dict().keys()
        assert all(torch.equal(value, trained.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert isinstance(load_encoder(tmp_path / "maskfeat-vitb-k400"), Encoder)
    with raises(ModelError, "mismatch", subject=tmp_path / "bevt-swinb-k400"):
        load_encoder(tmp_path / "bevt-swinb-k400")
    with raises(ModelError, "mismatch", subject=tmp_path / "bevt-swinb-k400"):
        load_autoencoder(tmp_path / "bevt-swinb-k400")


def test_micro_batches_of_unequal_masks_are_one_batch(videos, tokenizer, tmp_path):
    """Clips that hide more tokens count more; the order of additions alone differs."""
    losses = [
        pretrain(
            videos,
            smaller(
                "bevt-swinb-k400", tokenizer, "pretrain.steps=2", "model.drop_path=0", f"pretrain.micro_batch={size}"
            ),
            out=tmp_path / f"{size}",
            show_progress=False,
        ).history.losses
        for size in (8, 2)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["mask.name=beit-block"], "mask.name"),
        (["model.replacement=vit", "model.visible_target=pixels"], "model.visible_target"),
        (["model.drop_path=0.1"], "model.drop_path"),
    ],
)
def test_settings_that_do_not_go_together(settings, key):
    with raises(ConfigError, "conflict", subject=f"debug: {key}"):
        load_config("debug", settings)
