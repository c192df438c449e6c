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
        (json.dumps({**index, "shards": ["none.tar"]}), "unreadable", "none.index.json", None),
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
