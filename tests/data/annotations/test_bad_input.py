"""What is wrong with an annotation file is one line that names the file, the line and what to do."""

import pytest

from mgm.data.annotations import load_set, resolve_set
from mgm.errors import DataError
from tests.data.annotations.files import touch, write


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["a.mp4 0", "b.mp4", "c.mp4 1"],
            r"line 2: found 'b.mp4', expected 'path label' split by a space, .* like line 1",
        ),
        (["a.mp4 0", "b.mp4 run", "c.mp4 1"], r"line 2: found 'b.mp4 run', expected 'path label'"),
        (["a.mp4 0", "b.mp4 1.0", "c.mp4 1"], r"line 2: found 'b.mp4 1.0', expected 'path label'"),
        (["a.mp4 0", "b.mp4 3 1", "c.mp4 1"], r"line 2: found 'b.mp4 3 1', expected one label"),
        (["a.mp4 0", "b.mp4 1", "c.mp4,1"], r"line 3: found 'c.mp4,1', expected 'path label' split by a space"),
        (["a.mp4 0", "b.mp4 -2", "c.mp4 1"], r"line 2: label -2, expected a label from 0 on"),
        (
            ["a.mp4 0", "b.mp4 90210", "c.mp4 1"],
            r"line 2: label 90210, expected a label: 3 different numbers are no 90,211 ",
        ),
        (["a.mp4 0 -1", "b.mp4 1", "c.mp4 0 -1"], r"line 2: found 'b.mp4 1', expected 'path start total'"),
        (["a.mp4 0 -1", "b.mp4 0 0", "c.mp4 0 -1", "d.mp4 0 -1"], r"begins with|expected a start of 0 or more"),
        (["a 30 0", "b 30 1", "c 0 1"], r"begins with|line 3"),
        (
            ["0\t1\ta/b.avi", "1\t1\tc/d.avi", "2\te/f.avi\t1"],
            r"line 3: found '2\\te/f.avi\\t1', expected 'index label path'",
        ),
        (["a.mp4", "b.mp4", "c.mp4 extra"], r"line 3: found 'c.mp4 extra', expected a path that ends in the suffix"),
        (["0347ZoDXyP0", "-3B32lodo2M", "not an id"], r"line 3: found 'not an id', expected a YouTube id"),
        (["path,label", "a.mp4,run", "b.mp4"], r"line 3: found 'b.mp4', expected 2 columns \(path, label\)"),
        (["path,label", "a.mp4,run", "b.mp4,"], r"line 3: no label, expected one"),
        (["path,label,split", "a.mp4,run,trian"], r"line 2: split is 'trian', expected one of train"),
        (["path,start,end", "a.mp4,9,9"], r"line 2: frames 9 to 9, expected an end above the start"),
        (["path,start,end", "a.mp4,soon,9"], r"line 2: start is 'soon', expected the number of a frame"),
        (["youtube_id,time_start,time_end", "x,soon,9"], r"line 2: found 'x,soon,9', expected seconds"),
        (["lorem ipsum", "dolor sit amet"], r"begins with 'lorem ipsum', which is none of the formats path-label,"),
    ],
)
def test_lines_that_do_not_fit(tmp_path, lines, expected):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "list.txt", *lines)
    with pytest.raises(DataError, match=expected) as raised:
        load_set(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_the_number_is_that_of_the_file(tmp_path):
    """Blank lines count, as editors count them."""
    path = write(tmp_path / "list.txt", "", "a.mp4 0", "", "b.mp4 0", "  ", "c.mp4 x")
    with pytest.raises(DataError, match=r"line 6: found 'c.mp4 x'"):
        load_set(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("list.txt", b"", "is empty"),
        ("list.txt", b" \n\n", "is empty"),
        ("list.txt", "a.mp4 0".encode("utf-16"), "is UTF-16 text, expected UTF-8"),
        ("list.txt", b"a\0b", "is no text"),
        ("list.pkl", b"\x80\x04\x95", "is a pickle, which can run code"),
        ("train.json", b'[{"id": "1"},]', "line 1: no valid JSON"),
        ("train.json", b'[{"path": "a.mp4"}, 3]', "record 2 is '3', expected an object"),
        ("train.json", b'{"a": {"b": 1}}', "is none of the formats"),
    ],
)
def test_files_that_are_no_lists(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=expected) as raised:
        load_set(tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name))


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
    ("lines", "expected"),
    [
        (["1 Hop", "3 Run"], "numbers 1 to 3 without 2"),
        (["Hop", "Hop"], "has the class 'Hop' twice"),
        (["0 Hop"], r"train.txt: line 2: label 1, expected 0 to 0, the classes of .*names.txt"),
    ],
)
def test_names_of_classes_that_do_not_fit(tmp_path, lines, expected):
    touch(tmp_path, "a.mp4", "b.mp4")
    train, names = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1"), write(tmp_path / "names.txt", *lines)
    with pytest.raises(DataError, match=expected):
        load_set(f"train={train},classes={names}")


def test_numbers_and_names_that_nothing_joins(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    train = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1")
    test = write(tmp_path / "test.csv", "path,label", "c.mp4,run")
    with pytest.raises(DataError, match=r"test.csv: line 2: label 'run', expected a number .*classes=FILE"):
        load_set(f"train={train},test={test}")
    names = write(tmp_path / "names.txt", "hop", "run")
    found = load_set(f"train={train},test={test},classes={names}")
    assert [i.label for i in found.test] == [1]


def test_ambiguous_content_names_the_candidates(tmp_path):
    """Two numbers behind a video may be its part, or its length and its label."""
    touch(tmp_path, "a.mp4", "b.mp4")
    path = write(tmp_path / "list.txt", "a.mp4 60 1", "b.mp4 80 2")
    with pytest.raises(
        DataError, match=r"ambiguous: could be path-start-total .* or path-total-label .*format=path-start-total"
    ):
        load_set(path)
    spans = load_set(f"data={path},format=path-start-total")
    assert [(i.start, i.end, i.label) for i in spans.train] == [(60, 61, None), (80, 82, None)]
    totals = resolve_set(f"train={path},format=path-total-label").listed
    assert [(i.start, i.end, i.label) for i in totals.train] == [(0, 60, 0), (0, 80, 1)]
    with pytest.raises(DataError, match=r"format=path-lable: no such format; did you mean path-label\?"):
        load_set(f"data={path},format=path-lable")
