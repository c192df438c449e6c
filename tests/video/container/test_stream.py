"""Files that are not an intact video raise an error with a reason."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from mgm.errors import VideoError
from mgm.video import iter_motion_vectors, read_clip
from mgm.video.container.metadata import read_video_info
from mgm.video.scan.folder import scan_videos
from tests.errors import raises
from tests.video.broken import REASONS, make_broken
from tests.video.clips import encode_moving

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
    message = (
        None if name in ("flipped.mp4", "noise.mp4", "cut_between.mp4") else f"clip-{Path(name).stem.replace('_', '-')}"
    )
    with raises(VideoError, REASONS[name], subject=folder / name, message=message) as error:
        READERS[reader](folder / name)
    assert "\n" not in str(error.value)
    assert (error.value.at is not None) == (name == "flipped.mp4")


@pytest.mark.parametrize("name", [name for name in REASONS if name != "flipped.mp4"])
def test_metadata_of_a_broken_file(folder: Path, name: str):
    with raises(VideoError, REASONS[name], subject=folder / name):
        read_video_info(folder / name)


def test_motion_of_a_codec_without_vectors(tmp_path: Path):
    path = encode_moving(tmp_path / "clip.webm", frames=3, codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    with raises(VideoError, "no_vectors", subject=path, message="clip-no-vectors"):
        read_clip(path)
    assert len(read_clip(path, motion=None).frames) == 16


def test_a_clip_before_the_cut_is_read(folder: Path):
    """Only a clip that reaches the damage is an error."""
    clip = read_clip(folder / "cut_within.mp4", frames=2, stride=2, size=32)
    assert clip.frame_indices.tolist() == [0, 2]


def test_most_flipped_streams_are_found(tmp_path: Path, ordinary: Path):
    """A decoder conceals damage by default. A flip within a valid code word cannot be detected."""
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
    """A cut without re-encoding starts at a keyframe and hides the frames before the cut."""
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
    (record,) = scan_videos(with_cover(tmp_path / "song.mp4", video=None))
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


@pytest.mark.parametrize("pixels", ["gray", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "bgr24", "yuva420p"])
@pytest.mark.parametrize("size", [(63, 95), (64, 96), (17, 9)])
def test_pixels_of_any_kind_and_odd_sides(tmp_path: Path, pixels: str, size: tuple[int, int]):
    codec = {"yuva420p": "libvpx-vp9", "bgr24": "libx264rgb"}.get(pixels, "libx264")
    path = tmp_path / "clip.mkv"
    if pixels in ("yuv422p", "yuv420p10le"):  # x264 accepts only even sides
        size = (size[0] // 2 * 2, size[1] // 2 * 2)
    if pixels == "yuv420p10le":  # FFmpeg reads beyond lines whose length is not a multiple of 32
        size = (size[0], max(1, size[1] // 32) * 32)
    frames = np.full((6, *size, 3), 200, np.uint8)
    frames[:, : size[0] // 2] = 60
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = (*size, pixels)
        stream.options = {"crf": "1"}
        if pixels == "gray":
            stream.codec_context.color_range = 2  # FFmpeg converts grey to full range
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
