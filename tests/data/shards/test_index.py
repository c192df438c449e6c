"""The index of a set in shards."""

import json
import shutil

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
