"""Several clips of one opening equal clips of openings of their own."""

from pathlib import Path

import numpy as np
import pytest

import mgm.video.clip.reader
from mgm.errors import VideoError
from mgm.video import VideoReader, read_clip, read_motion
from mgm.video.container.orientation import Orientation
from tests.errors import raises
from tests.video.clips import decode_whole, encode_moving, remux

SIDE = 48


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The videos that are opened."""
    seen: list[object] = []
    real = mgm.video.clip.reader.open_video

    def counted(place: object, **options: bool):
        seen.append(place)
        return real(place, **options)

    monkeypatch.setattr(mgm.video.clip.reader, "open_video", counted)
    return seen


@pytest.mark.parametrize(
    ("name", "codec", "options", "most"),
    [
        ("closed.mp4", "libx264", {"g": 6}, 1),
        ("refs.mov", "libx264", {"g": 9, "refs": 6, "bf": 5, "x264-params": "b-pyramid=strict"}, 1),
        ("cues.mkv", "libx264", {"g": 6}, 1),
        ("vp9.webm", "libvpx-vp9", {"g": 6, "cpu-used": 8, "b": "1M"}, 1),
        ("mpeg4.avi", "mpeg4", {"g": 6, "bf": 2, "b": "2M"}, 1),
        # A keyframe inside a stream that is not IDR needs a decoder that tolerates its leading pictures.
        ("open.mp4", "libx264", {"g": 6, "x264-params": "open-gop=1"}, 20),
        # Without times, without an index, or with seeks that land anywhere, each clip is counted from the start of a new opening.
        ("intra_refresh.mp4", "libx264", {"g": 6, "x264-params": "intra-refresh=1"}, 20),
        ("programme.mpg", "mpeg2video", {"g": 6, "bf": 2, "b": "2M"}, 20),
        ("transport.ts", "libx264", {"g": 6}, 20),
        ("made_up_times.avi", "libx264", {"g": 6}, 20),
        ("raw.h264", "libx264", {"g": 6}, 20),
    ],
)
def test_clips_in_any_order(
    tmp_path: Path, openings: list[object], name: str, codec: str, options: dict[str, str | int], most: int
):
    path = tmp_path / name
    if path.suffix == ".h264":
        remux(encode_moving(tmp_path / "source.mp4", frames=40, codec=codec, options=options), path)
    else:
        encode_moving(path, frames=40, codec=codec, options=options)
    whole = decode_whole(path, size=SIDE)
    source = "flow" if codec == "libvpx-vp9" else "codec"
    rng = np.random.default_rng(0)
    openings.clear()
    with VideoReader(path) as reader:
        for _ in range(20):
            query = {"start": int(rng.integers(40)), "frames": 2, "stride": int(rng.integers(1, 5))}
            clip = reader.read_clip(**query, size=SIDE, motion=source)
            np.testing.assert_array_equal(clip.frames, whole[clip.frame_indices], err_msg=str(query))
            assert clip.frame_indices[0] == query["start"]
            if query["start"] % 5 == 0:
                count = len(openings)
                alone = read_clip(path, **query, size=SIDE, motion=source)
                del openings[count:]
                assert clip.motion is not None
                assert alone.motion is not None
                np.testing.assert_array_equal(clip.motion.vectors, alone.motion.vectors)
                np.testing.assert_array_equal(clip.motion.valid, alone.motion.valid)
                np.testing.assert_array_equal(clip.pts_seconds, alone.pts_seconds)
        assert len(openings) <= most


def test_a_reader_can_be_used_after_an_error(ordinary: Path):
    with VideoReader(ordinary) as reader:
        first = reader.read_clip(start=9, size=SIDE)
        with raises(VideoError, "invalid_value", subject=ordinary):
            reader.read_clip(start=24)
        np.testing.assert_array_equal(reader.read_clip(start=9, size=SIDE).frames, first.frames)
    np.testing.assert_array_equal(reader.read_clip(start=9, size=SIDE).frames, first.frames)
    reader.close()


def test_motion_alone_is_the_same_motion(ordinary: Path):
    clip = read_clip(ordinary, start=3, frames=4, stride=4, size=None)
    alone = read_motion(ordinary, start=3, frames=4, stride=4)
    assert clip.motion is not None
    np.testing.assert_array_equal(alone.motion.vectors, clip.motion.vectors)
    np.testing.assert_array_equal(alone.motion.valid, clip.motion.valid)
    np.testing.assert_array_equal(alone.pts_seconds, clip.pts_seconds)
    np.testing.assert_array_equal(alone.frame_indices, clip.frame_indices)
    whole = read_motion(ordinary)
    assert whole.motion.vectors.shape == (24, 8, 12, 2)


def test_motion_alone_of_a_turned_video(tmp_path: Path, ordinary: Path):
    turned = remux(ordinary, tmp_path / "turned.mp4", rotation=90)
    clip = read_clip(turned, frames=4, stride=2, size=None, crop=None)
    alone = read_motion(turned, frames=4, stride=2)
    assert clip.motion is not None
    assert clip.frames.shape[1:3] == (96, 64)
    assert alone.motion.vectors.shape[1:3] == (12, 8)
    np.testing.assert_array_equal(alone.motion.vectors, clip.motion.vectors)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.h264"])
def test_start_in_seconds(tmp_path: Path, ordinary: Path, name: str):
    path = remux(ordinary, tmp_path / name)
    whole = read_clip(path, frames=None, stride=1, size=SIDE)
    with VideoReader(path) as reader:
        for number in (17, 0, 9, 23):
            for part in (0, 0.4, 0.9):
                clip = reader.read_clip(start_seconds=whole.pts_seconds[number] + part / 25, frames=1, size=SIDE)
                assert clip.frame_indices.tolist() == [number]
                np.testing.assert_array_equal(clip.frames[0], whole.frames[number])
    end = whole.pts_seconds[-1] + 1 / 25
    with raises(VideoError, "invalid_value", subject=path):
        read_clip(path, start_seconds=end + 0.1)


def test_auto_takes_vectors_where_there_are_some(tmp_path: Path, ordinary: Path):
    vp9 = encode_moving(tmp_path / "a.webm", codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    intra = encode_moving(tmp_path / "intra.mp4", options={"g": 1})
    for path, source in ((ordinary, "codec"), (vp9, "flow"), (intra, "flow")):
        query = {"start": 4, "frames": 4, "stride": 2, "size": None, "crop": None}
        clip = read_clip(path, motion="auto", **query)
        assert clip.motion is not None
        assert clip.motion.source == source
        assert clip.motion.valid.mean() > 0.9
        # The texture moves by (3, -2) a frame.
        np.testing.assert_allclose(np.median(clip.motion.vectors, axis=(0, 1, 2)), (6, -4), atol=0.6)
        alone = read_motion(path, motion="auto", start=4, frames=4, stride=2)
        np.testing.assert_allclose(alone.motion.vectors, clip.motion.vectors, atol=1e-5)


def test_flow_of_short_and_turned_videos(tmp_path: Path, ordinary: Path):
    query = {"start": 18, "frames": 4, "stride": 3, "size": None, "crop": None, "motion": "flow"}
    upright = read_clip(ordinary, **query).motion
    turned = read_clip(remux(ordinary, tmp_path / "turned.mp4", rotation=90), **query).motion
    assert upright is not None
    assert turned is not None
    np.testing.assert_array_equal(upright.vectors[2], upright.vectors[1])  # frames 18, 21, 21, 21
    np.testing.assert_array_equal(turned.vectors, upright.upright(Orientation(True, False, True)).vectors)
    still = read_clip(ordinary, **{**query, "frames": 1, "start": 0}).motion
    assert still is not None
    assert not still.valid.any()


def test_difference_measures_changes(ordinary: Path):
    clip = read_clip(ordinary, start=6, frames=2, motion="difference", size=None)
    assert clip.motion is not None
    assert clip.motion.source == "difference"
    assert clip.motion.magnitude.mean() > 1
    with raises(VideoError, "conflict", subject=ordinary):
        read_clip(ordinary, start=6, frames=2, motion="difference", camera="median")


def test_camera_motion_is_subtracted(ordinary: Path):
    query = {"start": 6, "frames": 3, "stride": 2, "size": None}
    plain = read_clip(ordinary, **query).motion
    still = read_clip(ordinary, camera="median", **query).motion
    assert plain is not None
    assert still is not None
    assert np.median(plain.magnitude) > 6
    assert np.median(still.magnitude) < 0.3


class Doubled:
    """An estimator as in docs/motion.md."""

    name = "raft"
    pixel_format = "rgb24"
    shrink = 1
    in_pixels = True

    def between(self, before, after):
        assert before.shape == after.shape == (64, 96, 3)
        return np.full((64, 96, 2), 2, np.float32)


def test_an_estimator_of_the_user(ordinary: Path):
    motion = read_clip(ordinary, start=8, frames=2, motion=Doubled(), size=None).motion
    assert motion is not None
    assert motion.source == "raft"
    np.testing.assert_array_equal(motion.vectors, np.full((2, 8, 12, 2), 2, np.float32))


def test_truncation_behind_a_seek_is_noticed(tmp_path: Path):
    """A clip before the cut reads; one behind it is an error."""
    source = encode_moving(tmp_path / "source.mp4", frames=60, options={"g": 6})
    front = remux(source, tmp_path / "front.mp4", options={"movflags": "faststart"})
    data = front.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 6 // 10])
    assert read_clip(cut, start=12, frames=2, size=SIDE).frames.shape[0] == 2
    with raises(VideoError, "truncated", subject=cut):
        read_clip(cut, start=54, frames=2, size=SIDE)


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("query", [{"start": 3, "frames": 4, "stride": 2}, {"frame_indices": [0, 5, 6, 20]}])
def test_several_regions_of_one_pass_are_those_of_passes_of_their_own(tmp_path, openings, rotated, query):
    path = encode_moving(tmp_path / "clip.mp4", frames=24, codec="libx264", options={"g": 12, "bf": 2})
    if rotated:
        path = remux(path, tmp_path / "rotated.mp4", rotation=90)
    boxes = [(0, 0, 40, 30), (8, 12, 30, 44), (0, 0, 48, 48)]
    openings.clear()
    with VideoReader(path) as reader:
        clips = reader.read_clips(boxes, **query, size=SIDE)
        assert len(openings) == 1
        assert reader.read_clips([], **query) == []
    for clip, box in zip(clips, boxes, strict=True):
        alone = read_clip(path, **query, size=SIDE, crop=box)
        np.testing.assert_array_equal(clip.frames, alone.frames)
        np.testing.assert_array_equal(clip.motion.vectors, alone.motion.vectors)
        np.testing.assert_array_equal(clip.motion.valid, alone.motion.valid)
        assert clip.motion.extent == alone.motion.extent
        np.testing.assert_array_equal(clip.frame_indices, alone.frame_indices)
