import pytest

from mgm.data.unreadable import Unreadable, draw_substitute, read_or_substitute
from mgm.errors import DataError, VideoError
from tests.errors import raises


def test_the_message_begins_with_the_path() -> None:
    failed = Unreadable.from_error("a.mp4", OSError("stale file handle"))
    assert failed == ("a.mp4", "a.mp4: stale file handle")
    assert Unreadable.from_error("a.mp4", VideoError("a.mp4", "cut", reason="truncated")).message == "a.mp4: cut"
    assert Unreadable.from_error("a.mp4", MemoryError()).message.startswith("a.mp4: ")


def test_a_substitute_is_a_function_of_its_numbers_and_one_of_the_set() -> None:
    drawn = [draw_substitute(range(5), seed=1, epoch=epoch, index=2, attempt=0) for epoch in range(50)]
    assert drawn == [draw_substitute(range(5), seed=1, epoch=epoch, index=2, attempt=0) for epoch in range(50)]
    assert set(drawn) == set(range(5))
    later = [draw_substitute(range(5, 10), seed=1, epoch=epoch, index=2, attempt=0) for epoch in range(50)]
    assert later == [number + 5 for number in drawn]


@pytest.mark.parametrize("error", [VideoError("c.mp4", "is empty", reason="empty"), OSError("stale"), MemoryError()])
def test_another_video_is_read_instead_and_names_the_unreadable_one(error: Exception) -> None:
    def read(index: int, attempt: int, failed: tuple[Unreadable, ...]) -> tuple[int, int, tuple[Unreadable, ...]]:
        if index == 2:
            raise error
        return index, attempt, failed

    index, attempt, failed = read_or_substitute(read, ["a.mp4", "b.mp4", "c.mp4"], index=2, seed=0, epoch=0)
    assert index != 2
    assert attempt == len(failed) >= 1
    assert failed[0].path == "c.mp4"
    assert failed[0].message.startswith("c.mp4: ")


def test_a_set_without_a_readable_video_is_an_error() -> None:
    def read(index: int, attempt: int, failed: tuple[Unreadable, ...]) -> None:
        raise OSError("stale file handle")

    with raises(DataError, "too_many_failures", message="loading-all-unreadable"):
        read_or_substitute(read, ["a.mp4", "b.mp4"], index=0, seed=0, epoch=0)
