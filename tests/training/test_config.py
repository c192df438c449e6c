"""Settings: defaults, what they build, and the checks across sections."""

from functools import partial

import pytest

import mgm
from mgm.errors import ConfigError
from mgm.masks import build_mask
from mgm.models import ModelSpec
from mgm.training.config import Config
from mgm.training.recipe import load_config, parse_config
from mgm.training.recipe_file import list_recipes
from tests.errors import raises


@pytest.mark.parametrize("name", list_recipes())
def test_saving_and_loading_changes_nothing(name, tmp_path):
    config = load_config(name, ["data.motion=auto", "mask.name=mgm", "mask.options={top_k: 3}"])
    config.save(tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert parse_config(config.model_dump(mode="json"), "checkpoint") == config


def test_defaults_are_a_configuration():
    config = Config()
    assert config.model_spec() == ModelSpec("B")
    assert config.finetune.betas == (0.9, 0.999)
    # The same defaults apply in a section that a recipe gives in part.
    assert parse_config({"finetune": {"epochs": 3}}, "x").finetune.betas == (0.9, 0.999)
    settings = config.clip_settings(motion=True)
    assert (settings.frames, settings.stride, settings.size, settings.motion) == (16, 4, 224, "auto")
    assert config.clip_settings(motion=False).motion is None
    assert load_config("debug", ["data.reading=raw"]).clip_settings(motion=True).reading == "raw"


def test_the_mask_of_a_recipe_is_built_with_its_options():
    config = load_config("debug", ["mask.options={top_k: 3}"])
    assert config.mask_rule().mask == build_mask("mgm", top_k=3)


def test_pretraining_and_fine_tuning_repeat_clips_apart():
    config = load_config("debug", ["data.repeats=2", "finetune.repeats=3"])
    assert (config.repeats("pretrain"), config.repeats("finetune")) == (2, 3)
    with raises(ConfigError, "conflict", subject="debug: finetune.micro_batch"):
        load_config("debug", ["finetune.repeats=3", "finetune.micro_batch=2", "pretrain.micro_batch=2"])


@pytest.mark.parametrize(
    ("settings", "reason", "subject", "message"),
    [
        (["data.frames=7"], "invalid_value", None, None),
        (["data.size=50"], "invalid_value", None, None),
        (["mask.name=mgn"], "unknown_name", "debug: mask", None),
        (["mask.options={topk: 3}"], "unknown_name", "debug: mask", None),
        (["data.motion=null"], "conflict", "mask.name", "config-mask-needs-motion"),
        (["data.motion=null", "mask.name=tube", "mask.decoder.name=mgm"], "conflict", "mask.decoder.name", None),
        (["pretrain.steps=null"], "missing_value", "pretrain", "config-no-length"),
        (["pretrain.steps=3", "pretrain.epochs=3"], "conflict", "pretrain", None),
        (["pretrain.min_lr=1"], "invalid_value", "pretrain", None),
        (["data.repeats=3", "pretrain.micro_batch=2"], "conflict", "pretrain.micro_batch", "config-micro-batch"),
        (["model.backbone=timesformer", "mask.name=random"], "conflict", "mask.name", "config-divided-attention"),
        (["model.target=hogs"], "unknown_name", "model.target", "config-unknown-target"),
        (["model.target={hog: 0}"], "invalid_value", "model.target", None),
        (["model.target={hog: high}"], "invalid_value", "model.target", None),
        (["model.target={hog:1}"], "unknown_name", "model.target", None),
        (["model.target=7"], "invalid_type", "model.target", None),
        (["model.target=motion", "data.motion=difference"], "conflict", "model.target", None),
        (
            ["data.motion=raft", "data.raft_weights=a.pth", "data.policy=sampled", "data.memory=false"],
            "conflict",
            "data.policy",
            "config-measured-policy",
        ),
        (["data.motion=flow", "data.policy=window_max", "data.memory=false"], "conflict", "data.policy", None),
        (["model.visible_target=motion", "data.motion=difference"], "conflict", "model.target", None),
        (["model.visible_target=teacher"], "unknown_name", "model.visible_target", None),
        (["model.visible_target={}"], "invalid_type", "model.visible_target", None),
        (["model.target=teacher"], "conflict", "model.teacher", "config-teacher"),
        (["model.teacher=runs/a"], "conflict", "model.teacher", None),
        (["mask.decoder.name=running-sell"], "unknown_name", "mask.decoder", None),
        (["mask.decoder.nam=tube"], "unknown_name", "mask.decoder.nam", None),
        (["mask.decoder.ratio=0.001"], "invalid_value", "mask.decoder", None),
        (["model.attention=divided"], "conflict", None, None),
        (["mask.options={exact: none}"], "conflict", "mask.name", "mask-literal-in-an-autoencoder"),
        (
            ["mask.options={exact: clip}", "model.backbone=timesformer", "model.attention=divided"],
            "conflict",
            "mask.name",
            "mask-unequal-steps-in-divided-attention",
        ),
        (["mask.final_ratio=0.9"], "conflict", "mask.final_ratio", "mask-final-ratio-alone"),
        (["mask.ratio_schedule=linear"], "conflict", "mask.final_ratio", "mask-final-ratio-missing"),
        (["mask.ratio_schedule=linear", "mask.final_ratio=0.001"], "invalid_value", "mask.final_ratio", None),
        (["mask.ratio_schedule=rising", "mask.final_ratio=0.9"], "invalid_value", "mask.ratio_schedule", None),
        (["probe.heads=[]"], "invalid_value", "probe.heads", None),
        (["probe.heads=[linear, linear]"], "invalid_value", "probe.heads", None),
        (["finetune.randaugment=augmix-m3"], "invalid_value", "finetune.randaugment", None),
        (["pretrain.batch=1000000000"], "invalid_value", "pretrain.batch", "config-batch-of-a-billion"),
        (["finetune.batch=1000000000"], "invalid_value", "finetune.batch", None),
        (["probe.batch=1000000000"], "invalid_value", "probe.batch", None),
        (["probe.temporal_views=1000000"], "invalid_value", "probe.temporal_views", None),
        (["data.repeats=1000000"], "invalid_value", "data.repeats", None),
        (["data.frames=1000000000"], "invalid_value", "data", None),
        (["data.size=1000000"], "invalid_value", "data", "config-clip-of-a-trillion-pixels"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit(settings, reason, subject, message):
    with raises(ConfigError, reason, message=message) as caught:
        load_config("debug", settings)
    assert subject is None or subject in caught.value.subject


@pytest.mark.parametrize("train", [mgm.pretrain, partial(mgm.finetune, None)])
def test_the_name_of_a_recipe_is_not_its_settings(train, tmp_path):
    with raises(ConfigError, "invalid_type", subject="config") as error:
        train("videos", "laptop", out=tmp_path / "run")
    assert error.value.advice == "pass mgm.load_config('laptop')"
    assert not (tmp_path / "run").exists()
