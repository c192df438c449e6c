"""Files are entered at the keyframe before a clip."""

import io
from pathlib import Path

from mgm.video import VideoReader
from mgm.video.container.clip_packets import demux_window
from mgm.video.container.keyframes import KeyframeIndex
from mgm.video.container.shortcuts import Shortcuts
from mgm.video.container.stream import open_video
from tests.video.clips import encode_moving


def test_a_long_file_is_entered_at_the_key_frame(tmp_path: Path):
    path = encode_moving(tmp_path / "long.mp4", frames=200, size=(32, 48), options={"g": 10, "preset": "ultrafast"})
    read: list[int] = []

    class Counting(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            read.append(count)
            return count

        def read(self, size=-1):
            data = super().read(size)
            read.append(len(data))
            return data

    with Counting(path) as file, VideoReader(file) as reader:
        reader.read_clip(start=195, frames=1, size=None)
        assert reader.read_clip(start=5, frames=1, size=None).frame_indices.tolist() == [5]
    assert sum(read) < 3 * path.stat().st_size


def test_the_index_of_an_mp4_lists_its_keyframes(tmp_path: Path):
    path = encode_moving(tmp_path / "a.mp4", frames=30, options={"g": 10, "sc_threshold": 0})
    with open_video(path, vectors=False) as video:
        index = KeyframeIndex.of(video)
        assert [index.before_frame(video, number) for number in (0, 9, 10, 29)] == [0, 0, 1, 2]
        assert [keyframe.frames for keyframe in index.keyframes] == [0, 10, 20]
        reached, demuxed = index.seek(video, 1)
        assert reached == index.keyframes[1]
        assert next(demuxed).dts == reached.time


def test_other_containers_have_an_empty_index_until_packets_pass(tmp_path: Path):
    path = encode_moving(tmp_path / "a.mkv", frames=30, options={"g": 10, "sc_threshold": 0})
    with open_video(path, vectors=False) as video:
        index = KeyframeIndex.of(video)
        assert index.before_frame(video, 29) == -1
        demux_window(video, index, 25, 25, Shortcuts())
        assert [keyframe.frames for keyframe in index.keyframes] == [0, 10, 20]
