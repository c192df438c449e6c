"""Recipes of every kind really run, with their own masks, targets, repeats and optimiser, on smaller clips and a smaller model."""

import math

import pytest

from mgm.training import load_config
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain

SMALL = ("data.frames=4", "data.stride=1", "data.size=32", "data.workers=0", "model.size=debug", "model.patch=8")


def smaller(name, section, *more):
    length = [f"{section}.{key}" for key in ("steps=2", "warmup=1", "batch=4")]
    return load_config(name, [*SMALL, *length, *more])


@pytest.mark.parametrize(
    "name",
    [
        "mgm-vitb-ssv2",
        "mgm-literal-vitb-ssv2",
        "videomae-vitb-k400",
        "videomae-v2-vitb-k400",
        "maest-vitb-k400",
        "single-gpu",
    ],
)
def test_pretraining(name, videos, tmp_path):
    config = smaller(name, "pretrain", *(["model.decoder_dim=16"] if "maest" in name else []))
    result = pretrain(videos, config, out=tmp_path / "run", show_progress=False)
    assert len(result.history.losses) == 2
    assert all(map(math.isfinite, result.history.losses))


@pytest.mark.parametrize(
    "name", ["finetune-vitb-ssv2", "finetune-vitb-ucf101", "supervised-vitb-k400", "supervised-vitb-ssv2"]
)
def test_fine_tuning(name, videos, tmp_path):
    result = finetune(
        None, videos, smaller(name, "finetune", "finetune.flip=auto"), out=tmp_path / "run", show_progress=False
    )
    assert len(result.history.losses) == 2
    assert all(map(math.isfinite, result.history.losses))
