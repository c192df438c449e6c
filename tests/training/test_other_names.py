"""Names of settings in other projects lead to the setting here."""

import pytest

from mgm import load_config
from mgm.errors import ConfigError
from mgm.training.config import Config
from mgm.training.other_names import OTHER_NAMES, SECTIONS, setting_named


def test_every_name_leads_to_a_setting_that_exists():
    known = {key for section in SECTIONS for key in Config.model_fields[section].annotation.model_fields}
    assert set(SECTIONS) | {"base", "seed"} >= set(Config.model_fields)
    for name, keys in OTHER_NAMES.items():
        assert set(keys) <= known, name


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("pretrain.lr", "pretrain.base_lr"),
        ("finetune.learning_rate", "finetune.base_lr"),
        ("pretrain.warmup_epochs", "pretrain.warmup"),
        ("data.resolution", "data.size"),
        ("data.batch_size", "pretrain.batch"),
        ("model.patch_size", "model.patch"),
        ("pretrain.seed", "seed"),
        ("lr", "pretrain.base_lr"),
        ("epochs", "pretrain.epochs"),
        ("probe.epochs", "probe.steps"),
        ("mask_ratio", "mask.ratio"),
        ("mask.boundary", "mask.options.boundary"),
        ("data.frmes", "data.frames"),
    ],
)
def test_an_unknown_key_is_answered_with_the_setting(key, meant):
    with pytest.raises(ConfigError, match=f"{key}: no such key; did you mean {meant}\\?$"):
        load_config("debug", [f"{key}=1"])


def test_a_mask_in_place_of_its_section():
    with pytest.raises(ConfigError, match=r"write mask\.name=tube$"):
        load_config("debug", ["mask=tube"])


def test_a_section_is_preferred():
    assert setting_named("lr", ["probe"]) == "probe.lr"
    assert setting_named("nonsense") is None
