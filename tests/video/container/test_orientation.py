"""Display matrices: every part of the package shows the picture that a player shows."""

from pathlib import Path

import av
import numpy as np
import pytest

from mgm.errors import VideoError
from mgm.show.overlay import upright_pictures
from mgm.video import VideoReader, read_clip, read_motion
from mgm.video.clip.whole_video import motion_chunks
from mgm.video.container.metadata import read_video_info
from mgm.video.container.orientation import Orientation
from mgm.video.scan.folder import scan_videos
from mgm.video.transcode.encode import transcode_video
from tests.errors import raises
from tests.video.clips import (
    ORIENTATIONS,
    VELOCITY,
    decode_whole,
    display_matrix,
    displayed,
    displayed_vector,
    remux,
    tag_h264,
)
from tests.video.transcode.pictures import KEEP


def frames_of(path: Path):
    return read_clip(path, frames=None, stride=1, size=None, motion=None).frames


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_readers_agree_with_the_matrix(tmp_path: Path, ordinary: Path, orientation: Orientation):
    matrix = display_matrix(orientation)
    path = remux(ordinary, tmp_path / "turned.mp4", matrix=matrix)
    with av.open(str(ordinary)) as container:
        coded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    expected = np.stack([displayed(frame, matrix) for frame in coded])
    assert np.abs(frames_of(path) - expected.astype(int)).mean() < 2  # PyAV converts colours less exactly

    info = read_video_info(path)
    assert (info.height, info.width) == expected.shape[1:3]
    for motion in ("codec", "difference"):
        clip = read_clip(path, frames=8, stride=1, size=None, motion=motion)
        assert clip.motion is not None
        assert clip.motion.extent == expected.shape[1:3]
    whole = read_motion(path).motion
    found = np.median(whole.vectors, axis=(0, 1, 2))
    np.testing.assert_allclose(found, displayed_vector(VELOCITY, matrix), atol=0.25)
    np.testing.assert_array_equal(np.concatenate([c.motion.vectors for c in motion_chunks(path)]), whole.vectors)
    height, width = next(upright_pictures(path)).shape[:2]
    assert height / width == expected.shape[1] / expected.shape[2]

    made = transcode_video(path, tmp_path / "out.mp4", KEEP)
    assert np.abs(frames_of(tmp_path / "out.mp4") - expected.astype(int)).mean() < 4
    assert (made.height, made.width) == expected.shape[1:3]


@pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, -1, 1, 0)), (180, (-1, 0, 0, -1)), (-90, (0, 1, -1, 0))])
def test_a_turn_in_degrees_is_counter_clockwise(tmp_path: Path, ordinary: Path, degrees: int, matrix):
    a, b, c, d = (number << 16 for number in matrix)
    path = remux(ordinary, tmp_path / "turned.mp4", matrix=[a, b, 0, c, d, 0, 0, 0, 1 << 30])
    assert next(iter(scan_videos(path).records)).rotation == degrees
    np.testing.assert_array_equal(frames_of(path), np.rot90(decode_whole(ordinary), degrees // 90, axes=(1, 2)))


def rotation_matrix(degrees: float) -> list[int]:
    cos, sin = (round(f(np.deg2rad(degrees)) * 65536) for f in (np.cos, np.sin))
    return [cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("matrix", [[0] * 8 + [1 << 30], rotation_matrix(0.5), rotation_matrix(359.5)])
def test_no_matrix_and_a_hand_that_shakes_turn_nothing(tmp_path: Path, ordinary: Path, matrix: list[int]):
    path = remux(ordinary, tmp_path / "turned.mp4", matrix=matrix)
    np.testing.assert_array_equal(frames_of(path), decode_whole(ordinary))


@pytest.mark.parametrize(
    "matrix", [rotation_matrix(45), rotation_matrix(170), [65536, 30000, 0, 0, 65536, 0, 0, 0, 1 << 30]]
)
def test_other_angles_are_errors(tmp_path: Path, ordinary: Path, matrix: list[int]):
    path = remux(ordinary, tmp_path / "turned.mp4", matrix=matrix)
    for read in (
        frames_of,
        read_motion,
        read_video_info,
        lambda path: transcode_video(path, tmp_path / "out.mp4", KEEP),
    ):
        with raises(VideoError, "unsupported", subject=path):
            read(path)
    record = next(iter(scan_videos(path).records))
    assert record.status != "ok"
    assert "display matrix" in (record.problem or "")


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize(("field", "upright"), [("rotate=90", (0, -1, 1, 0)), ("flip=horizontal", (-1, 0, 0, 1))])
def test_an_orientation_within_the_stream_holds_for_all_pictures(
    tmp_path: Path, ordinary: Path, suffix: str, field: str, upright
):
    """Decoders report it for a few pictures only."""
    path = tag_h264(ordinary, tmp_path / f"turned.{suffix}", display_orientation=f"insert:{field}")
    a, b, c, d = (number << 16 for number in upright)
    expected = [displayed(frame, [a, b, 0, c, d, 0, 0, 0, 1 << 30]) for frame in decode_whole(ordinary)]
    for start in (0, 3, 8, 13, 23):
        clip = read_clip(path, start=start, frames=1, size=None)
        np.testing.assert_array_equal(clip.frames[0], expected[start], err_msg=str(start))
    with VideoReader(path) as reader:
        for motion in (None, "codec", None):  # each opens the file again, for another decoder
            clip = reader.read_clip(start=23, frames=1, size=None, motion=motion)
            np.testing.assert_array_equal(clip.frames[0], expected[23], err_msg=str(motion))
    transcode_video(path, tmp_path / "out.mp4", KEEP)
    assert np.abs(frames_of(tmp_path / "out.mp4") - np.stack(expected).astype(int)).mean() < 4
