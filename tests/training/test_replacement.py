"""Pretraining of networks in which a token replaces hidden patches: their recipes learn, resume and load."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from mgm.errors import ConfigError, ModelError
from mgm.models import Encoder, ModelSpec
from mgm.models.networks import mvit
from mgm.models.networks.catalog import NETWORKS
from mgm.models.replacement import MaskedPredictor
from mgm.models.replacement.mvit import MVIT_SIZES
from mgm.training import load_config
from mgm.training.checkpoint import load_autoencoder, load_encoder, load_predictor
from mgm.training.finetune import finetune, open_start
from mgm.training.pretrain import pretrain
from mgm.training.recipe import override
from tests.errors import raises
from tests.models.tokenizers.files import dvae, write_dvae
from tests.training.helpers import read_log

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


@pytest.fixture
def pictures(tmp_path):
    """Eight pictures in a folder."""
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        blocks = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(blocks).save(tmp_path / "pictures" / f"{index}.png")
    return tmp_path / "pictures"


@pytest.mark.slow
def test_pictures_and_videos_are_learned_in_turn(tiny_set, pictures, tokenizer, tmp_path):
    """BEVT's two streams: both losses fall, and a run is read again."""
    config = smaller("bevt-swinb-k400", tokenizer, "pretrain.steps=40", "pretrain.base_lr=0.1", "data.memory=false")
    run = tmp_path / "run"
    result = pretrain(f"data={tiny_set},images={pictures},ratio=0.5", config, out=run, show_progress=False)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for kind in ("pictures", "videos"):
        parts = [line["parts"] for line in lines if "loss" in line]
        found = [part[f"{kind} dvae-codes"] for part in parts if f"{kind} dvae-codes" in part]
        assert len(found) > 10
        assert np.mean(found[-5:]) < 0.97 * np.mean(found[:5])
    loaded, trained = load_predictor(run), result.model
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert "trunk.picture_embed.weight" in loaded.state_dict()


@pytest.mark.parametrize(
    ("exact", "settings"),
    [("clip", ()), ("none", ("model.replacement=vit",)), ("none", ("model.replacement=vit", "pretrain.micro_batch=1"))],
)
def test_rectangles_without_a_count_per_step_are_trained_on(run, small, exact, settings):
    """The count of the clip by an autoencoder; the literal rectangle, of which clips hide more or fewer, by a network that sees all
    tokens, in one batch as in several."""
    config = small(f"mask.options={{exact: {exact}}}", "mask.ratio=0.4", *settings)
    result = run(config, "run")
    hidden = [entry["hidden"] * 32 for entry in read_log(result.out)]
    if exact == "clip":
        assert hidden == [12] * 6  # int(.4 * 32) of 2 x 4 x 4
    else:
        assert len({round(value, 3) for value in hidden}) > 1
        whole = run(small("mask.options={exact: none}", "mask.ratio=0.4", "model.replacement=vit"), "whole")
        assert result.history.losses == pytest.approx(whole.history.losses, rel=1e-4)
    assert all(np.isfinite(result.history.losses))


def test_a_picture_is_its_single_step():
    """Its frames have equal features, from an embedding of its own; a video's features do not depend on that embedding."""
    torch.manual_seed(0)
    spec = ModelSpec("debug", patch=8, frames=4, resolution=32)
    model = MaskedPredictor(spec, trunk="swin", target="dvae-codes", tokenizer=16, pictures=True).eval()
    picture = torch.rand(2, 3, 1, 32, 32).expand(-1, -1, 2, -1, -1)
    hidden = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    hidden[:, :, :2] = True
    features = model.trunk(picture, hidden)
    assert features.shape == (2, 16, 2, model.trunk.feature_dim)
    assert torch.equal(features[:, :, 0], features[:, :, 1])
    video = torch.rand(2, 3, 4, 32, 32)
    before = model.trunk(video, hidden.expand(-1, 2, -1, -1))
    torch.nn.init.zeros_(model.trunk.picture_embed.weight)
    assert torch.equal(model.trunk(video, hidden.expand(-1, 2, -1, -1)), before)
    assert not torch.equal(model.trunk(picture, hidden), features)
    for clip, mask in ((picture, hidden), (video, hidden.expand(-1, 2, -1, -1))):
        model.zero_grad()
        model.trunk(clip, mask).sum().backward()
        assert all(parameter.grad is not None for parameter in model.trunk.parameters())


def test_a_maskfeat_run_is_fine_tuned(videos, tmp_path, monkeypatch):
    """With the pooling that pretraining lacks, so that a table of positions is interpolated."""
    deeper = replace(MVIT_SIZES["debug"], depth=4)
    monkeypatch.setitem(MVIT_SIZES, "debug", deeper)
    sizes = replace(deeper, pool=None, mean_pooling=True, frames=4, size=32)
    small = replace(NETWORKS["maskfeat-mvitv2-s-16x4"], build=partial(mvit.build_mvit, sizes, 0.0))
    monkeypatch.setitem(NETWORKS, small.name, small)
    run = tmp_path / "run"
    config = smaller("maskfeat-mvits-k400", None, "pretrain.steps=2")
    trained = pretrain(videos, config, out=run, show_progress=False).model.trunk.encoder
    clips = ["data.frames=4", "data.stride=1", "data.size=32", "data.memory=true"]
    still = ["finetune.steps=2", "finetune.batch=8", "finetune.warmup=0", "finetune.flip=auto"]
    tuned = load_config("finetune-mvits-k400", [*clips, *still])
    tuned = override(tuned, ["finetune.base_lr=1e-30", "finetune.min_lr=0", "finetune.warmup_lr=0"])
    found = finetune(run, videos, tuned, out=tmp_path / "tuned", show_progress=False).model
    assert torch.equal(found.blocks[1].fc1.weight, trained.blocks[1].fc1.weight)
    tables = [(a.attn.relative_h, b.attn.relative_h) for a, b in zip(found.blocks, trained.blocks, strict=True)]
    assert any(len(ours) != len(theirs) for ours, theirs in tables)
    assert found.head.out_features == len(videos.classes)
    with raises(ModelError, "mismatch", subject=run, message="predictor-without-network"):
        open_start(run)


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
