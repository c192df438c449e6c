"""Recipes based on others: values of the changing recipe win, and every value keeps its origin."""

from importlib import resources

import pytest
import yaml

from mgm.errors import ConfigError
from mgm.training.recipe import load_config
from mgm.training.recipe_file import Origin, list_recipes, read_recipe
from tests.errors import raises


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_a_recipe_changes_its_base(write):
    write("base.yaml", "data: {frames: 8, stride: 2}\nmask: {name: mgm, options: {jitter: false}}\nseed: 3\n")
    mine = write("mine.yaml", "base: base.yaml\ndata: {stride: 4}\nmask: {options: {}}\n")
    config = load_config(mine)
    assert (config.data.frames, config.data.stride, config.seed) == (8, 4, 3)
    assert (config.mask.name, config.mask.options) == ("mgm", {})  # a value is replaced as a whole


def test_later_bases_replace_earlier_ones_and_lie_beside_the_file(write):
    write("parts/long.yaml", "base: short.yaml\npretrain: {batch: 64, base_lr: 1e-3}\n")
    write("parts/short.yaml", "pretrain: {epochs: 5, warmup: 1, batch: 8, base_lr: 2e-3, min_lr: 1e-5}\n")
    write("other.yaml", "pretrain: {batch: 16}\n")
    mine = write("mine.yaml", "base: [debug, parts/long.yaml, other.yaml]\npretrain: {min_lr: 0}\n")
    optim = load_config(mine).pretrain
    # the steps of debug, and their warm-up, are replaced
    assert (optim.epochs, optim.steps, optim.warmup) == (5, None, 1)
    assert (optim.batch, optim.base_lr, optim.min_lr, optim.clip_grad) == (16, 1e-3, 0, 1.0)


def test_a_built_in_base_and_overrides(write):
    mine = write("mine.yaml", "base: mgm-vitb-k400\npretrain: {steps: 100}\n")
    built_in = load_config("mgm-vitb-k400")
    assert load_config(mine, ["pretrain.epochs=800", "pretrain.warmup=40"]) == built_in


def test_every_value_has_its_origin(write):
    base = write(
        "base.yaml",
        "# Of a paper.\n# More of it.\n\n# Not this.\ndata: # its section 4\n  frames: 8\n  size: 32 # ours\n",
    )
    mine = write(
        "mine.yaml",
        "base: base.yaml\ndata: {size: 64} # a test\npretrain:\n  betas: [0.9, # not this\n    0.95] # that\n",
    )
    recipe = read_recipe(mine)
    assert read_recipe(base).about == "Of a paper. More of it."
    assert recipe.tree == {"data": {"frames": 8, "size": 64}, "pretrain": {"betas": [0.9, 0.95]}}
    assert recipe.origins == {
        ("data", "frames"): Origin(str(base), "its section 4"),
        ("data", "size"): Origin(str(mine), "a test"),
        ("pretrain", "betas"): Origin(str(mine), "that"),
    }


def test_a_recipe_based_on_itself(write):
    first = write("first.yaml", "base: second.yaml\n")
    second = write("second.yaml", "base: [debug, first.yaml]\n")
    with raises(ConfigError, "conflict", subject=f"{second}: base", message="recipe-based-on-itself") as caught:
        load_config(first)
    assert caught.value.found.endswith(f"{first} > {second} > {first}")


def test_bases_shared_many_times_are_read_once(write):
    for number in range(60):
        write(f"{number}.yaml", f"base: [{number + 1}.yaml, {number + 1}.yaml]\n")
    last = write("60.yaml", "seed: 5\n")
    assert load_config(last.with_name("0.yaml")).seed == 5


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("base: debog\n", "unknown_name", "recipe-unknown-base"),
        ("base: absent.yaml\n", "not_found", None),
        ("base: 5\n", "invalid_type", "recipe-wrong-base"),
        ("base: [debug, [debug]]\n", "invalid_type", None),
        ("base: {debug: 1}\n", "invalid_type", None),
        ("bas: debug\n", "unknown_name", "recipe-misspelt-base"),
    ],
)
def test_wrong_bases(write, text, reason, message):
    with raises(ConfigError, reason, message=message):
        load_config(write("mine.yaml", text))


def test_a_wrong_value_of_a_base_is_found_there(write):
    base = write("base.yaml", "data: {frmes: 8}\nmask: {ratio: 2}\nseed: -1\n")
    mine = write("mine.yaml", "base: base.yaml\nmask: {ratio: 3}\n")
    with raises(ConfigError, "invalid_value", subject=mine, message="recipe-wrong-base-and-own") as caught:
        load_config(mine)
    assert f"{base}: data.frmes" in caught.value.found
    with raises(ConfigError, "invalid_value", subject=f"{mine}: {base}: data.frames"):
        write("base.yaml", "data: {frames: 0}\n")
        load_config(mine, ["mask.ratio=0.5"])
    with raises(ConfigError, "invalid_value", subject=f"{mine}: data.frames"):
        load_config(mine, ["mask.ratio=0.5", "data.frames=-1"])  # not that of the base


def test_a_base_is_no_setting():
    with raises(ConfigError, "conflict", message="override-base"):
        load_config("debug", ["base=mgm-vitb-k400"])


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_has_no_value_of_its_bases(name, write):
    own = yaml.safe_load((resources.files("mgm") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"))
    if "base" in own:
        bases = read_recipe(write("bases.yaml", yaml.safe_dump({"base": own.pop("base")}))).tree
        for section, values in own.items():
            for key, value in values.items():
                assert bases.get(section, {}).get(key, Ellipsis) != value, f"{section}.{key} is that of a base"
