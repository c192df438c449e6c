"""Formats are recognised by content; lines that do not fit are errors."""

from pathlib import Path

import pytest

from mgm.data.annotations import ANNOTATION_FORMATS, load_set, resolve_set
from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import raises


def test_every_format_has_an_example_that_it_matches():
    """Each example matches its own format only. Those of JSON and tables are parts of a file."""
    for found in ANNOTATION_FORMATS:
        if found.name in ("kinetics", "templates", "table", "manifest", "class-split"):
            continue
        content = AnnotationFile.__new__(AnnotationFile)
        content.path, content.kind, content.tree = Path("list.txt"), "text", None
        content.lines = [(1, found.example.replace("<tab>", "\t"))]
        assert [other.name for other in ANNOTATION_FORMATS if other.matches(content)] == [found.name]


@pytest.mark.parametrize(
    ("key", "lines"),
    [
        ("no-label", ["a.mp4 0", "b.mp4", "c.mp4 1"]),
        ("word-label", ["a.mp4 0", "b.mp4 run", "c.mp4 1"]),
        ("fraction-label", ["a.mp4 0", "b.mp4 1.5", "c.mp4 1"]),
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
        ("unknown-header", ["name,cls", "a.mp4,0", "b.mp4,1"]),
        ("no-class", ["a.mp4,run", "b.mp4,hop", "c.mp4"]),
        ("no-format", ["lorem ipsum", "dolor sit amet"]),
    ],
)
def test_lines_that_do_not_fit(tmp_path, key, lines):
    """The error contains the number of the line and its content."""
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "list.txt", *lines)
    with raises(DataError, "malformed", subject=path, message=f"annotations-line-{key}") as caught:
        load_set(path)
    assert "\n" not in str(caught.value)


def test_ambiguous_content_lists_the_candidates(tmp_path):
    """Two numbers after a video may be its part, or its length and its label."""
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
