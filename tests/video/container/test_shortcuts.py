"""A shortcut that failed is not used again."""

from pathlib import Path

import numpy as np
import pytest

from mgm.video import VideoReader, read_clip
from mgm.video.container.shortcuts import ShortcutFailedError, Shortcuts, UncountableError
from tests.video.clips import encode_moving


@pytest.mark.parametrize("name", ["seek", "keyframe_flags", "packet_times"])
def test_each_of_three_is_needed_to_seek(name):
    assert Shortcuts().may_seek
    assert not Shortcuts().without(name).may_seek
    assert Shortcuts().without("profile").without("vectors").may_seek


def test_frames_that_cannot_be_counted_by_packets_fail_for_the_whole_file():
    error = UncountableError()
    assert isinstance(error, ShortcutFailedError)
    assert (error.shortcut, error.lasting) == ("packet_times", True)


def test_a_file_of_keyframes_alone_is_measured_by_flow_from_the_second_clip_on(tmp_path: Path):
    path = encode_moving(tmp_path / "intra.mp4", frames=12, options={"g": 1})
    with VideoReader(path) as reader:
        for start in (0, 4):
            clip = reader.read_clip(start=start, frames=3, stride=2, motion="auto", size=32)
            alone = read_clip(path, start=start, frames=3, stride=2, motion="flow", size=32)
            assert clip.motion is not None
            assert alone.motion is not None
            assert clip.motion.source == "flow"
            np.testing.assert_array_equal(clip.motion.vectors, alone.motion.vectors)
