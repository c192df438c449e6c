"""The index of a set in shards."""

import json
import shutil

import pytest

from mgm.data.annotations import load_set
from mgm.errors import DataError
from tests.errors import raises


def test_a_damaged_index_is_an_error(packed, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(packed[0], folder)
    index = json.loads((folder / "shards.json").read_text())
    for content, reason, subject, message in (
        ("{", "malformed", "shards.json", None),
        ("[]", "malformed", "shards.json", "shards-index-of-another-type"),
        ("{}", "malformed", "", "shards-damaged-index"),
        (json.dumps({**index, "format": "other-2"}), "malformed", "shards.json", "shards-of-another-format"),
        (json.dumps({**index, "shards": ["none.tar"]}), "not_found", "none.index.json", None),
    ):
        (folder / "shards.json").write_text(content)
        with raises(DataError, reason, subject=folder / subject, message=message):
            load_set(folder)


@pytest.mark.parametrize("label", ["run", -1, 99, 0.5, True, [0], {}])
def test_labels_that_number_no_class_are_an_error(packed, tmp_path, label):
    folder = tmp_path / "shards"
    shutil.copytree(packed[0], folder)
    (place, *_) = folder.glob("*.index.json")
    index = json.loads(place.read_text())
    annotation = index["samples"][0]["annotations"][0]
    annotation["label"] = float(annotation["label"])  # a number, as other tools may write it
    place.write_text(json.dumps(index))
    assert [item.label for item in load_set(folder).items] == [item.label for item in load_set(packed[0]).items]
    annotation["label"] = label
    place.write_text(json.dumps(index))
    with raises(DataError, "malformed", subject=folder):
        load_set(folder)


def test_a_set_that_is_not_there(tmp_path):
    for place in (f"{tmp_path}/shards.json", "memory://nowhere"):
        with raises(DataError, "not_found"):
            load_set(place)


def changed(content, path, value):
    """A copy of JSON, with another value at a path of keys."""
    if not path:
        return value
    head, *rest = path
    items = content.items() if isinstance(content, dict) else enumerate(content)
    made = {key: changed(inner, rest, value) if key == head else inner for key, inner in items}
    return made if isinstance(content, dict) else list(made.values())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((("annotations", 0, "label"), value) for value in ("fight", 10**30)),
        *((("annotations", 0, key), value) for key in ("start", "end", "number") for value in ("seven", 0.5, -1, {})),
        *((("info", key), value) for key in ("frames", "height", "width", "step") for value in (None, "9", 0, 1e3)),
        *((("members", "video"), value) for value in (None, [1], [0, "9"], [0, -1], [0, 2**70], [[0], [1]])),
        (("annotations", 0, "split"), 3),
        (("annotations",), {"a": 1}),
        (("members",), []),
        (("modified",), "now"),
        (("name",), None),
    ],
)
def test_values_of_another_kind_in_an_index(packed, tmp_path, path, value):
    folder = tmp_path / "shards"
    shutil.copytree(packed[0], folder)
    index = folder / "shard-000000.index.json"
    index.write_text(json.dumps(changed(json.loads(index.read_text()), ("samples", 0, *path), value)))
    with raises(DataError, "malformed", subject=folder):
        load_set(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("classes", [1, 2]), ("classes", None), ("split", 1), ("shards", [1]), ("shards", ["../shard-000000.tar"])],
)
def test_values_of_another_kind_in_the_list_of_shards(packed, tmp_path, key, value):
    folder = tmp_path / "shards"
    shutil.copytree(packed[0], folder)
    content = json.loads((folder / "shards.json").read_text())
    (folder / "shards.json").write_text(json.dumps({**content, key: value}))
    with raises(DataError, "malformed", subject=folder):
        load_set(folder)
