"""Property: for any file names, each text format reads the names and labels that were written."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.formats import read_annotation

# Valid in a file system and in a line: no control characters, no slash, no space at either end.
letters = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters='/"')
words = st.text(letters, min_size=1, max_size=12).map(str.strip).filter(lambda word: word not in ("", ".", ".."))
names = st.lists(st.tuples(words, words), min_size=1, max_size=6, unique=True).map(
    lambda found: [f"{folder}/{name}.mp4" for folder, name in found]
)


def line(separator, *cells):
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="").writerow(cells)
    return out.getvalue()


WRITERS = {
    "path-label space": lambda name, i: f"{name} {i}",
    "path-label tab": lambda name, i: f"{name}\t{i}",
    "path-label comma": lambda name, i: f"{name},{i}",
    "path-label semicolon": lambda name, i: f"{name};{i}",
    "path-start-total": lambda name, i: f"{name} {i} -1",
    "index-label-path": lambda name, i: f"{9 - i}\t{i}\t{name}",
    "paths": lambda name, i: name,
}


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=60, deadline=None)
@given(names=names)
def test_lists(kind, names, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "round-trip.txt"
    path.write_text("\n".join(WRITERS[kind](name, i) for i, name in enumerate(names)), encoding="utf-8")
    found = read_annotation(AnnotationFile(path))
    assert found.format == kind.split()[0]
    assert [e.name for e in found.entries] == names
    if kind not in ("paths", "path-start-total"):
        assert [e.label for e in found.entries] == list(range(len(names)))


@settings(max_examples=60, deadline=None)
@given(names=names)
def test_folders_of_frames(names, tmp_path_factory):
    """Names without a suffix, and two numbers."""
    path = tmp_path_factory.getbasetemp() / "frames.txt"
    folders = [name.removesuffix(".mp4") + "x" for name in names]
    path.write_text("\n".join(f"{name} {i + 20} {i}" for i, name in enumerate(folders)), encoding="utf-8")
    found = read_annotation(AnnotationFile(path))
    assert found.format == "path-total-label"
    assert [(e.name, e.end, e.label) for e in found.entries] == [(n, i + 20, i) for i, n in enumerate(folders)]


@settings(max_examples=60, deadline=None)
@given(names=names, labels=st.lists(words, min_size=6, max_size=6, unique=True))
def test_tables_and_json(names, labels, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    labels = [f"class {label}" for label in labels[: len(names)]]
    table, tree = base / "table.csv", base / "tree.json"
    rows = zip(names, labels, strict=True)
    table.write_text("\n".join(["path,label", *(line(",", *row) for row in rows)]), encoding="utf-8")
    tree.write_text(json.dumps([{"path": n, "label": c} for n, c in zip(names, labels, strict=True)]), encoding="utf-8")
    for path in (table, tree):
        found = read_annotation(AnnotationFile(Path(path)))
        assert [(e.name, e.label) for e in found.entries] == list(zip(names, labels, strict=True))
