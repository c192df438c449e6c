"""Memory is used again when nothing refers to it, and never before."""

from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from mgm.video import VideoReader, read_clip
from mgm.video.clip.frame_memory import MOST_KEPT, empty_frames


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_the_last_view_is_gone():
    first = empty_frames((4, 10, 10, 3))
    place = address(first)
    for hold in (lambda a: a, lambda a: a[1, ::2], lambda a: a.reshape(-1)[5:].view(np.int8), memoryview):
        held = hold(first)
        del first
        other = empty_frames((4, 10, 10, 3))
        assert not np.shares_memory(np.asarray(held), other)
        del held, other
        first = empty_frames((4, 10, 10, 3))
    place = address(first)
    del first
    again = empty_frames((4, 10, 9, 3))
    assert (address(again), again.shape, again.flags.c_contiguous) == (place, (4, 10, 9, 3), True)
    del again
    assert empty_frames((4, 4, 9, 3)).base.size == 432  # a small one keeps no large memory


def test_each_thread_has_its_own():
    first = empty_frames((100,))
    place = address(first)
    del first
    places = []
    thread = Thread(target=lambda: places.append(address(empty_frames((100,)))))
    thread.start()
    thread.join()
    assert places != [place]


def test_large_memory_is_not_kept():
    assert empty_frames((MOST_KEPT + 1,)).base is None


@pytest.mark.parametrize("through", ["frames", "a frame", "torch"])
def test_a_clip_that_is_held_is_not_overwritten(ordinary: Path, through: str):
    expected = [read_clip(ordinary, start=start, frames=4, stride=1, size=32).frames.copy() for start in (0, 8)]
    with VideoReader(ordinary) as reader:
        frames = reader.read_clip(start=0, frames=4, stride=1, size=32).frames
        if through == "a frame":
            frames = frames[2]
        elif through == "torch":
            frames = pytest.importorskip("torch").from_numpy(frames)
        second = reader.read_clip(start=8, frames=4, stride=1, size=32).frames
        both = reader.read_clips([(0, 0, 40, 40), (8, 8, 40, 40)], start=0, frames=4, stride=1, size=32)
    np.testing.assert_array_equal(np.asarray(frames), expected[0][2] if through == "a frame" else expected[0])
    np.testing.assert_array_equal(second, expected[1])
    assert not np.shares_memory(both[0].frames, both[1].frames)
