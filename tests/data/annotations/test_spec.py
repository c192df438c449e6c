"""How a set is asked for."""

import json

import pytest
import yaml

from mgm.data.annotations import Spec, load_set, parse_spec
from mgm.data.annotations.spec import KEYS
from mgm.errors import DataError
from tests.data.annotations.files import touch, write


def test_parts_with_commas_between_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "train=a, b.csv,train=c.csv,val=d=1.csv,root=/videos, split=2,ratio=.25,images=x,missing=skip"
    assert parse_spec(text) == Spec(
        text=text,
        train=("a, b.csv", "c.csv"),
        test=("d=1.csv",),
        images=("x",),
        root="/videos",
        split=2,
        ratio=0.25,
        missing="skip",
    )


@pytest.mark.parametrize("name", ["set.yaml", "set.json"])
def test_a_file_of_the_same_keys(tmp_path, monkeypatch, name):
    """Its relative paths are those of its folder, wherever it is used."""
    touch(tmp_path / "sets" / "videos", "x/a.mp4", "y/b.mp4", "x/c.mp4")
    write(tmp_path / "sets" / "train.txt", "x/a.mp4 0", "y/b.mp4 1")
    write(tmp_path / "sets" / "test.txt", "x/c.mp4 0")
    tree = {"train": ["train.txt"], "val": "test.txt", "root": "videos"}
    lines = ["train: [train.txt]", "val: test.txt", "root: videos"]
    path = write(tmp_path / "sets" / name, *([json.dumps(tree)] if name.endswith("json") else lines))
    monkeypatch.chdir(tmp_path)
    found = load_set(f"sets/{name}")
    assert (len(found.train), len(found.test), found.root) == (2, 1, f"sets/{name}")
    assert found.classes == ("x", "y")
    assert load_set(path).items == tuple(type(i)(str(tmp_path / i.path), i.label, i.start, i.end) for i in found.items)


def test_a_path_goes_before_a_key(tmp_path, monkeypatch):
    touch(tmp_path, "train=x/a.mp4")
    monkeypatch.chdir(tmp_path)
    assert [i.path for i in load_set("train=x").train] == ["train=x/a.mp4"]


def test_one_video(tmp_path):
    touch(tmp_path, "a.mp4")
    assert [i.path for i in load_set(tmp_path / "a.mp4").train] == [str(tmp_path / "a.mp4")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("trian=a.csv", r"trian: no such key; did you mean train\?"),
        ("train=a.csv,root=", r"root has no value"),
        ("train=a.csv,root=x,root=y", r"root is given twice"),
        ("train=a.csv,split=one", r"split is 'one', expected a whole number"),
        ("train=a.csv,split=0", r"split is 0, expected 1 or more"),
        ("train=a.csv,ratio=.5", r"ratio mixes pictures with videos, expected images="),
        ("train=a.csv,images=b,ratio=1.5", r"ratio is 1.5, expected a share"),
        ("train=a.csv,missing=maybe,test_split=dev", r"test_split is 'dev', expected test or val; missing is 'maybe'"),
        ("root=x", r"names no data, expected data="),
        ("nowhere", r"no such file or folder, expected a folder of videos, an annotation file, or parts"),
        ("train=nowhere.csv", r"nowhere.csv: no such file or folder"),
        ("x" * 5000, r"no such file or folder"),
        ({"train": 3}, r"train is 3, expected a path"),
        ({"trian": "a"}, r"trian: no such key"),
    ],
)
def test_specifications_that_cannot_be(spec, expected):
    with pytest.raises(DataError, match=expected):
        load_set(spec)


def test_yaml_that_is_none(tmp_path):
    with pytest.raises(DataError, match=r"set.yaml: no valid YAML"):
        load_set(write(tmp_path / "set.yaml", "train: [a"))
    with pytest.raises(DataError, match=r"set.yaml: holds list, expected keys"):
        load_set(write(tmp_path / "set.yaml", "- a"))


VALUES = [None, True, 1.5, -1, 0, [1], {"a": 1}, float("nan"), float("inf"), ""]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["set.yaml", "set.json"])
def test_a_value_of_a_file_is_taken_as_written_or_refused(tmp_path, key, name):
    touch(tmp_path / "videos", "x/a.mp4", "y/b.mp4")
    path = tmp_path / name
    for value in VALUES:
        tree = {"data": "videos", key: value}
        path.write_text(json.dumps(tree) if name.endswith("json") else yaml.safe_dump(tree))
        try:
            spec = parse_spec(path)
        except DataError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert key in message
            assert "\n" not in message
        else:
            assert key in ("train", "test", "images")
            assert value == []
            assert getattr(spec, key) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: videos\nformat: null\n", "format is null, expected a name; leave the key out for none"),
        ("data: videos\nformat: 3\n", "format is 3, expected a name"),
        ("data: videos\nsplit: 1.5\n", r"split is 1\.5, expected a whole number"),
        ("data: videos\nsplit: true\n", "split is true, expected a whole number"),
        (f"data: videos\nratio: {10**400}\n", "ratio is 10+.*, expected a number"),
        ("data: videos\nroot: null\n", "root is null, expected a path; leave the key out for none"),
        ("data: a\ndata: b\n", "line 2, column 1: data is given twice"),
        ("data:\n\t- a\n", "line 2, column 1: found a tab, expected spaces"),
        ("", "holds nothing, expected keys such as train:"),
        ("- a\n", "holds list, expected keys such as train:"),
    ],
)
def test_files_whose_values_do_not_fit(tmp_path, text, expected):
    path = write(tmp_path / "set.yaml", text)
    with pytest.raises(DataError, match=expected):
        parse_spec(path)


def test_a_folder_named_like_a_date_stays_one(tmp_path):
    touch(tmp_path / "2020-01-01", "x/a.mp4")
    touch(tmp_path / "1e3", "y/b.mp4")
    spec = parse_spec(write(tmp_path / "set.yaml", "data: [2020-01-01, '1e3']"))
    assert spec.data == (str(tmp_path / "2020-01-01"), str(tmp_path / "1e3"))


def test_a_key_twice_in_json(tmp_path):
    with pytest.raises(DataError, match="data is given twice"):
        parse_spec(write(tmp_path / "set.json", '{"data": "a", "data": "b"}'))
