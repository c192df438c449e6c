"""The options of a clip: one class, and errors about values that are not possible."""

import inspect
from pathlib import Path

import pytest

from mgm.errors import Reason, VideoError
from mgm.video import VideoReader, read_clip, read_motion
from mgm.video.clip.options import ClipOptions
from tests.errors import raises


@pytest.mark.parametrize(
    ("options", "reason", "message"),
    [
        ({"start_seconds": -1.0}, "invalid_value", None),
        ({"start_seconds": float("nan")}, "invalid_value", None),
        ({"start_seconds": 1.0, "start": 2}, "conflict", "clip-two-starts"),
        ({"start_seconds": 99.0}, "invalid_value", "clip-seconds-behind-end"),
        ({"motion": "vectors"}, "unknown_name", "clip-unknown-motion"),
        ({"policy": "sum"}, "unknown_name", None),
        ({"reading": "dirty"}, "unknown_name", None),
        ({"camera": "pan"}, "unknown_name", None),
        ({"short": "loop"}, "unknown_name", None),
        ({"cache": "yes"}, "unknown_name", None),
        ({"stride": 1.5}, "invalid_type", "clip-stride-fraction"),
        ({"frames": "16"}, "invalid_type", None),
        ({"start": None}, "invalid_type", None),
        ({"size": 1_000_000}, "invalid_value", "clip-size-of-a-trillion-pixels"),
    ],
)
def test_options_that_are_not_possible(ordinary: Path, options: dict[str, object], reason: Reason, message: str | None):
    with raises(VideoError, reason, subject=ordinary, message=message):
        read_clip(ordinary, **options)


def test_motion_alone_needs_a_source(ordinary: Path):
    with raises(VideoError, "missing_value", subject=ordinary):
        read_motion(ordinary, motion=None)


def test_an_unknown_option_names_the_function_and_the_near_option(ordinary: Path):
    with pytest.raises(TypeError, match=r"^read_clip\(\) got .* 'num_frames'; did you mean frames\?$"):
        read_clip(ordinary, num_frames=8)
    with pytest.raises(TypeError, match=r"^read_motion\(\) got .* 'fps'; its options are start, "):
        read_motion(ordinary, fps=8)


def test_an_unknown_option_is_a_type_error(ordinary: Path):
    with pytest.raises(TypeError, match="strid"):
        read_clip(ordinary, strid=4)
    with pytest.raises(TypeError, match="size"):
        read_motion(ordinary, size=224)


def test_the_video_and_the_regions_may_be_given_by_name(ordinary: Path):
    boxes = [(0, 0, 32, 32)]
    assert read_clip(video=ordinary, frames=2).path == str(ordinary)
    assert read_motion(frames=2, video=ordinary).path == str(ordinary)
    with VideoReader(video=ordinary) as reader:
        assert len(reader.read_clips(crops=boxes, frames=2, size=32)) == 1
    with pytest.raises(TypeError, match="video"):
        read_clip(frames=2)
    with pytest.raises(TypeError, match="video"):
        read_clip(ordinary, video=ordinary)


def test_options_are_the_fields_of_one_class():
    """`help` shows every option with its default, spelled in `ClipOptions` alone."""
    fields = inspect.signature(ClipOptions).parameters
    for function in (read_clip, VideoReader.read_clip, VideoReader.read_clips):
        shown = inspect.signature(function).parameters
        assert {name: shown[name] for name in fields} == dict(fields)
    assert inspect.signature(read_motion).parameters["frames"].default is None
    assert "frame_indices" in (read_clip.__doc__ or "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 24}, "clip-start-behind-end"),
        ({"start": 1000, "motion": None}, None),
        ({"start": -1}, None),
        ({"stride": 0}, "clip-stride"),
        ({"frames": 0}, None),
        ({"frames": 10**9}, "clip-too-many-frames"),
        ({"stride": 10**30}, None),
        ({"start": 10**30}, None),
        ({"crop": (90, 0, 8, 8)}, "clip-crop-outside"),
        ({"crop": (-1, 0, 8, 8)}, None),
        ({"crop": (0, 0, 8, 0)}, None),
        ({"crop": (0, 0, 8)}, None),
        ({"size": 0}, None),
    ],
)
def test_values_out_of_range(ordinary: Path, options: dict[str, object], message: str | None):
    with raises(VideoError, "invalid_value", subject=ordinary, message=message) as error:
        read_clip(ordinary, **options)
    assert "\n" not in str(error.value)
