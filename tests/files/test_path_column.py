"""Columns of paths return what was put into them."""

import pickle
import re

import numpy as np
import pytest

from mgm.files.path_column import PathColumn

PATHS = [
    "/videos/run/a.mp4",
    "/videos/run/b.mp4",
    "c.mp4",
    "",
    "/videos/run/",
    "s3://bucket/x y.mp4",
    "set/shard-000001.tar#offset=512&size=9&name=run/ä.mp4&info=4x8x8x1x1",
    "latin\udce9.mp4",  # a byte that is not UTF-8, as Python's paths have it
    "lone\ud800/surrogate\ud800.mp4",
    "/videos/run/a.mp4",
]


def test_paths_return_as_they_were():
    column = PathColumn(PATHS)
    assert list(column) == PATHS
    assert [column[number] for number in range(-len(PATHS), len(PATHS))] == PATHS * 2
    assert column[2:5] == PATHS[2:5]
    assert list(pickle.loads(pickle.dumps(column))) == PATHS
    with pytest.raises(IndexError):
        column[len(PATHS)]


def test_a_part_shares_its_bytes():
    column = PathColumn(PATHS)
    part = column.take(np.array([6, 0])).take(np.array([1, 0, 0]))
    assert list(part) == [PATHS[0], PATHS[6], PATHS[6]]
    assert part[-1] == PATHS[6]
    with pytest.raises(ValueError, match="cannot grow"):
        part.append("x")


def test_a_column_returns_from_its_arrays():
    column = PathColumn(PATHS)
    fixed = PathColumn.of_arrays(column.arrays())
    assert list(fixed) == [fixed[number] for number in range(len(PATHS))] == PATHS
    part = PathColumn.of_arrays(column.take(np.array([6, 0])).arrays())
    assert list(part) == [PATHS[6], PATHS[0]]
    assert list(PathColumn.of_arrays(fixed.arrays())) == PATHS
    assert list(PathColumn.of_arrays(PathColumn().arrays())) == []
    assert list(fixed.take(np.array([1])).joined(fixed)) == [PATHS[1], *PATHS]
    assert list(fixed.joined(column)) == PATHS * 2
    with pytest.raises(ValueError, match="cannot grow"):
        fixed.append("x")


def columns():
    """Columns of the same paths: one that can grow, one of arrays, and a part of each; with and without names beyond ASCII."""
    plain = [path for path in PATHS if path.isascii()]
    for paths in (PATHS, plain, [], plain * 3000):
        column = PathColumn(paths)
        for whole in (column, PathColumn.of_arrays(column.arrays())):
            yield paths, whole
            rows = np.arange(len(paths))[::-2]
            yield [paths[row] for row in rows], whole.take(rows)


def folder(path):
    return path.rpartition("/")[0]


def test_what_is_done_for_each_folder_equals_what_is_done_for_each_path():
    for paths, column in columns():
        assert list(column) == paths
        assert ["".join(parts) for parts in column.parts()] == paths
        assert all(start.endswith(("/", "#")) or not start for start, _ in column.parts())
        assert list(column.by_folder(folder)) == list(map(folder, paths))
        for wanted in ([], PATHS[:1], PATHS[::2], ["elsewhere", "/videos/run"]):
            assert column.among(wanted).tolist() == [path in wanted for path in paths]


def test_moved_paths():
    for paths, column in columns():
        moved = np.array(
            [number % 3 == 0 and path.startswith("/videos/run/") for number, path in enumerate(paths)], bool
        )
        expected = [f"ä/{path[12:]}" if change else path for path, change in zip(paths, moved, strict=True)]
        assert list(column.moved({"/videos/run/": "ä/"}, moved)) == expected
        assert list(column) == paths


def test_columns_of_different_bytes_are_joined():
    for first, one in columns():
        for second, other in columns():
            assert list(one.joined(other)) == [*first, *second]


def test_a_pattern_in_the_bytes_of_paths():
    column = PathColumn(PATHS)
    assert column.may_match(re.compile(rb"://"))
    assert column.may_match(re.compile("ä".encode()))
    assert not column.may_match(re.compile(rb"zip::"))
    assert not PathColumn().may_match(re.compile(rb"."))


def test_repeats_are_left_out():
    column = PathColumn(PATHS)
    assert list(column.without_repeats()) == PATHS[:-1]
    once = PathColumn(PATHS[:-1])
    assert once.without_repeats() is once


def test_columns_are_joined():
    column = PathColumn(PATHS)
    part = column.take(np.array([1]))
    assert list(part.joined(column)) == [PATHS[1], *PATHS]  # of one store
    assert list(part.joined(PathColumn(["x/y"]))) == [PATHS[1], "x/y"]


def test_videos_of_a_shard_share_the_name_of_its_file():
    members = [f"/set/shard-000001.tar#offset={n}&size=9&name=class/{n}.mp4&info=4x8x8x1x1" for n in range(3)]
    assert PathColumn(members)._store.folders == ["/set/shard-000001.tar#"]
