"""Joint pretraining on videos and still pictures, in batches of one kind (OmniMAE)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mgm.data.annotations import load_set
from mgm.errors import ConfigError
from mgm.models import MaskedAutoencoder, ModelSpec
from mgm.training import load_config
from mgm.training.pretrain import pretrain
from tests.errors import raises
from tests.models.clips import random_video

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)
SMALL = ("data.frames=4", "data.stride=1", "data.size=32", "data.workers=0", "model.size=debug", "model.patch=8")


@pytest.fixture
def mixed(tiny_set, tmp_path):
    """The videos of the tiny set, and as many pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
        coarse.resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return load_set(f"data={tiny_set},images={folder},ratio=0.5")


def config(*more):
    length = (
        "pretrain.steps=20",
        "pretrain.warmup=2",
        "pretrain.batch=2",
        "pretrain.repeats=2",
        "pretrain.base_lr=0.4",
    )
    return load_config("omnimae-vitb", [*SMALL, *length, "model.position=sincos-3d", "model.patch_init=xavier", *more])


def test_each_kind_learns_with_its_own_ratio(mixed, tmp_path):
    pretrain(mixed, config(), out=tmp_path / "run", show_progress=False)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    kinds = {"videos": [], "pictures": []}
    for line in lines:
        ((name, loss),) = line["parts"].items()
        kind, target = name.split()
        assert target == "normalised-pixels"
        assert loss == pytest.approx(line["loss"])
        kinds[kind].append(line)
    assert [len(found) for found in kinds.values()] == [10, 10]
    hidden = {kind: {round(line["hidden"], 4) for line in found} for kind, found in kinds.items()}
    assert hidden == {"videos": {28 / 32}, "pictures": {12 / 16}}  # int(.9 * 32) and int(.75 * 16)
    for found in kinds.values():
        losses = [line["loss"] for line in found]
        assert np.mean(losses[-3:]) < np.mean(losses[:2])


def test_a_picture_has_the_positions_of_the_first_step():
    """A clip of one tubelet gives the encoder and the decoder what the first step of a longer one gives them."""
    torch.manual_seed(0)
    model = MaskedAutoencoder(SPEC, pictures=True).eval()
    video = random_video(SPEC)
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[:, :, :3] = True
    found = model(video[:, :, :2], mask, predict=True)
    longer = torch.ones(2, 2, 4, 4, dtype=torch.bool)
    longer[:, 0] = mask[:, 0]
    decode = torch.zeros_like(longer)
    decode[:, 0] = True
    same = model(video, longer, decode, predict=True)  # the second step is hidden and not reconstructed
    torch.testing.assert_close(found.prediction, same.prediction)
    torch.testing.assert_close(found.target, same.target)
    split = model.split(mask)
    torch.testing.assert_close(model(video[:, :, :2], split).loss, found.loss)
    rebuilt = model.reconstruct(video[:, :, :2], mask)
    assert rebuilt.shape == (2, 3, 2, 32, 32)
    assert torch.equal(rebuilt[..., 24:, :], video[:, :, :2, 24:])  # the visible row


def test_examples_of_pictures_alone(mixed, tmp_path):
    folder = Path(mixed.train[-1].path).parent
    settings = ("log.pictures=[1]", "pretrain.steps=1", "pretrain.warmup=0")
    pretrain(folder, config(*settings), out=tmp_path / "run", show_progress=False)
    assert len(list((tmp_path / "run" / "pictures").iterdir())) == 1


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["model.target=motion", "data.motion=codec"], "model.target"),
        (["model.replacement=vit"], "model.replacement"),
        (["model.backbone=timesformer", "mask.name=tube"], "model.attention"),
        (["data.pictures=static"], "mask.picture_ratio"),
    ],
)
def test_settings_that_do_not_go_together(settings, key):
    with raises(ConfigError, "conflict", subject=f"omnimae-vitb: {key}"):
        config(*settings)
