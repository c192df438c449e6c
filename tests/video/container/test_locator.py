"""Videos are found as files, URLs, file objects and bytes."""

import io
import os
from pathlib import Path

import numpy as np
import pytest

from mgm.errors import Reason, VideoError
from mgm.video import VideoReader, read_clip
from mgm.video.container.metadata import read_video_info
from mgm.video.scan.folder import scan_videos
from tests.errors import raises
from tests.video.clips import remux


def test_paths_that_are_not_a_regular_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "round.mp4").symlink_to(tmp_path / "round.mp4")
    reasons = {"pipe.mp4": "not_video", "round.mp4": "unreadable", "x" * 300 + ".mp4": "unreadable"}
    for name, reason in reasons.items():
        for read in (read_clip, read_video_info):
            with raises(VideoError, reason, subject=tmp_path / name):
                read(tmp_path / name)
    statuses = {Path(record.path).name: record.status for record in scan_videos(tmp_path)}
    assert statuses == {"pipe.mp4": "not_video", "round.mp4": "unreadable"}


@pytest.mark.parametrize("name", ["12:30.mp4", "ab::c.mp4", "100%_%03d.mp4"])
def test_names_that_look_like_something_else(
    tmp_path: Path, ordinary: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    remux(ordinary, tmp_path / "clip.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_clip(name, frames=2, size=48).path == name


def test_folders_missing_files_and_files_without_permission(tmp_path: Path, ordinary: Path):
    with raises(VideoError, "not_video", subject=tmp_path):
        read_video_info(tmp_path)
    with raises(VideoError, "not_found", subject=tmp_path / "missing.mp4", message="clip-no-such-file"):
        read_video_info(tmp_path / "missing.mp4")
    if os.geteuid():
        locked = remux(ordinary, tmp_path / "locked.mp4")
        locked.chmod(0)
        with raises(VideoError, "unreadable", subject=locked):
            read_video_info(locked)


SIDE = 48


def test_bytes_files_and_urls_give_the_same_clip(ordinary: Path):
    import fsspec

    expected = read_clip(ordinary, start=9, size=SIDE)
    memory = fsspec.filesystem("memory")
    memory.pipe("/clips/a.mp4", ordinary.read_bytes())
    with ordinary.open("rb") as file:
        file.seek(100)
        for place, name in (
            (str(ordinary), str(ordinary)),
            (ordinary.read_bytes(), rf"<{ordinary.stat().st_size} bytes>"),
            (file, str(ordinary)),
            (io.BytesIO(ordinary.read_bytes()), "<BytesIO>"),
            ("memory://clips/a.mp4", "memory://clips/a.mp4"),
        ):
            with VideoReader(place) as reader:
                for _ in range(2):
                    clip = reader.read_clip(start=9, size=SIDE)
                    np.testing.assert_array_equal(clip.frames, expected.frames)
                    assert clip.path == name
        assert not file.closed


@pytest.mark.parametrize(
    ("locator", "subject", "reason"),
    [
        (b"", "<0 bytes>", "empty"),
        (b"no video", "<8 bytes>", "not_video"),
        (io.BytesIO(b""), "<BytesIO>", "empty"),
        (io.BytesIO(b"\x00\x01" * 500), "<BytesIO>", "not_video"),
        ("memory://nothing/here.mp4", "memory://nothing/here.mp4", "not_found"),
        ("nosuch://a/b.mp4", "nosuch://a/b.mp4", "unsupported"),
        (42, "<int>", "invalid_type"),
    ],
)
def test_locators_without_a_video(locator: object, subject: str, reason: Reason):
    with raises(VideoError, reason, subject=subject):
        read_clip(locator)


def test_a_file_object_that_cannot_seek():
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as file, raises(VideoError, "unsupported"):
        read_clip(file)
