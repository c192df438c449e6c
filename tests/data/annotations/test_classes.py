"""Labels of annotations are resolved to classes."""

from mgm.data.annotations import load_set
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import raises


def test_labels_that_are_not_valid(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "list.txt", "a.mp4 0", "b.mp4 -2", "c.mp4 1")
    with raises(DataError, "invalid_value", subject=path, message="annotations-negative-label"):
        load_set(path)
    path = write(tmp_path / "list.txt", "a.mp4 0", "b.mp4 90210", "c.mp4 1")
    with raises(DataError, "malformed", subject=path, message="annotations-too-few-labels"):
        load_set(path)


def test_numbers_with_gaps_keep_their_meaning(tmp_path):
    """A subset of a numbered list: classes without a video stay, and are reported."""
    from mgm.data.annotations.summary import summarise_set

    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 3", "c.mp4 3")
    found = load_set(path)
    assert found.classes == ("0", "1", "2", "3")
    assert [i.label for i in found.train] == [0, 3, 3]
    assert summarise_set(path).empty_classes == ("1", "2")


def test_numbers_from_one(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    found = load_set(write(tmp_path / "train.txt", "a.mp4 1", "b.mp4 2"))
    assert (found.classes, [i.label for i in found.train]) == (("1", "2"), [0, 1])


def test_numbers_mixed_with_names(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    train = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1")
    test = write(tmp_path / "test.csv", "path,label", "c.mp4,run")
    with raises(DataError, "invalid_value", subject=test, message="annotations-numbers-and-names"):
        load_set(f"train={train},test={test}")
    names = write(tmp_path / "names.txt", "hop", "run")
    found = load_set(f"train={train},test={test},classes={names}")
    assert [i.label for i in found.test] == [1]
