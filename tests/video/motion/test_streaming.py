"""Streamed fields are those of the clip reader."""

from pathlib import Path

import numpy as np
import pytest

from mgm.video import read_motion
from mgm.video.container.stream import open_video
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion
from mgm.video.motion.velocity import smoothed_support
from tests.video.clips import encode_moving, remux


def streamed(path: Path, reading: str = "clean") -> list[FrameMotion]:
    with open_video(path, vectors=True, skip_loop_filter=True) as video:
        return list(iter_frame_motion(video, reading=reading))


def check_against_the_clip_reader(path: Path) -> None:
    for reading in ("clean", "references", "raw"):
        fields = streamed(path, reading)
        clip = read_motion(path, reading=reading)
        assert [f.index for f in fields] == clip.frame_indices.tolist()
        np.testing.assert_array_equal([f.pts_seconds for f in fields], clip.pts_seconds)
        measured = np.stack([f.field.valid for f in fields])
        vectors = np.stack([f.field.vectors for f in fields])
        np.testing.assert_array_equal(measured, clip.motion.valid)
        known = measured if reading == "raw" else smoothed_support(measured)
        np.testing.assert_array_equal(vectors[known], clip.motion.vectors[known])
        assert not vectors[~known].any()


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("h264.mp4", "libx264", {"g": 9, "refs": 4, "bf": 3}),
        ("interlaced.mov", "libx264", {"g": 12, "x264-params": "tff=1"}),
        ("made_up_times.avi", "libx264", {"g": 9}),
        ("raw.h264", "libx264", {"g": 9}),
        ("mpeg4.mp4", "mpeg4", {"bf": 2, "g": 9, "b": "2M"}),
        ("mpeg2.mpg", "mpeg2video", {"bf": 2, "g": 9, "b": "2M"}),
    ],
)
def test_every_kind_of_stream(tmp_path: Path, name: str, codec: str, options: dict[str, str | int]):
    path = tmp_path / name
    if path.suffix == ".h264":
        remux(encode_moving(tmp_path / "source.mp4", frames=30, codec=codec, options=options), path)
    else:
        encode_moving(path, frames=30, codec=codec, options=options)
    check_against_the_clip_reader(path)


@pytest.mark.real
def test_real_streams(shared_data: Path):
    for path in sorted((shared_data / "codec_matrix").iterdir()):
        if not path.name.startswith(("av1", "hevc", "mjpeg", "vp8", "vp9")):
            check_against_the_clip_reader(path)


def test_a_codec_without_vectors_has_frames_without_motion(tmp_path: Path):
    path = encode_moving(tmp_path / "a.webm", frames=5, codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    fields = streamed(path)
    assert [f.index for f in fields] == list(range(5))
    assert [f.is_key for f in fields] == [True, False, False, False, False]
    assert not any(f.field.valid.any() for f in fields)


def test_frames_leave_the_queue_early(tmp_path: Path):
    """An hour of video takes constant memory."""
    path = encode_moving(tmp_path / "a.mp4", frames=120, size=(32, 48), options={"preset": "ultrafast", "bf": 3})
    with open_video(path, vectors=True) as video:
        fields = iter_frame_motion(video)
        next(fields)
        demuxed = video.container.demux(video.stream)
        assert sum(1 for packet in demuxed if packet.size) > 100
