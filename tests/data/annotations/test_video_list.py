"""Entries in columns are those that were put into them."""

import pytest

from mgm.data.annotations.video_list import ListedVideo, ListedVideos
from mgm.files.path_column import PathColumn

ENTRIES = [
    ListedVideo("a/x.mp4", 3, 0, 7, "train", 1),
    ListedVideo("a/ä.mp4", "run", 2, None, None, 3),
    ListedVideo("", None, 0, None, "val", 10**7),
]


@pytest.mark.parametrize("entries", [[], ENTRIES, ENTRIES * 200, [ListedVideo(entry.name) for entry in ENTRIES]])
def test_entries_return_as_they_were(entries):
    columns = ListedVideos.of(iter(entries))
    assert list(columns) == entries
    assert [columns[row] for row in range(-len(entries), len(entries))] == entries * 2
    assert list(columns[1::2]) == entries[1::2]
    assert list(columns.take([row for row in range(len(entries)) if row % 3])) == [
        e for n, e in enumerate(entries) if n % 3
    ]
    assert ListedVideos.of(columns) is columns
    with pytest.raises(IndexError):
        columns[len(entries)]


def test_a_column_of_defaults_takes_no_memory():
    columns = ListedVideos.of(ListedVideo(entry.name) for entry in ENTRIES)
    assert columns.labels is columns.starts is columns.ends is columns.splits is columns.lines is None
    assert list(ListedVideos(PathColumn(["a"]), labels=[2])) == [ListedVideo("a", 2)]
