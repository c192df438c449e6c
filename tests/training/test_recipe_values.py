"""Every key of a recipe with values that do not fit: one line names file and key, and nothing is taken for something else."""

import math

import pytest
import yaml

from mgm.errors import ConfigError
from mgm.training.config import Config, list_recipes, load_config

VALUES = [None, [1], {"a": 1}, "text", True, 1.5, -1, 0, 10**30, math.nan, math.inf]


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
def test_a_value_is_taken_as_written_or_refused(key, tmp_path):
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
        except ConfigError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert "\n" not in message, message
            assert key[-1].removesuffix("s") in message, message
            assert len(message) < 600, message
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


@pytest.mark.parametrize("name", list_recipes())
def test_every_key_of_every_recipe_is_known_by_its_name(name, tmp_path):
    from importlib import resources

    text = (resources.files("mgm") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    for key in leaves(yaml.safe_load(text)):
        tree = yaml.safe_load(text)
        branch = tree
        for part in key[:-1]:
            branch = branch[part]
        branch[f"{key[-1]}z"] = branch.pop(key[-1])
        path.write_text(yaml.safe_dump(tree))
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert f"{'.'.join(key)}z: no such key; did you mean {'.'.join(key)}?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data:\n  frames: 8\n  frames: 16\n", "line 3, column 3: frames is given twice, expected it once"),
        ("data: {}\nmask: {}\ndata: {}\n", "line 3, column 1: data is given twice"),
        ("data:\n\tframes: 8\n", "line 2, column 1: found a tab, expected spaces"),
        ("", "found nothing, expected sections such as 'data:'"),
        ("# nothing\n", "found nothing, expected sections"),
        ("- data\n", "found list, expected sections"),
        ("data\n", "found str, expected sections"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: .*another document"),
        ("a: !!python/object:os.system {}\n", "line 1, column 4: could not determine a constructor"),
        ("[" * 5000, "nested too deeply"),
        ("data: \x00\n", "special characters are not allowed"),
        ("1: 2\n", "settings: found the key 1, expected text"),
        ("data:\n", "data: found null, expected keys such as frames:"),
        ("data: {frames: '8'}\n", "data.frames: found '8', expected a whole number"),
        ("data: {frames: 010}\n", "data.frames: found '010', expected a whole number"),
        ("data: {frames: 1:30}\n", "data.frames: found '1:30', expected a whole number"),
        ("seed: 2020-01-01\n", "seed: found '2020-01-01', expected a whole number"),
        ("seed: 1_000\n", "seed: found '1_000', expected a whole number"),
        ("data: {flip: 1}\n", "data.flip: found 1, expected true or false"),
        ("mask: {name: off}\n", "mask.name: found false, expected text"),
        ("finetune: {flip: maybe}\n", "finetune.flip: found 'maybe', expected true, false or auto"),
        ("probe: {spatial_views: true}\n", "probe.spatial_views: found true, expected 1 or 3"),
        ("data: {crop: center}\n", "data.crop: found 'center', expected 'centre', 'multiscale' or 'random_resized'"),
        ("pretrain: {epochs: 1, betas: 0.9}\n", "pretrain.betas: found 0.9, expected two numbers"),
        ("pretrain: {epochs: 1, betas: [0.9, 1]}\n", "pretrain.betas.1: found 1, expected less than 1"),
        ("pretrain: {epochs: 1, min_lr: 1}\n", "pretrain: min_lr is 1.0, expected at most base_lr, 0.00015"),
        ("model: {target: {hog: true}}\n", "model.target: .*weight True of hog"),
        ("model: {target: {hog: .inf}}\n", "model.target: .*weight inf of hog"),
    ],
)
def test_files_that_are_no_recipe(text, words, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text_or_too_large(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"seed: 1\n\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"mine.yaml: .*not text in UTF-8 \(byte 8\)"):
        load_config(path)
    path.write_text("# a comment\n" * 200_000)
    with pytest.raises(ConfigError, match=r"mine.yaml: .*found 2 MB, expected settings of at most 1 MB"):
        load_config(path)


def test_what_looks_like_a_number_stays_what_it_is(tmp_path):
    """Quoted, it is text, also after it was saved and read again."""
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
    assert "\n" not in str(caught.value)
