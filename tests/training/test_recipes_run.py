"""Recipes of every kind really run, with their own masks, targets, repeats and optimiser, on smaller clips and a smaller model."""

import math
from dataclasses import replace

import pytest

from mgm.data.annotations import load_set
from mgm.data.clips.source import MemorySource
from mgm.models import Encoder
from mgm.training import export_model, load_config
from mgm.training.checkpoint import load_autoencoder
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain
from tests.models.tokenizers.files import vqgan, write_vqgan

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


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    """Eight clips of surveillance cameras and their frames in memory, with the motion of their streams."""
    folder = tmp_path_factory.mktemp("real")
    for file in sorted((shared_data / "surv_fights" / "fight").glob("*.mp4"))[:8]:
        (folder / file.name).symlink_to(file)
    videos, source = load_set(folder), MemorySource(32, "codec")
    assert len(videos.train) == 8
    assert source.load([item.path for item in videos.items]) == {}
    return videos, source


NARROW = ["model.decoders={video-teacher: {dim: 32, heads: 2}, image-teacher: {dim: 32, heads: 2}}"]


def networks(name, tmp_path):
    """Settings with the files that a recipe needs."""
    if name.startswith("mam2"):
        return [f"model.tokenizer={write_vqgan(tmp_path / 'vqgan.ckpt', vqgan(codes=16).state_dict())}"]
    if name.startswith("mvd"):
        spec = load_config(name, [*SMALL, *NARROW]).model_spec()
        picture = replace(spec, frames=1, tubelet=1, decoders=None)
        made = [("teacher", Encoder(spec)), ("image_teacher", Encoder(picture))]
        return [f"model.{key}={export_model(made, to='safetensors', out=tmp_path / key)}" for key, made in made]
    return []


# Two of the slow ones differ from others by settings that `test_pretraining` runs too; the third has a large tokenizer.
@pytest.mark.parametrize(
    "name",
    [
        "videomae-vitl-ssv2",
        pytest.param("videomae-v2-vitb-ssv2", marks=pytest.mark.slow),
        pytest.param("maest-vitb-k400", marks=pytest.mark.slow),
        "m3video-vitb-k400",
        "motionmae-vitb-ssv2",
        pytest.param("mam2-vitb-ssv2", marks=pytest.mark.slow),
        "mvd-vitb-k400",
    ],
)
def test_the_loss_falls_on_real_video(name, real, tmp_path):
    """Within 20 steps, of a model of the size debug with the recipe's own target, mask, decoders and repeats."""
    videos, source = real
    more = ["pretrain.base_lr=0.1", "pretrain.clip_grad=null", "pretrain.micro_batch=null", *networks(name, tmp_path)]
    if "maest" in name:
        more.append("model.decoder_dim=16")
    if "mvd" in name:
        more += NARROW
    length = ["pretrain.steps=20", "pretrain.warmup=2", "pretrain.batch=8"]
    config = load_config(name, [*SMALL, *length, *more])
    losses = pretrain(videos, config, out=tmp_path / "run", source=source, show_progress=False).history.losses
    assert len(losses) == 20
    assert sum(losses[-5:]) < sum(losses[:5])
    assert load_autoencoder(tmp_path / "run").spec == config.model_spec()
