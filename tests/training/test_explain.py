"""Every value of a recipe is explained by the recipe that contains it."""

from pathlib import Path

import pytest

from mgm.errors import ConfigError
from mgm.training.config import Config
from mgm.training.explain import differing_settings, explain_recipe
from mgm.training.recipe_file import list_recipes
from tests.errors import raises
from tests.training.test_recipe import leaves


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "base.yaml").write_text("data: # of a script\n  stride: 2\n  size: 112 # of a paper\nseed: 4\n")
    path = tmp_path / "mine.yaml"
    path.write_text("base: base.yaml\nmask:\n  options: {jitter: false}\npretrain: {epochs: 5, warmup: 2}\n")
    return path


def by_key(settings):
    return {".".join(setting.key): setting for setting in settings}


def test_sources(mine):
    base = Path(mine).with_name("base.yaml")
    found = by_key(explain_recipe(mine, ["pretrain.steps=50", "data.frames=8"]))
    sources = {
        "seed": f"in {base}",
        "data.stride": f"of a script, in {base}",
        "data.size": f"of a paper, in {base}",
        "data.frames": "override",
        "mask.options": f"in {mine}",
        "mask.name": "default",
        "pretrain.steps": "override",
        "pretrain.epochs": "override",  # the steps replace them
        "finetune.epochs": "default",
    }
    assert {key: found[key].source for key in sources} == sources
    assert (found["data.stride"].value, found["pretrain.epochs"].value, found["pretrain.steps"].value) == (2, None, 50)
    assert found["mask.options"].text == '{"jitter": false}'


@pytest.mark.parametrize("name", list_recipes())
def test_every_setting_has_a_meaning(name):
    found = explain_recipe(name)
    sections = {".".join(key[:2]) for key in leaves(Config().model_dump(exclude={"model": {"spec"}}))} | {"model.spec"}
    assert {".".join(setting.key) for setting in found} == sections
    assert all(len(setting.meaning) > 10 for setting in found)


def test_differences(mine):
    pairs = differing_settings("mgm-vitb-k400", "mgm-vitb-ssv2")
    found = {".".join(one.key): (one.value, other.value) for one, other in pairs}
    assert found["data.stride"] == (4, 2)
    assert all(one != other for one, other in found.values())
    assert not differing_settings(mine, mine)
    with raises(ConfigError, "unknown_name", subject="absent"):
        differing_settings(mine, "absent")
