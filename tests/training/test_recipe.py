"""Reading recipes and overrides: every wrong key or value is one line that names the file and the key; nothing is coerced."""

import math

import pytest
import yaml

from mgm.errors import ConfigError
from mgm.training.config import Config
from mgm.training.recipe import load_config, override
from mgm.training.recipe_file import list_recipes
from tests.errors import check_message, raises

VALUES = [None, [1], {"a": 1}, "text", True, 1.5, -1, 0, 10**30, math.nan, math.inf]


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return write


def leaves(tree, *above):
    """The key of every value, as a tuple."""
    for name, value in tree.items():
        key = (*above, name)
        if isinstance(value, dict) and value:
            yield from leaves(value, *key)
        else:
            yield key


KEYS = sorted({*leaves(Config().model_dump()), ("mask", "decoder", "name"), ("mask", "decoder", "ratio")})
SECTIONS = sorted({key[:1] for key in KEYS if len(key) > 1})


@pytest.mark.parametrize("key", [*KEYS, *SECTIONS], ids=".".join)
def test_a_value_is_kept_as_written_or_refused(key, tmp_path):
    path = tmp_path / "mine.yaml"
    taken = []
    for value in VALUES:
        tree = {key[-1]: value}
        for name in key[-2::-1]:
            tree = {name: tree}
        if key[0] in ("pretrain", "finetune") and key[-1] not in ("steps", "epochs") and len(key) > 1:
            tree[key[0]]["steps"] = 10  # one length is given
        path.write_text(yaml.safe_dump(tree))
        try:
            found = load_config(path).model_dump(mode="json")
        except ConfigError as caught:
            error = caught
            assert error.subject.startswith(f"{path}: ")
            assert "\n" not in error.line, error
            assert key[-1].removesuffix("s") in error.line, error
            assert len(error.line) < 600, error
        else:
            for name in key:
                found = found[name]
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert not isinstance(found, bool)
                found, written = float(found), float(value)  # 1 is a number as 1.0 is
            else:
                written = value
            assert (type(found), found) == (type(written), written)
            taken.append(value)
    assert len(taken) < len(VALUES) - 3


def test_a_misspelt_key_of_any_recipe_gets_its_name(tmp_path):
    from importlib import resources

    path = tmp_path / "mine.yaml"
    targets = ("target", "visible_target")  # with a weight for each name
    tried = set()
    for name in list_recipes():
        text = (resources.files("mgm") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        sections = {section: keys for section, keys in yaml.safe_load(text).items() if section != "base"}
        for key in (key for key in leaves(sections) if key[1] not in targets and key not in tried):
            tried.add(key)  # in the first recipe that has it
            tree = yaml.safe_load(text)
            branch = tree
            for part in key[:-1]:
                branch = branch[part]
            branch[f"{key[-1]}z"] = branch.pop(key[-1])
            path.write_text(yaml.safe_dump(tree))
            with raises(ConfigError, "unknown_name", subject=f"{path}: {'.'.join(key)}z") as caught:
                load_config(path)
            assert f" {'.'.join(key)}?" in caught.value.advice  # the nearest name
    assert len(tried) > 50


@pytest.mark.parametrize(
    ("text", "reason", "key"),
    [
        ("data:\n  frames: 8\n  frames: 16\n", "malformed", ""),
        ("data: {}\nmask: {}\ndata: {}\n", "malformed", ""),
        ("data:\n\tframes: 8\n", "malformed", ""),
        ("", "malformed", ""),
        ("# nothing\n", "malformed", ""),
        ("- data\n", "malformed", ""),
        ("data\n", "malformed", ""),
        ("a: 1\n---\nb: 2\n", "malformed", ""),
        ("a: !!python/object:os.system {}\n", "malformed", ""),
        ("[" * 5000, "malformed", ""),
        ("data: \x00\n", "malformed", ""),
        ("1: 2\n", "invalid_type", "settings"),
        ("data:\n", "invalid_type", "data"),
        ("data: {frames: '8'}\n", "invalid_type", "data.frames"),
        ("data: {frames: 010}\n", "invalid_type", "data.frames"),
        ("data: {frames: 1:30}\n", "invalid_type", "data.frames"),
        ("seed: 2020-01-01\n", "invalid_type", "seed"),
        ("seed: 1_000\n", "invalid_type", "seed"),
        ("data: {flip: 1}\n", "invalid_type", "data.flip"),
        ("mask: {name: off}\n", "invalid_type", "mask.name"),
        ("finetune: {flip: maybe}\n", "invalid_value", "finetune.flip"),
        ("probe: {spatial_views: true}\n", "invalid_value", "probe.spatial_views"),
        ("data: {crop: center}\n", "invalid_value", "data.crop"),
        ("pretrain: {epochs: 1, betas: 0.9}\n", "invalid_type", "pretrain.betas"),
        ("pretrain: {epochs: 1, betas: [0.9, 1]}\n", "invalid_value", "pretrain.betas.1"),
        ("pretrain: {epochs: 1, min_lr: 1}\n", "invalid_value", "pretrain"),
        ("model: {target: {hog: true}}\n", "invalid_value", "model.target"),
        ("model: {target: {hog: .inf}}\n", "invalid_value", "model.target"),
    ],
)
def test_files_that_are_not_recipes(text, reason, key, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with raises(ConfigError, reason, subject=f"{path}: {key}" if key else path) as caught:
        load_config(path)
    assert "\n" not in caught.value.line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:\n  frames: 8\n  frames: 16\n", "recipe-key-twice"),
        ("", "recipe-empty"),
        ("data: {frames: '8'}\n", "recipe-wrong-type"),
        ("data: {crop: center}\n", "recipe-wrong-choice"),
        ("finetune: {flip: maybe}\n", "recipe-wrong-flip"),
        ("mask: {ratio: 2}\n", "recipe-out-of-range"),
    ],
)
def test_messages_of_wrong_recipes(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    check_message(message, caught.value)


def test_files_that_are_not_text_or_too_large(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"seed: 1\n\xff\xfe\x00")
    with raises(ConfigError, "malformed", subject=path):
        load_config(path)
    path.write_text("# a comment\n" * 200_000)
    with raises(ConfigError, "malformed", subject=path):
        load_config(path)


def test_quoted_numbers_stay_text(tmp_path):
    """Also after saving and reading."""
    path = tmp_path / "mine.yaml"
    for teacher in ("1e-3", "12", "true", "null", "0x1F", "2020-01-01", "010", "nan"):
        path.write_text(f"model: {{target: teacher, teacher: '{teacher}'}}\n")
        config = load_config(path)
        assert config.model.teacher == teacher
        config.save(tmp_path / "config.yaml")
        assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("text", ["seed=", "seed", "=1", "data..frames=8", ".=1", "data.=1"])
def test_overrides_without_key_or_value(text):
    with pytest.raises(ConfigError) as caught:
        load_config("debug", [text])
    assert caught.value.reason in ("malformed", "unknown_name", "invalid_type")
    assert "\n" not in caught.value.line


def test_all_errors_are_one_error(recipe):
    path = recipe("data: {frame: 8}\npretrain: {steps: 5, base_lrr: 1}\nmodle: {}\nmask: {ratio: 2}\nseed: -1\n")
    with raises(ConfigError, "invalid_value", subject=path, message="recipe-many-errors") as caught:
        load_config(path)
    for key in ("data.frames", "pretrain.base_lr", "model", "mask.ratio", "seed"):
        assert key in caught.value.found


@pytest.mark.parametrize(
    ("text", "reason", "subject"),
    [
        ("pretrain.stepz=3", "unknown_name", "settings: pretrain.stepz"),
        ("data.zzz=3", "unknown_name", "settings: data.zzz"),
        ("pretrain.steps", "malformed", "override 'pretrain.steps'"),
        ("=3", "malformed", "override '=3'"),
        ("data.size.deep=3", "unknown_name", "override 'data.size.deep=3'"),
        ("data.frames=[1", "malformed", "override 'data.frames=[1'"),
        ("data.frames=many", "invalid_type", "settings: data.frames"),
        ("pretrain.base_lr=.nan", "invalid_value", "settings: pretrain.base_lr"),
    ],
)
def test_wrong_overrides(text, reason, subject):
    with raises(ConfigError, reason, subject=subject):
        override(load_config("debug"), [text])


@pytest.mark.parametrize("overrides", ["pretrain.steps=3", {"pretrain.steps": 3}])
def test_overrides_are_a_list(overrides):
    for function, first in ((load_config, "debug"), (override, load_config("debug"))):
        with raises(ConfigError, "invalid_type", subject="overrides") as error:
            function(first, overrides)
        assert error.value.advice == "pass ['pretrain.steps=3']"


def test_messages_of_wrong_overrides():
    for text, message in (("pretrain.stepz=3", "override-unknown-key"), ("pretrain.steps", "override-without-value")):
        with raises(ConfigError, "unknown_name" if "z" in text else "malformed", message=message):
            load_config("debug", [text])


def test_overrides():
    config = load_config("debug", ["pretrain.base_lr=1e-3", "mask.name=tube", "data.motion=null", "seed=5"])
    assert (config.pretrain.base_lr, config.mask.name, config.data.motion, config.seed) == (1e-3, "tube", None, 5)
    assert override(config, ["data.stride=2"]).data.stride == 2
    assert override(config, []) == config


@pytest.mark.parametrize("reverse", [False, True])
def test_a_length_in_the_other_unit_replaces_the_length(recipe, reverse):
    path = recipe("pretrain: {epochs: 800, warmup: 40}\nfinetune: {steps: 100, warmup: 10}\n")
    config = load_config(path, ["pretrain.steps=200", "finetune.steps=50"])
    # The warm-up of 40 epochs goes, that in the same unit stays.
    assert (config.pretrain.epochs, config.pretrain.steps, config.pretrain.warmup) == (None, 200, 0)
    assert (config.finetune.steps, config.finetune.warmup) == (50, 10)
    given = ["pretrain.steps=200", "pretrain.warmup=20", "finetune.epochs=2"]
    config = load_config(path, given[::-1] if reverse else given)
    assert (config.pretrain.steps, config.pretrain.warmup) == (200, 20)
    assert (config.finetune.epochs, config.finetune.steps) == (2, None)


def test_numbers_as_yaml_1_1_does_not_read_them(recipe):
    path = recipe("pretrain: {steps: 1e2, base_lr: 1e-3, betas: [9e-1, 0.95]}\n")
    optim = load_config(path).pretrain
    assert (optim.steps, optim.base_lr, optim.betas) == (100, 1e-3, (0.9, 0.95))


def test_missing_recipes(recipe, tmp_path):
    with raises(ConfigError, "unknown_name", subject="debog", message="recipe-unknown"):
        load_config("debog")
    with raises(ConfigError, "not_found", subject=tmp_path / "other.yaml"):
        load_config(tmp_path / "other.yaml")
    with raises(ConfigError, "malformed"):
        load_config(recipe("a: [1"))


@pytest.mark.parametrize("network", [(), ("model.network=vjepa2-h",)])
def test_a_setting_of_fine_tuning_leaves_the_others_of_a_recipe_without_it(network):
    whole = load_config("probe-vjepa2-vitl", network).finetune
    given = load_config("probe-vjepa2-vitl", (*network, "finetune.steps=7")).finetune
    assert given == whole.model_copy(update={"steps": 7, "epochs": None, "warmup": 0})  # a warm-up in epochs
    assert whole.batch == 512


def test_a_setting_of_pretraining_leaves_the_others_of_a_recipe_without_it():
    whole = load_config("probe-vjepa2-vitl").pretrain
    assert load_config("probe-vjepa2-vitl", ("pretrain.batch=8",)).pretrain == whole.model_copy(update={"batch": 8})
    assert (whole.epochs, whole.warmup) == (800, 40)
