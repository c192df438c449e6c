"""Items of one file are found, however their paths are spelt."""

import numpy as np
import pytest

from mgm.data.annotations.same_file import RealPaths, conflicting_labels
from mgm.data.items import VideoItems
from mgm.files.path_column import PathColumn
from tests.data.annotations.files import touch

PATHS = [
    *(
        "a/x.mp4",
        "./a/x.mp4",
        "a//x.mp4",
        "a/../a/x.mp4",
        "b/x.mp4",
        "a/link.mp4",
        "a/y.mp4",
        "x.mp4",
        "",
        ".",
        "..",
        "a/",
        "a/..",
    ),
    *(
        "a#/x.mp4",
        "a#/../a/x.mp4",
        "#",
        "a/nul\0.mp4",
        "nul\0/x.mp4",
        "missing/x.mp4",
        "s3://a/x.mp4",
        "ü/latin\udce9.mp4",
    ),
    "set/shard-000001.tar#offset=512&size=9&name=a/../x.mp4&info=4x8x8x1x1",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    touch(tmp_path, "a/x.mp4", "a/y.mp4", "a#/x.mp4", "x.mp4")
    (tmp_path / "a" / "link.mp4").symlink_to("x.mp4")
    (tmp_path / "b").symlink_to("a")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder")
def test_many_paths_are_resolved_as_each_of_them():
    alone = RealPaths()
    assert list(RealPaths().each(PathColumn(PATHS * 2))) == [alone[path] for path in PATHS * 2]
    real = [alone[path] for path in PATHS[:7]]
    assert len(set(real[:6])) == 1
    assert real[6] != real[0]


@pytest.mark.usefixtures("folder")
def test_files_with_several_labels():
    for order in (slice(None), slice(None, None, -1)):
        paths = PATHS[order]
        items = VideoItems(PathColumn(paths), range(len(paths)))
        by_real: dict[str, list[int]] = {}
        for label, path in enumerate(paths):
            by_real.setdefault(RealPaths()[path], []).append(label)
        expected = {paths[labels[0]]: tuple(labels) for labels in by_real.values() if len(labels) > 1}
        assert conflicting_labels(items, RealPaths()) == expected
        assert conflicting_labels(items.take(np.arange(len(items))), RealPaths()) == expected
        assert conflicting_labels(items.with_labels([0] * len(items)), RealPaths()) == {}
