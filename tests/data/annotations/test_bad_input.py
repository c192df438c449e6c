"""What is wrong with an annotation file is one line that names the file, the line and what to do."""

import pytest

from mgm.data.annotations import load_set, resolve_set
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import raises


@pytest.mark.parametrize(
    ("key", "lines"),
    [
        ("no-label", ["a.mp4 0", "b.mp4", "c.mp4 1"]),
        ("word-label", ["a.mp4 0", "b.mp4 run", "c.mp4 1"]),
        ("fraction-label", ["a.mp4 0", "b.mp4 1.0", "c.mp4 1"]),
        ("two-labels", ["a.mp4 0", "b.mp4 3 1", "c.mp4 1"]),
        ("other-separator", ["a.mp4 0", "b.mp4 1", "c.mp4,1"]),
        ("two-columns", ["a.mp4 0 -1", "b.mp4 1", "c.mp4 0 -1"]),
        ("total-of-0", ["a.mp4 0 -1", "b.mp4 0 0", "c.mp4 0 -1", "d.mp4 0 -1"]),
        ("no-frames", ["a 30 0", "b 30 1", "c 0 1"]),
        ("columns-swapped", ["0\t1\ta/b.avi", "1\t1\tc/d.avi", "2\te/f.avi\t1"]),
        ("text-after-path", ["a.mp4", "b.mp4", "c.mp4 extra"]),
        ("no-id", ["0347ZoDXyP0", "-3B32lodo2M", "not an id"]),
        ("missing-column", ["path,label", "a.mp4,run", "b.mp4"]),
        ("missing-value", ["path,label", "a.mp4,run", "b.mp4,"]),
        ("unknown-split", ["path,label,split", "a.mp4,run,trian"]),
        ("empty-span", ["path,start,end", "a.mp4,9,9"]),
        ("word-frame", ["path,start,end", "a.mp4,soon,9"]),
        ("word-seconds", ["youtube_id,time_start,time_end", "x,soon,9"]),
        ("no-format", ["lorem ipsum", "dolor sit amet"]),
    ],
)
def test_lines_that_do_not_fit(tmp_path, key, lines):
    """The line of the error contains the number of the line and its content."""
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "list.txt", *lines)
    with raises(DataError, "malformed", subject=path, message=f"annotations-line-{key}") as caught:
        load_set(path)
    assert "\n" not in str(caught.value)


def test_labels_that_are_not_valid(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "list.txt", "a.mp4 0", "b.mp4 -2", "c.mp4 1")
    with raises(DataError, "invalid_value", subject=path, message="annotations-negative-label"):
        load_set(path)
    path = write(tmp_path / "list.txt", "a.mp4 0", "b.mp4 90210", "c.mp4 1")
    with raises(DataError, "malformed", subject=path, message="annotations-too-few-labels"):
        load_set(path)


def test_the_number_is_that_of_the_file(tmp_path):
    """Blank lines count, as editors count them."""
    path = write(tmp_path / "list.txt", "", "a.mp4 0", "", "b.mp4 0", "  ", "c.mp4 x")
    with raises(DataError, "malformed", message="annotations-line-after-blank-lines"):
        load_set(path)


@pytest.mark.parametrize(
    ("name", "content", "reason", "key"),
    [
        ("list.txt", b"", "empty", "empty"),
        ("list.txt", b" \n\n", "empty", "empty"),
        ("list.txt", "a.mp4 0".encode("utf-16"), "unsupported", "utf-16"),
        ("list.txt", b"a\0b", "malformed", "not-text"),
        ("list.pkl", b"\x80\x04\x95", "unsupported", "pickle"),
        ("train.json", b'[{"id": "1"},]', "malformed", None),
        ("train.json", b'[{"path": "a.mp4"}, 3]', "malformed", "not-an-object"),
        ("train.json", b'{"a": {"b": 1}}', "malformed", None),
    ],
)
def test_files_that_are_not_annotations(tmp_path, name, content, reason, key):
    (tmp_path / name).write_bytes(content)
    with raises(DataError, reason, subject=tmp_path / name, message=key and f"annotations-{key}"):
        load_set(tmp_path / name)


def test_a_byte_order_mark_and_carriage_returns(tmp_path):
    touch(tmp_path, "x/ä b.mp4", "y/c.mp4")
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf" + "x/ä b.mp4 0\r\n\r\ny/c.mp4 1\r\n".encode())
    found = load_set(tmp_path / "train.txt")
    assert [i.label for i in found.train] == [0, 1]
    assert found.train[0].path.endswith("x/ä b.mp4")


def test_names_that_are_no_utf8(tmp_path):
    """A name keeps its bytes, as Python's own paths do."""
    import os

    name = os.fsdecode(b"caf\xe9.mp4")
    (tmp_path / name).touch()
    (tmp_path / "train.txt").write_bytes(b"caf\xe9.mp4 0\nb.mp4 1\n")
    found = load_set(tmp_path / "train.txt")
    assert [i.path for i in found.train] == [str(tmp_path / name)]


def test_numbers_with_gaps_keep_their_meaning(tmp_path):
    """A subset of a numbered list: classes without a video stay, and are said."""
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


@pytest.mark.parametrize(
    ("lines", "reason", "key"),
    [
        (["1 Hop", "3 Run"], "malformed", "numbers-with-a-gap"),
        (["Hop", "Hop"], "malformed", "class-twice"),
        (["0 Hop"], "invalid_value", "number-without-a-name"),
    ],
)
def test_names_of_classes_that_do_not_fit(tmp_path, lines, reason, key):
    touch(tmp_path, "a.mp4", "b.mp4")
    train, names = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1"), write(tmp_path / "names.txt", *lines)
    with raises(DataError, reason, message=f"annotations-{key}"):
        load_set(f"train={train},classes={names}")


def test_numbers_and_names_that_nothing_joins(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    train = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1")
    test = write(tmp_path / "test.csv", "path,label", "c.mp4,run")
    with raises(DataError, "invalid_value", subject=test, message="annotations-numbers-and-names"):
        load_set(f"train={train},test={test}")
    names = write(tmp_path / "names.txt", "hop", "run")
    found = load_set(f"train={train},test={test},classes={names}")
    assert [i.label for i in found.test] == [1]


def test_ambiguous_content_names_the_candidates(tmp_path):
    """Two numbers behind a video may be its part, or its length and its label."""
    touch(tmp_path, "a.mp4", "b.mp4")
    path = write(tmp_path / "list.txt", "a.mp4 60 1", "b.mp4 80 2")
    with raises(DataError, "conflict", subject=path, message="annotations-ambiguous"):
        load_set(path)
    spans = load_set(f"data={path},format=path-start-total")
    assert [(i.start, i.end, i.label) for i in spans.train] == [(60, 61, None), (80, 82, None)]
    totals = resolve_set(f"train={path},format=path-total-label").listed
    assert [(i.start, i.end, i.label) for i in totals.train] == [(0, 60, 0), (0, 80, 1)]
    with raises(DataError, "unknown_name", message="annotations-unknown-format"):
        load_set(f"data={path},format=path-lable")
