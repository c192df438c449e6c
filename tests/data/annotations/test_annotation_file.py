"""Annotation files that can, and cannot, be read as text, JSON or arrays."""

import json
import tracemalloc

import numpy as np
import pytest

from mgm.data.annotations import load_set
from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.class_names import contains_class_names, read_labels
from mgm.errors import DataError
from tests.data.annotations.files import pairs, touch
from tests.errors import raises


@pytest.mark.parametrize(
    ("name", "content", "reason", "key"),
    [
        ("list.txt", b"", "empty", "empty"),
        ("list.txt", b" \n\n", "empty", "empty"),
        ("list.csv", b"path,label\n", "empty", "header-alone"),
        ("list.csv", b"path,bytes,modified,status,problem\n", "empty", None),
        ("list.json", b"[]", "empty", None),
        ("list.json", b"{}", "empty", None),
        ("list.json", b"[" * 100_000, "malformed", "deep-json"),
        ("list.json", b'[{"path": ' + b"1" * 5000 + b"}]", "malformed", None),
        ("list.json", b'[{"path": [[1]]}]', "malformed", None),
        ("list.json", b'[{"path": "\\ud800.mp4"}]', "malformed", "half-a-character"),
        ("list.parquet", b"PAR1" + bytes(40) + b"PAR1", "malformed", None),
        ("list.csv", b'path,label\n"' + b"a" * 200_000 + b'",1\n', "malformed", None),
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


@pytest.mark.parametrize("header", ["", "path,label\r"])
def test_lines_that_end_in_a_carriage_return_alone(tmp_path, header):
    """Excel's "CSV (Macintosh)"."""
    touch(tmp_path, "x/a.mp4", "y/b.mp4")
    (tmp_path / "train.csv").write_bytes(f"{header}x/a.mp4,0\ry/b.mp4,1\r".encode())
    found = load_set(tmp_path / "train.csv")
    assert pairs(found, found.train) == [("a.mp4", "x"), ("b.mp4", "y")]


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_the_index_of_a_table_of_pandas(tmp_path, index):
    """Its column has no name, or that which pandas gives it when it reads and writes the table again."""
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "train.csv").write_text(f"{index},path,label\n0,a.mp4,run\n1,b.mp4,hop\n")
    found = load_set(tmp_path / "train.csv")
    assert pairs(found, found.train) == [("a.mp4", "run"), ("b.mp4", "hop")]


def test_names_in_other_encodings(tmp_path):
    """A name keeps its bytes, as in Python's own paths."""
    import os

    name = os.fsdecode(b"caf\xe9.mp4")
    (tmp_path / name).touch()
    (tmp_path / "train.txt").write_bytes(b"caf\xe9.mp4 0\nb.mp4 1\n")
    found = load_set(tmp_path / "train.txt")
    assert [i.path for i in found.train] == [str(tmp_path / name)]


GOOD = '{"youtube_id": "a", "time_start": 1, "time_end": 11, "label": "x"}'


def test_a_broken_json_line(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}\n{{broken\n")
    with raises(DataError, "malformed", subject=path, message="annotations-not-json"):
        AnnotationFile(path)


def test_json_lines_are_not_held_as_objects(tmp_path):
    path, values = (
        tmp_path / "list.jsonl",
        [{"path": f"{n}.mp4", **{f"key {k}": n + k for k in range(20)}} for n in range(3000)],
    )
    path.write_text("\n\n".join(map(json.dumps, values)))
    tracemalloc.start()
    file = AnnotationFile(path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = path.stat().st_size
    assert held < 1.5 * size
    assert peak < 4 * size  # its bytes, its text, and what is split of it
    assert list(file.tree) == [row for _, row in file.rows()] == values
    assert (file.tree[-1], file.tree[5], list(file.tree[1:3])) == (values[-1], values[5], values[1:3])


def test_class_names_as_json_lines(tmp_path):
    path = tmp_path / "classes.jsonl"
    path.write_text('["jump", "high"]\n["run"]\n')
    assert contains_class_names(AnnotationFile(path))
    assert read_labels(path) == ("jump high", "run")


def test_arrays_of_text_and_pickles(tmp_path):
    """V-JEPA's .npy: text is read, objects are refused: reading them can run code."""
    touch(tmp_path, "x/a.mp4", "y/b.mp4")
    np.save(tmp_path / "train.npy", np.array([["x/a.mp4", "0"], ["y/b.mp4", "1"]]))
    found = load_set(tmp_path / "train.npy")
    assert pairs(found, found.train) == [("a.mp4", "x"), ("b.mp4", "y")]
    np.save(tmp_path / "objects.npy", np.array([["x/a.mp4", 0], ["y/b.mp4", 1]], dtype=object), allow_pickle=True)
    with raises(DataError, "unsupported", subject=tmp_path / "objects.npy", message="annotations-array-of-objects"):
        load_set(tmp_path / "objects.npy")
    (tmp_path / "damaged.npy").write_bytes((tmp_path / "train.npy").read_bytes()[:100])
    with raises(DataError, "malformed", subject=tmp_path / "damaged.npy"):
        load_set(tmp_path / "damaged.npy")
    damages = ((b"'<U", b"'<U(("), (b"'descr'", b"'descr"), (b"(2, 2)", b"(2, 9)"), (b"x\0\0\0", b"x\xff\xff\xff"))
    for old, new in damages:  # each with an exception of its own in NumPy
        (tmp_path / "damaged.npy").write_bytes((tmp_path / "train.npy").read_bytes().replace(old, new))
        with raises(DataError, "malformed", subject=tmp_path / "damaged.npy"):
            load_set(tmp_path / "damaged.npy")
    np.save(tmp_path / "numbers.npy", np.zeros(3))
    with raises(DataError, "invalid_type", message="annotations-array-of-numbers"):
        load_set(tmp_path / "numbers.npy")
