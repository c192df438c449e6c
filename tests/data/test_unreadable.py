from mgm.data.unreadable import Unreadable, draw_substitute
from mgm.errors import VideoError


def test_the_message_begins_with_the_path() -> None:
    failed = Unreadable.from_error("a.mp4", OSError("stale file handle"))
    assert failed == ("a.mp4", "a.mp4: stale file handle")
    assert Unreadable.from_error("a.mp4", VideoError("a.mp4", "cut", reason="truncated")).message == "a.mp4: cut"


def test_a_substitute_is_a_function_of_its_numbers_and_one_of_the_set() -> None:
    drawn = [draw_substitute(5, seed=1, epoch=epoch, index=2, attempt=0) for epoch in range(50)]
    assert drawn == [draw_substitute(5, seed=1, epoch=epoch, index=2, attempt=0) for epoch in range(50)]
    assert set(drawn) == set(range(5))
