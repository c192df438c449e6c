"""Files of class names."""

import pytest

from mgm.data.annotations import load_set
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import raises


@pytest.mark.parametrize(
    ("lines", "reason", "key"),
    [
        (["1 Hop", "3 Run"], "malformed", "numbers-with-a-gap"),
        (["Hop", "Hop"], "malformed", "class-twice"),
        (["0 Hop"], "invalid_value", "number-without-a-name"),
    ],
)
def test_class_names_that_are_not_valid(tmp_path, lines, reason, key):
    touch(tmp_path, "a.mp4", "b.mp4")
    train, names = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1"), write(tmp_path / "names.txt", *lines)
    with raises(DataError, reason, message=f"annotations-{key}"):
        load_set(f"train={train},classes={names}")
