from pathlib import Path

import pytest

from mgm.video import read_clip
from mgm.video.container.metadata import VideoInfo, read_video_info
from tests.video.clips import encode_moving, remux


def test_metadata_of_ordinary_and_rotated_videos(tmp_path: Path, ordinary: Path):
    assert read_video_info(ordinary) == VideoInfo(frames=24, height=64, width=96, motion=True)
    turned = remux(ordinary, tmp_path / "turned.mp4", rotation=90)
    assert read_video_info(turned) == VideoInfo(frames=24, height=96, width=64, motion=True)


@pytest.mark.parametrize(
    ("name", "codec", "motion"), [("a.webm", "libvpx-vp9", False), ("a.avi", "mpeg4", True), ("a.mkv", "libx264", True)]
)
def test_containers_without_an_index_are_counted(tmp_path: Path, name: str, codec: str, motion: bool):
    path = encode_moving(tmp_path / name, frames=7, codec=codec)
    assert read_video_info(path) == VideoInfo(frames=7, height=64, width=96, motion=motion)


def test_a_single_frame_that_only_a_flush_brings_out(tmp_path: Path):
    assert read_video_info(encode_moving(tmp_path / "one.mp4", frames=1)).frames == 1


@pytest.mark.parametrize("stride", ["0", "-4", "1000000", "9" * 30, "9" * 5000, "\u0664", "four", ""])
def test_a_comment_with_a_stride_that_no_file_is_made_for(tmp_path: Path, ordinary: Path, stride: str):
    """Anybody can write it. A stride of 0 would divide by zero where clips are drawn, a long one start all of them at frame 0."""
    path = remux(ordinary, tmp_path / "a.mp4", comment=f"mgm profile=strided stride={stride}")
    assert read_video_info(path).step == 1
    found, expected = (read_clip(one, frames=4, stride=4, size=32) for one in (path, ordinary))
    assert (found.frames == expected.frames).all()
    assert found.motion is not None
    assert expected.motion is not None
    assert (found.motion.vectors == expected.motion.vectors).all()
