"""Memory is used again when nothing refers to it, and never before."""

from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from mgm.kept_memory import MOST_KEPT, KeptMemory
from mgm.video import VideoReader, read_clip, read_motion
from mgm.video.motion.vectors import VECTOR_DTYPE, VectorMemory

kept = KeptMemory()


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_the_last_view_is_gone():
    first = kept.empty((4, 10, 10, 3))
    place = address(first)
    for hold in (lambda a: a, lambda a: a[1, ::2], lambda a: a.reshape(-1)[5:].view(np.int8), memoryview):
        held = hold(first)
        del first
        other = kept.empty((4, 10, 10, 3))
        assert not np.shares_memory(np.asarray(held), other)
        del held, other
        first = kept.empty((4, 10, 10, 3))
    place = address(first)
    del first
    again = kept.empty((4, 10, 9, 3))
    assert (address(again), again.shape, again.flags.c_contiguous) == (place, (4, 10, 9, 3), True)
    del again
    assert kept.empty((4, 4, 9, 3)).base.size == 432  # a small one keeps no large memory


def test_each_thread_has_its_own():
    first = kept.empty((100,))
    place = address(first)
    del first
    places = []
    thread = Thread(target=lambda: places.append(address(kept.empty((100,)))))
    thread.start()
    thread.join()
    assert places != [place]


def test_it_takes_any_type():
    first = kept.empty((3, 4), np.float32)
    assert (first.shape, first.dtype) == ((3, 4), np.float32)
    place = address(first)
    del first
    assert address(kept.empty((6,), np.int64)) == place


def test_large_memory_is_not_kept():
    assert kept.empty((MOST_KEPT + 1,)).base is None


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


def test_motion_that_is_held_is_not_overwritten(ordinary: Path):
    expected = [read_motion(ordinary, start=start, frames=4).motion.vectors.copy() for start in (0, 8)]
    with VideoReader(ordinary) as reader:
        first, second = (reader.read_motion(start=start, frames=4).motion.vectors for start in (0, 8))
    np.testing.assert_array_equal(first, expected[0])
    np.testing.assert_array_equal(second, expected[1])
    assert expected[0].any()


def test_copies_of_vectors_survive_when_their_memory_grows():
    vectors = np.zeros(3000, VECTOR_DTYPE)
    for _ in range(2):  # the second one in the memory of the first
        memory = VectorMemory()
        places = []
        for number in range(40):  # five megabytes
            vectors["motion_x"] = number
            places.append(memory.copy(vectors.tobytes()))
        copies = [memory[place] for place in places]
        assert [set(copied["motion_x"].tolist()) for copied in copies] == [{number} for number in range(40)]
        del copies
    assert not len(memory[memory.copy(b"")])
