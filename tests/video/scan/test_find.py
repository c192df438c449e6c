"""Videos below folders."""

import os
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.video.scan.find import find_videos
from tests.errors import raises


def test_links_to_folders_are_followed_once(linked: Path):
    found = find_videos([linked])
    assert [str(p.relative_to(linked)) for p in found] == [
        "b/1.mp4",  # not again/1.mp4, link/back/1.mp4, b/up/b/1.mp4
        "dangling.mp4",
        "link/2.mp4",
        "link/inner/3.mp4",
    ]
    assert find_videos([linked / "again"])[0] == linked / "again" / "1.mp4"


def test_a_path_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, **options: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with raises(VideoError, "unreadable", subject=tmp_path / "a.mp4"):
        find_videos([tmp_path / "a.mp4"])
