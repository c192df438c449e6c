"""The frames of a clip: any numbers, short videos, strides; with the pixels and motion of a full decode."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import VideoError
from mgm.spans import Stopwatch
from mgm.video import VideoReader, read_clip
from mgm.video.clip.options import ClipOptions
from mgm.video.clip.plan import clip_frames, frame_needs, frame_strides, plan_clip
from mgm.video.container.clip_packets import PacketWindow
from mgm.video.container.stream import open_video
from mgm.video.motion.estimators import LumaDifference
from tests.errors import raises
from tests.video.clips import decode_whole

FRAMES = 40
SIDE = 48
VELOCITY = (2.5, -1.0)
INDEX = [3, 4, 8, 8, 9, 15, 17, 24, 31, 39, 39]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """With B-frames and several groups of pictures."""
    path = tmp_path_factory.mktemp("index") / "clip.mp4"
    return make_translation(path, velocity=VELOCITY, frames=FRAMES, size=(80, 112), bframes=2, gop=13)


@pytest.fixture(scope="module")
def whole(video):
    return read_clip(video, frames=None, stride=1, size=None)


def summed(whole, index, strides):
    """The motion over each step, summed from that of every frame."""
    parts = [
        whole.motion.vectors[np.maximum(np.arange(i - s + 1, i + 1), 0)] for i, s in zip(index, strides, strict=True)
    ]
    return np.stack([part.sum(axis=0) for part in parts])


def test_frames_are_those_of_a_full_decode(video, whole):
    clip = read_clip(video, frame_indices=INDEX, size=None, motion=None)

    np.testing.assert_array_equal(clip.frames, whole.frames[INDEX])
    np.testing.assert_array_equal(clip.pts_seconds, whole.pts_seconds[INDEX])
    assert clip.frame_indices.tolist() == INDEX


def test_motion_is_summed_over_each_step(video, whole):
    strides = [1, 1, 4, 4, 1, 6, 2, 7, 7, 8, 8]
    motion = read_clip(video, frame_indices=INDEX, size=None).motion

    assert frame_strides(np.array(INDEX), default=3).tolist() == strides
    np.testing.assert_allclose(motion.vectors[1:], summed(whole, INDEX, strides)[1:], atol=0.3)
    medians = np.median(motion.vectors, axis=(1, 2))
    np.testing.assert_allclose(medians, np.outer(strides, VELOCITY), rtol=0.2)  # the encoder guesses, too


@pytest.mark.parametrize("policy", ["window_max", "sampled"])
def test_other_policies_scale_with_the_step(tmp_path, policy):
    plain = {"bframes": 0, "refs": 1, "frames": FRAMES, "size": (80, 112)}
    path = make_translation(tmp_path / "plain.mp4", velocity=VELOCITY, **plain)
    motion = read_clip(path, frame_indices=INDEX, size=None, policy=policy).motion
    strides = frame_strides(np.array(INDEX), default=1)

    np.testing.assert_allclose(np.median(motion.vectors, axis=(1, 2)), np.outer(strides, VELOCITY), atol=0.3)


def test_flow_is_measured_over_each_step(video):
    index = [1, 2, 5, 5, 7]
    motion = read_clip(video, frame_indices=index, size=None, motion="flow").motion

    np.testing.assert_allclose(np.median(motion.vectors, axis=(1, 2)), np.outer([1, 1, 3, 3, 2], VELOCITY), atol=0.3)


@pytest.mark.parametrize("motion", ["codec", "flow"])
@pytest.mark.parametrize("policy", ["window_sum", "window_max", "sampled"])
def test_even_numbers_are_read_as_a_start_and_a_stride(video, motion, policy):
    expected = read_clip(video, start=6, frames=5, stride=3, motion=motion, policy=policy)
    clip = read_clip(video, frame_indices=np.arange(6, 20, 3), motion=motion, policy=policy)
    padded = read_clip(video, frame_indices=[6, 9, 12, 15, 18, 18], motion=motion, policy=policy)

    for found in (clip, padded):  # the second one takes the way of uneven numbers
        np.testing.assert_array_equal(found.frames[:5], expected.frames)
        np.testing.assert_array_equal(found.motion.vectors[:5], expected.motion.vectors)
        np.testing.assert_array_equal(found.motion.valid[:5], expected.motion.valid)
    np.testing.assert_array_equal(padded.motion.vectors[5], expected.motion.vectors[4])


def test_streams_without_times_are_read_by_number(tmp_path):
    path = make_translation(tmp_path / "clip.avi", velocity=(2, 1), frames=20, size=(64, 96), bframes=2)
    whole = read_clip(path, frames=None, stride=1, size=None)
    for motion in ("codec", "flow"):
        clip = read_clip(path, frame_indices=[2, 3, 7, 19], size=None, motion=motion)
        np.testing.assert_array_equal(clip.frames, whole.frames[[2, 3, 7, 19]])
        np.testing.assert_allclose(np.median(clip.motion.vectors[1], axis=(0, 1)), (2, 1), atol=0.3)


def test_one_reader_reads_several_lists(video, whole):
    with VideoReader(video) as reader:
        for index in ([30, 31, 37], [0], [5, 5, 5], [2, 4, 6]):
            clip = reader.read_clip(frame_indices=index, size=None)
            np.testing.assert_array_equal(clip.frames, whole.frames[index])
        assert reader.read_motion(frame_indices=[4, 5, 7]).frame_indices.tolist() == [4, 5, 7]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([5, 4], "clip-indices-not-ascending"),
        ([], None),
        ([-1, 2], None),
        ([1.5, 2], None),
        ([0, 1, 40], "clip-indices-behind-end"),
        ([0, 20, 40], None),
        ([41], None),
    ],
)
def test_numbers_that_cannot_be_read(video, index, message):
    with raises(VideoError, "invalid_value", subject=video, message=message):
        read_clip(video, frame_indices=index)


def test_a_start_and_numbers_contradict_each_other(video):
    with raises(VideoError, "conflict", subject=video):
        read_clip(video, start=3, frame_indices=[1, 2])


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(1, 9))
def test_strides_are_positive_and_lead_back_to_the_frame_before(numbers, default):
    index = np.sort(np.array(numbers, np.int64))
    strides = frame_strides(index, default=default)
    moved = np.diff(index) > 0

    assert (strides > 0).all()
    np.testing.assert_array_equal((index - strides)[1:][moved], index[:-1][moved])


@pytest.mark.parametrize("bframes", [0, 2])
def test_frames_far_from_each_other_are_read_without_most_of_those_between(tmp_path, bframes):
    path = make_translation(tmp_path / "a.mp4", velocity=VELOCITY, frames=60, size=(64, 80), bframes=bframes, gop=10)
    whole = read_clip(path, frames=None, stride=1, size=None)
    for index in ([1, 58], [0, 9, 10, 19, 31, 59], [12, 33, 54]):
        stopwatch = Stopwatch()
        with stopwatch.running():
            clip = read_clip(path, frame_indices=index, size=None, motion=None)
        np.testing.assert_array_equal(clip.frames, whole.frames[index])
        assert stopwatch.calls["decode"] < 40
    motion = read_clip(path, frame_indices=[12, 33, 54], size=None).motion
    np.testing.assert_allclose(motion.vectors[1], whole.motion.vectors[13:34].sum(axis=0), atol=1e-3)


@pytest.mark.real
def test_every_codec_gives_frames_far_from_each_other(shared_data):
    for path in sorted((shared_data / "codec_matrix").iterdir()):
        whole = read_clip(path, frames=None, stride=1, size=48, motion=None)
        last = len(whole.frames) - 1
        for index in ([0, last], [3, 4, 41, 44, last - 1]):
            clip = read_clip(path, frame_indices=index, size=48, motion=None)
            np.testing.assert_array_equal(clip.frames, whole.frames[index], err_msg=path.name)
            np.testing.assert_array_equal(clip.pts_seconds, whole.pts_seconds[index], err_msg=path.name)


def test_clip_frames():
    assert clip_frames(9, start=0, frames=3, stride=4).tolist() == [0, 4, 8]
    assert clip_frames(8, start=0, frames=3, stride=4).tolist() == [0, 4, 4]
    assert clip_frames(8, start=1, frames=4, stride=4, short="wrap").tolist() == [1, 5, 1, 5]
    assert clip_frames(1, start=0, frames=2, stride=4).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("short", "expected"), [("repeat_last", [16, 19, 22, 22, 22]), ("wrap", [16, 19, 22, 16, 19]), ("error", None)]
)
def test_a_video_that_ends_before_the_clip(ordinary: Path, short: str, expected: list[int] | None):
    query = {"start": 16, "frames": 5, "stride": 3, "size": SIDE, "short": short}
    if expected is None:
        with raises(VideoError, "invalid_value", subject=ordinary, message="clip-longer-than-video"):
            read_clip(ordinary, **query)
        return
    clip = read_clip(ordinary, **query)
    assert clip.frame_indices.tolist() == expected
    np.testing.assert_array_equal(clip.frames, decode_whole(ordinary, size=SIDE)[expected])
    np.testing.assert_allclose(clip.pts_seconds, np.array(expected) / 25)
    assert clip.motion is not None
    assert len(clip.motion.vectors) == 5
    np.testing.assert_array_equal(
        clip.motion.vectors[expected.index(22)], read_clip(ordinary, start=22, frames=1, stride=3).motion.vectors[0]
    )


def test_the_frames_that_a_clip_needs(video):
    options = ClipOptions(start=2, frames=3, stride=4)
    with open_video(video, vectors=False) as opened:
        plan = plan_clip(opened, options, 2, "codec", unit=1, sidecar=None)
        assert (plan.first, plan.last, plan.reach) == (0, 10, 3)
        assert list(plan.moving(11)) == list(range(11))
        frames_only = frame_needs(plan_clip(opened, options, 2, None, unit=1, sidecar=None), PacketWindow(), None)
        compared = frame_needs(
            plan_clip(opened, options, 2, LumaDifference(), unit=1, sidecar=None), PacketWindow(), None
        )
    numbers = range(20)
    assert [i for i in numbers if i in frames_only.image] == [2, 6, 10]
    assert not any(i in frames_only.vectors or i in frames_only.picture for i in numbers)
    # the step to frame 2 begins at the first frame
    assert [i for i in numbers if i in compared.picture] == [0, 2, 6, 10]
