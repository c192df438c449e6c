"""Streams in which a packet is not a frame: clips are those of a plain decode all the same, and nothing calls them damaged."""

import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from mgm.errors import VideoError
from mgm.video import VideoReader, iter_motion_vectors, read_clip
from mgm.video.container.metadata import read_video_info
from mgm.video.scan.scan import scan
from tests.errors import raises
from tests.video.clips import decode_whole, encode_moving, remux
from tests.video.fields_stream import field_pictures


def check(path: Path, *, draws: int = 12, motion: str | None = None) -> None:
    """Random clips, each by an opening of its own and by one for all, against the frames that a plain decode gives."""
    whole = decode_whole(path)
    assert read_video_info(path).frames == len(whole) == sum(1 for _ in iter_motion_vectors(path))
    (record,) = scan(path)
    assert record.readable
    assert record.frames == len(whole)
    rng = np.random.default_rng(0)
    with VideoReader(path) as reader:
        for start in [0, len(whole) - 1, *rng.integers(len(whole), size=draws).tolist()]:
            asked = {"start": start, "frames": 2, "stride": int(rng.integers(1, 4)), "size": None, "motion": motion}
            for clip in (reader.read_clip(**asked), read_clip(path, **asked)):
                assert clip.frame_indices[0] == start
                np.testing.assert_array_equal(clip.frames, whole[clip.frame_indices], err_msg=str(asked))


def copy_packets(
    source: Path, target: Path, change: Callable[[list[av.Packet]], Iterable[av.Packet]], **options: str
) -> Path:
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in change([p for p in given.demux(video=0) if p.size]):
            packet.stream = stream
            out.mux(packet)
    return target


def from_second_key(packets: list[av.Packet]) -> list[av.Packet]:
    return packets[[i for i, p in enumerate(packets) if p.is_keyframe][1] :]


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"g": 8, "x264-params": "open-gop=1"}),
        ("libx265", {"g": 8, "preset": "ultrafast", "x265-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:log-level=none"}),
        ("mpeg2video", {"g": 8, "bf": 2, "b": "2M"}),
    ],
)  # fmt: skip
def test_cut_at_the_key_picture_of_an_open_group(
    tmp_path: Path, codec: str, options: dict[str, str | int], suffix: str
):
    """As `ffmpeg -ss ... -c copy` and broadcasts leave it: the first pictures refer to what is gone, and no player shows them."""
    source = encode_moving(tmp_path / f"source.{suffix}", frames=40, codec=codec, options=options)
    cut = copy_packets(source, tmp_path / f"cut.{suffix}", from_second_key)
    check(cut, motion="auto")


def test_cut_in_the_middle_of_a_group(tmp_path: Path):
    data = encode_moving(tmp_path / "whole.ts", frames=48, options={"g": 12}).read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[len(data) // 188 // 4 * 188 :])
    assert 12 < len(decode_whole(cut)) < 48
    check(cut, motion="codec")


@pytest.mark.parametrize("suffix", ["mpg", "ts"])
def test_a_clock_that_starts_again(tmp_path: Path, suffix: str):
    """Two recordings in one file, as VOBs are put together."""
    options = {"g": 8, "bf": 2, "b": "2M"}
    one = encode_moving(tmp_path / f"one.{suffix}", frames=30, codec="mpeg2video", options=options)
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(one.read_bytes() * 2)
    check(both)


def test_two_frames_of_one_time(tmp_path: Path):
    def doubled(packets: list[av.Packet]) -> Iterable[av.Packet]:
        for number, packet in enumerate(packets):
            if number % 5 == 4:
                packet.pts = packet.dts = packets[number - 1].pts
            yield packet

    source = encode_moving(tmp_path / "source.mkv", frames=24, options={"g": 8, "bf": 0})
    check(copy_packets(source, tmp_path / "doubled.mkv", doubled), motion="codec")


@pytest.mark.parametrize("name", ["raw.h264", "apart.mkv", "apart.ts", "apart.mp4", "together.mkv", "together.mp4"])
def test_fields_as_pictures_of_their_own(tmp_path: Path, name: str):
    """PAFF, as interlaced broadcasts have it: two packets a frame in some files, one in others."""
    pictures = field_pictures(60, gop=8)
    raw = tmp_path / "raw.h264"
    raw.write_bytes(b"".join(first + second for first, second, _ in pictures))
    path = tmp_path / name
    if name != "raw.h264":
        with av.open(str(raw)) as given, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(given.streams.video[0])
            for number, (first, second, key) in enumerate(pictures):
                parts = [first + second] if name.startswith("together") else [first, second]
                for field, data in enumerate(parts):
                    packet = av.Packet(data)
                    packet.time_base = Fraction(1, 50)
                    packet.pts = packet.dts = 2 * number + field
                    packet.is_keyframe = key and not field
                    packet.stream = stream
                    out.mux(packet)
    assert len(decode_whole(path)) >= 59
    check(path)


def test_an_edit_list_that_takes_packets_out_of_the_index(tmp_path: Path):
    path = encode_moving(tmp_path / "edited.mp4", frames=24, options={"g": 6, "bf": 0})
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # the duration of its first entry, in milliseconds
    data[at : at + 4] = (520).to_bytes(4, "big")
    path.write_bytes(data)
    assert len(decode_whole(path)) == 13
    check(path, motion="codec")


@pytest.mark.parametrize("name", ["12:30.mp4", "ab::c.mp4", "100%_%03d.mp4"])
def test_names_that_look_like_something_else(
    tmp_path: Path, ordinary: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    remux(ordinary, tmp_path / "clip.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_clip(name, frames=2, size=48).path == name


def with_cover(path: Path, *, video: Path | None) -> Path:
    """A cover picture, then a second of sound, or the pictures of a video."""
    cover = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with av.open(str(path), "w") as out:
        picture = out.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
        picture.disposition = Disposition.attached_pic
        if video is None:
            sound = out.add_stream("aac", rate=44100)
        else:
            with av.open(str(video)) as given:
                stream = out.add_stream_from_template(given.streams.video[0])
                packets = [packet for packet in given.demux(video=0) if packet.size]
        out.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format="rgb24").reformat(format="yuvj420p")))
        out.mux(picture.encode(None))
        if video is None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 44100
            out.mux(sound.encode(silence))
            out.mux(sound.encode(None))
        else:
            for packet in packets:
                packet.stream = stream
                out.mux(packet)
    return path


def test_a_cover_picture_is_not_a_video(tmp_path: Path, ordinary: Path):
    (record,) = scan(with_cover(tmp_path / "song.mp4", video=None))
    assert record.status == "no_video_stream"
    path = with_cover(tmp_path / "covered.mp4", video=ordinary)
    np.testing.assert_array_equal(read_clip(path).frames, read_clip(ordinary).frames)
    assert read_video_info(path) == read_video_info(ordinary)


def test_of_several_video_streams_the_first_is_read(tmp_path: Path, ordinary: Path):
    other = encode_moving(tmp_path / "other.mp4", size=(32, 48), frames=30)
    with av.open(str(tmp_path / "both.mkv"), "w") as out, av.open(str(ordinary)) as one, av.open(str(other)) as two:
        streams = [out.add_stream_from_template(given.streams.video[0]) for given in (one, two)]
        for given, stream in zip((one, two), streams, strict=True):
            for packet in [p for p in given.demux(video=0) if p.size]:
                packet.stream = stream
                out.mux(packet)
    np.testing.assert_array_equal(read_clip(tmp_path / "both.mkv").frames, read_clip(ordinary).frames)
    assert read_video_info(tmp_path / "both.mkv") == read_video_info(ordinary)


def test_paths_that_are_not_a_regular_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "round.mp4").symlink_to(tmp_path / "round.mp4")
    reasons = {"pipe.mp4": "not_video", "round.mp4": "unreadable", "x" * 300 + ".mp4": "unreadable"}
    for name, reason in reasons.items():
        for read in (read_clip, read_video_info):
            with raises(VideoError, reason, subject=tmp_path / name):
                read(tmp_path / name)
    statuses = {Path(record.path).name: record.status for record in scan(tmp_path)}
    assert statuses == {"pipe.mp4": "not_video", "round.mp4": "unreadable"}


@pytest.mark.parametrize("pixels", ["gray", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "bgr24", "yuva420p"])
@pytest.mark.parametrize("size", [(63, 95), (64, 96), (17, 9)])
def test_pixels_of_any_kind_and_odd_sides(tmp_path: Path, pixels: str, size: tuple[int, int]):
    codec = {"yuva420p": "libvpx-vp9", "bgr24": "libx264rgb"}.get(pixels, "libx264")
    path = tmp_path / "clip.mkv"
    if pixels in ("yuv422p", "yuv420p10le"):  # of which x264 takes even sides alone
        size = (size[0] // 2 * 2, size[1] // 2 * 2)
    if pixels == "yuv420p10le":  # FFmpeg makes its colours of what lies behind a line that is no multiple of 32
        size = (size[0], max(1, size[1] // 32) * 32)
    frames = np.full((6, *size, 3), 200, np.uint8)
    frames[:, : size[0] // 2] = 60
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = (*size, pixels)
        stream.options = {"crf": "1"}
        if pixels == "gray":
            stream.codec_context.color_range = 2  # FFmpeg makes grey of the whole range
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)))
        out.mux(stream.encode(None))
    whole = read_clip(path, frames=None, stride=1, size=None, motion="auto")
    assert whole.frames.shape == frames.shape
    assert np.abs(whole.frames[:, :4].astype(int) - 60).max() <= 6
    assert np.abs(whole.frames[:, -4:].astype(int) - 200).max() <= 6
    clip = read_clip(path, motion="auto")
    assert clip.frames.shape == (16, 224, 224, 3)
    assert np.abs(clip.motion.vectors).max() < 1
