"""Clips read with a sidecar of motion are those read without it, and cost less decoding."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import mgm.video.clip.clip_motion
from mgm.errors import FileError
from mgm.video import VideoReader, read_clip, read_motion
from mgm.video.motion.cache import build_sidecar, sidecar_path
from tests.errors import raises
from tests.video.clips import encode_moving, remux

pytest.importorskip("zstandard")
POLICIES = ("window_sum", "sampled", "window_max")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("h264.mp4", "libx264", {"g": 9}),
        ("open.mkv", "libx264", {"g": 9, "x264-params": "open-gop=1"}),
        ("made_up_times.avi", "libx264", {"g": 9}),
        ("mpeg4.mp4", "mpeg4", {"bf": 2, "g": 9, "b": "2M"}),
        ("turned.mp4", "libx264", {"g": 9}),
    ],
)
def test_the_same_clips(tmp_path: Path, name: str, codec: str, options: dict[str, str | int]):
    path = tmp_path / name
    encode_moving(tmp_path / f"plain_{name}", frames=30, codec=codec, options=options)
    if name == "turned.mp4":
        remux(tmp_path / f"plain_{name}", path, rotation=90)
    else:
        (tmp_path / f"plain_{name}").rename(path)
    rng = np.random.default_rng(0)
    query = [
        {
            "start": int(rng.integers(30)),
            "frames": int(rng.integers(1, 5)),
            "stride": int(rng.integers(1, 5)),
            "policy": POLICIES[i % 3],
            "camera": "median" if i % 4 == 0 else "none",
        }
        for i in range(12)
    ]
    plain = [(read_clip(path, size=None, cache="ignore", **a), read_motion(path, cache="ignore", **a)) for a in query]
    build_sidecar(path)
    with VideoReader(path) as reader:
        for options_, (clip, alone) in zip(query, plain, strict=True):
            found = reader.read_clip(size=None, **options_)
            np.testing.assert_array_equal(found.frames, clip.frames)
            for stored, streamed in ((found, clip), (reader.read_motion(**options_), alone)):
                assert stored.motion is not None
                assert streamed.motion is not None
                np.testing.assert_array_equal(stored.motion.vectors, streamed.motion.vectors)
                np.testing.assert_array_equal(stored.motion.valid, streamed.motion.valid)
                np.testing.assert_array_equal(stored.pts_seconds, streamed.pts_seconds)
                assert stored.motion.extent == streamed.motion.extent


@pytest.fixture
def vectors_read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every clip whose motion came from the stream."""
    seen: list[object] = []
    real = mgm.video.clip.clip_motion.motion_from_vectors

    def counted(*arguments):
        seen.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(mgm.video.clip.clip_motion, "motion_from_vectors", counted)
    return seen


def test_built_once_used_while_it_fits(tmp_path: Path, ordinary: Path, vectors_read: list[object]):
    path = tmp_path / "clip.mp4"
    shutil.copy(ordinary, path)
    expected = read_clip(path, start=9).motion
    assert len(vectors_read) == 1
    for cache, streamed in (("build", 1), ("use", 1), ("build", 1), ("ignore", 2)):
        found = read_clip(path, start=9, cache=cache).motion
        assert found is not None
        assert expected is not None
        np.testing.assert_array_equal(found.vectors, expected.vectors)
        assert len(vectors_read) == streamed
    assert sidecar_path(path).exists()

    encode_moving(path, frames=20, options={"g": 5})  # another video under the same name
    assert read_clip(path, start=9).frame_indices.max() < 20
    assert len(vectors_read) == 3
    read_clip(path, start=9, cache="build")
    read_clip(path, start=9)
    assert len(vectors_read) == 3


def test_a_folder_of_sidecars(tmp_path: Path, ordinary: Path, vectors_read: list[object]):
    read_clip(ordinary, cache="build", cache_folder=tmp_path / "cache")
    read_clip(ordinary, cache_folder=tmp_path / "cache")
    assert vectors_read == []
    assert not sidecar_path(ordinary).exists()
    read_clip(ordinary)
    assert len(vectors_read) == 1


def test_a_damaged_sidecar_costs_nothing_but_time(tmp_path: Path, ordinary: Path, vectors_read: list[object]):
    path = tmp_path / "clip.mp4"
    shutil.copy(ordinary, path)
    expected = read_clip(path, start=3, frames=4)
    built = build_sidecar(path)
    data = bytearray(built.read_bytes())
    data[60] ^= 255
    built.write_bytes(data)
    with VideoReader(path) as reader:
        for _ in range(2):
            found = reader.read_clip(start=3, frames=4)
            assert found.motion is not None
            assert expected.motion is not None
            np.testing.assert_array_equal(found.motion.vectors, expected.motion.vectors)
    assert len(vectors_read) == 3


def test_a_damaged_sidecar_that_cannot_be_replaced(tmp_path: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "clip.mp4"
    shutil.copy(ordinary, path)
    built = build_sidecar(path)
    data = bytearray(built.read_bytes())
    data[60] ^= 255
    built.write_bytes(data)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "unlink", refuse)
    with raises(FileError, "cannot_write", subject=built):
        read_clip(path, cache="build")


def test_a_video_whose_name_leaves_no_room_for_a_sidecar(tmp_path: Path, ordinary: Path):
    path = tmp_path / f"{'x' * 251}.mp4"
    shutil.copy(ordinary, path)
    assert read_clip(path, frames=2).motion is not None
    with raises(FileError, "cannot_write", subject=sidecar_path(path)):
        read_clip(path, frames=2, cache="build")


def test_the_raw_reading_and_bytes_are_streamed(tmp_path: Path, ordinary: Path, vectors_read: list[object]):
    path = tmp_path / "clip.mp4"
    shutil.copy(ordinary, path)
    build_sidecar(path)
    read_clip(path, reading="raw")
    read_clip(path.read_bytes(), cache="build")
    assert len(vectors_read) == 2
