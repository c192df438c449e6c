"""Files that are not an intact video raise an error with a reason."""

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from mgm.errors import VideoError
from mgm.video import iter_motion_vectors, read_clip
from mgm.video.container.metadata import read_video_info
from tests.errors import raises
from tests.video.broken import REASONS, make_broken
from tests.video.clips import encode_moving, remux

READERS: dict[str, Callable[[Path], object]] = {
    "clip": lambda path: read_clip(path, start=4, frames=8, stride=2, size=32),
    "frames only": lambda path: read_clip(path, frames=None, stride=1, motion=None, size=32),
    "vectors": lambda path: list(iter_motion_vectors(path)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("broken")
    make_broken(root)
    return root


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", REASONS)
def test_the_reason_of_a_broken_file(folder: Path, name: str, reader: str):
    # FFmpeg's own words are part of the errors of damaged and unknown files.
    message = None if name in ("flipped.mp4", "noise.mp4", "cut_between.mp4") else f"clip-{name.removesuffix('.mp4')}"
    with raises(VideoError, REASONS[name], subject=folder / name, message=message) as error:
        READERS[reader](folder / name)
    assert "\n" not in str(error.value)
    assert (error.value.at is not None) == (name == "flipped.mp4")


@pytest.mark.parametrize("name", [name for name in REASONS if name != "flipped.mp4"])
def test_metadata_of_a_broken_file(folder: Path, name: str):
    with raises(VideoError, REASONS[name], subject=folder / name):
        read_video_info(folder / name)


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


def test_motion_of_a_codec_without_vectors(tmp_path: Path):
    path = encode_moving(tmp_path / "clip.webm", frames=3, codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    with raises(VideoError, "no_vectors", subject=path, message="clip-no-vectors"):
        read_clip(path)
    assert len(read_clip(path, motion=None).frames) == 16


def test_a_clip_before_the_cut_is_read(folder: Path):
    """What is there is there: only a clip that reaches the damage is refused."""
    clip = read_clip(folder / "cut_within.mp4", frames=2, stride=2, size=32)
    assert clip.frame_indices.tolist() == [0, 2]


def test_most_flipped_streams_are_found(tmp_path: Path, ordinary: Path):
    """The decoder paints over damage unless it is told not to. A flip within a valid code word cannot be seen."""
    data = ordinary.read_bytes()
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(10):
        flipped = bytearray(data)
        for position in rng.integers(data.index(b"mdat") + 1500, data.index(b"moov") - 8, 8):
            flipped[position] ^= 1 << int(rng.integers(8))
        path = tmp_path / "flipped.mp4"
        path.write_bytes(flipped)
        try:
            read_clip(path, frames=None, stride=1, size=32)
        except VideoError:
            found += 1
    assert found >= 8


def test_hidden_frames_of_an_edit_list_are_not_a_truncation(tmp_path: Path, ordinary: Path):
    """A cut without re-encoding starts at a key frame and hides what comes before the cut."""
    path = tmp_path / "edited.mp4"
    with av.open(str(ordinary)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        first = None
        for packet in given.demux(video=0):
            if packet.size:
                first = first if first is not None else packet.dts
                shift = int(0.12 / float(packet.time_base))
                packet.dts, packet.pts = packet.dts - shift, packet.pts - shift
                packet.stream = stream
                out.mux(packet)
    whole = list(iter_motion_vectors(path))
    clip = read_clip(path, frames=None, stride=1, size=32)
    assert 0 < len(whole) == len(clip.frames) <= 24
    expected = read_clip(ordinary, start=24 - len(whole), frames=None, stride=1, size=32)
    np.testing.assert_array_equal(clip.frames, expected.frames)
    assert read_video_info(path).frames == len(whole)
