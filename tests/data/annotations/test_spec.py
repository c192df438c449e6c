"""Specifications of sets: paths, `key=value` parts and files of keys."""

import json

import pytest
import yaml

from mgm.data.annotations import SetSpec, load_set, parse_spec
from mgm.data.annotations.spec import KEYS
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import raises


def test_parts_with_commas_between_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "train=a, b.csv,train=c.csv,val=d=1.csv,root=/videos, split=2,ratio=.25,images=x,missing=skip"
    assert parse_spec(text) == SetSpec(
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
    """Relative paths start from the file's folder, also from another working directory."""
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


def test_a_path_takes_precedence_over_a_key(tmp_path, monkeypatch):
    touch(tmp_path, "train=x/a.mp4")
    monkeypatch.chdir(tmp_path)
    assert [i.path for i in load_set("train=x").train] == ["train=x/a.mp4"]


@pytest.mark.parametrize("given", [["videos"], None, 5])
def test_neither_a_path_nor_keys(given):
    with raises(DataError, "invalid_type", subject="set") as error:
        load_set(given)
    assert ("'data': [...]" in str(error.value)) == isinstance(given, list)


def test_an_empty_text_is_not_the_working_directory(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4")
    monkeypatch.chdir(tmp_path)
    with raises(DataError, "missing_value", message="set-empty"):
        load_set("")
    assert len(load_set(".").train) == 1


def test_a_format_is_checked_where_no_file_has_one(tmp_path):
    touch(tmp_path, "x/a.mp4", "y/b.mp4")
    with raises(DataError, "unknown_name", subject="format=frame"):
        load_set(f"data={tmp_path},format=frame")


def test_one_video(tmp_path):
    touch(tmp_path, "a.mp4")
    assert [i.path for i in load_set(tmp_path / "a.mp4").train] == [str(tmp_path / "a.mp4")]


@pytest.mark.parametrize(
    ("spec", "reason", "key"),
    [
        ("trian=a.csv", "unknown_name", "misspelt-key"),
        ("train=a.csv,root=", "missing_value", "no-value"),
        ("train=a.csv,root=x,root=y", "conflict", "key-twice"),
        ("train=a.csv,split=one", "invalid_value", "word-for-a-number"),
        ("train=a.csv,split=0", "invalid_value", None),
        ("train=a.csv,ratio=.5", "invalid_value", "ratio-without-pictures"),
        ("train=a.csv,images=b,ratio=1.5", "invalid_value", None),
        ("train=a.csv,missing=maybe,test_split=dev", "invalid_value", "two-problems"),
        ("root=x", "invalid_value", "no-data"),
        ("nowhere", "not_found", "no-such-path"),
        ("train=nowhere.csv", "not_found", None),
        ("x" * 5000, "not_found", None),
        ({"train": 3}, "invalid_value", "number-for-a-path"),
        ({"trian": "a"}, "unknown_name", None),
    ],
)
def test_specifications_that_are_not_valid(spec, reason, key):
    with raises(DataError, reason, message=key and f"spec-{key}"):
        load_set(spec)


def test_files_that_are_not_yaml(tmp_path):
    path = write(tmp_path / "set.yaml", "train: [a")
    with raises(DataError, "malformed", subject=path):
        load_set(path)


VALUES = [None, True, 1.5, -1, 0, [1], {"a": 1}, float("nan"), float("inf"), ""]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["set.yaml", "set.json"])
def test_a_value_in_a_file_is_used_as_written_or_refused(tmp_path, key, name):
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
    ("text", "reason", "key"),
    [
        ("data: videos\nformat: null\n", "invalid_value", "null-name"),
        ("data: videos\nformat: 3\n", "invalid_value", None),
        ("data: videos\nsplit: 1.5\n", "invalid_value", None),
        ("data: videos\nsplit: true\n", "invalid_value", None),
        (f"data: videos\nratio: {10**400}\n", "invalid_value", None),
        ("data: videos\nroot: null\n", "invalid_value", "null-path"),
        ("data: a\ndata: b\n", "malformed", "yaml-key-twice"),
        ("data:\n\t- a\n", "malformed", None),
        ("", "malformed", "empty-yaml"),
        ("- a\n", "malformed", None),
    ],
)
def test_files_whose_values_are_not_valid(tmp_path, text, reason, key):
    path = write(tmp_path / "set.yaml", text)
    with raises(DataError, reason, subject=path, message=key and f"spec-{key}"):
        parse_spec(path)


def test_a_folder_named_like_a_date_stays_one(tmp_path):
    touch(tmp_path / "2020-01-01", "x/a.mp4")
    touch(tmp_path / "1e3", "y/b.mp4")
    spec = parse_spec(write(tmp_path / "set.yaml", "data: [2020-01-01, '1e3']"))
    assert spec.data == (str(tmp_path / "2020-01-01"), str(tmp_path / "1e3"))


def test_a_key_twice_in_json(tmp_path):
    with raises(DataError, "conflict", subject=tmp_path / "set.json"):
        parse_spec(write(tmp_path / "set.json", '{"data": "a", "data": "b"}'))


@pytest.mark.parametrize("key", ["data", "train", "root", "labels", "classes", "images"])
def test_a_path_longer_than_any_file_has(tmp_path, key):
    touch(tmp_path, "videos/a.mp4")
    with raises(DataError, "unreadable"):
        load_set({"data": [f"{tmp_path}/videos"], key: "x" * 5000})
