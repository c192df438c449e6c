"""Settings: defaults, what they build, the checks across sections, and the values of the built-in recipes."""

import pytest
import torch

from mgm.errors import ConfigError
from mgm.masks import build_mask
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.training.config import Config
from mgm.training.recipe import list_recipes, load_config, parse_config
from tests.errors import raises


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_builds_its_models(name):
    config = load_config(name)
    with torch.device("meta"):
        model = MaskedAutoencoder(config.model_spec(), target=config.model.target)
        Classifier(Encoder(config.model_spec()), 10, drop_path=config.finetune.drop_path)
    assert sum(p.numel() for p in model.parameters()) > 0
    rule = config.mask_rule()
    assert rule.grid == model.spec.grid
    assert rule.mask.count(rule.grid, rule.ratio) > 0


@pytest.mark.parametrize("name", list_recipes())
def test_saving_and_loading_changes_nothing(name, tmp_path):
    config = load_config(name, ["mask.name=mgm", "mask.options={top_k: 3}"])
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


# epochs, batch, base_lr, layer_decay, drop_path, dropout, min_lr; stride, sampling, flip, views: as in the scripts of the reference
FINETUNED = {
    "k400": (75, 384, 5e-4, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5),
    "ssv2": (30, 384, 5e-4, 0.75, 0.1, 0, 1e-6, 2, "sparse", False, 2),
    "ucf101": (100, 128, 5e-4, 0.7, 0.2, 0.5, 1e-5, 4, "dense", True, 5),
    "hmdb51": (50, 128, 1e-3, 0.7, 0.2, 0.5, 1e-6, 2, "dense", True, 10),
    "diving48": (100, 128, 5e-4, 0.7, 0.2, 0.5, 1e-6, 4, "sparse", True, 5),
}


@pytest.mark.parametrize("name", FINETUNED)
def test_fine_tuning_recipes_are_those_of_the_reference(name):
    config = load_config(f"finetune-vitb-{name}")
    f = config.finetune
    numbers = (f.epochs, f.batch, f.base_lr, f.layer_decay, f.drop_path, f.dropout, f.min_lr)
    assert (*numbers, config.data.stride, f.sampling, f.flip, config.probe.temporal_views) == FINETUNED[name]
    assert (f.warmup, f.betas, f.weight_decay, f.clip_grad) == (5, (0.9, 0.999), 0.05, None)
    assert (f.crop, f.randaugment, f.erasing) == ("random_resized", "rand-m7-n4-mstd0.5-inc1", 0.25)
    assert (f.mixup, f.cutmix, f.mixup_prob, f.switch_prob, f.label_smoothing) == (0.8, 1.0, 1.0, 0.5, 0.1)
    assert (config.data.repeats, config.data.frames, config.data.size, config.model.size) == (2, 16, 224, "B")
    assert config.probe.spatial_views == 3


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
        (["model.target=teacher"], "conflict", "model.teacher", "config-teacher"),
        (["model.teacher=runs/a"], "conflict", "model.teacher", None),
        (["mask.decoder.name=running-sell"], "unknown_name", "mask.decoder", None),
        (["mask.decoder.nam=tube"], "unknown_name", "mask.decoder.nam", None),
        (["mask.decoder.ratio=0.001"], "invalid_value", "mask.decoder", None),
        (["model.attention=divided"], "conflict", None, None),
        (["finetune.randaugment=augmix-m3"], "invalid_value", "finetune.randaugment", None),
    ],
    ids=str,
)
def test_settings_that_do_not_fit(settings, reason, subject, message):
    with raises(ConfigError, reason, message=message) as caught:
        load_config("debug", settings)
    assert subject is None or subject in caught.value.subject
