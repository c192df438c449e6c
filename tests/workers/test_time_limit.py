"""Items that hang in this process."""

import os
import threading
import time
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.workers.map_files import map_files
from mgm.workers.process import report_progress
from mgm.workers.time_limit import TimeLimit


def test_an_item_that_hangs_costs_only_itself(tmp_path: Path):
    inner, outer = os.pipe()

    def reads(number: int) -> int:
        if number == 1:
            os.read(inner, 1)  # waits in the kernel for what is never written
        return number

    errors: list[VideoError] = []

    def give_up(number: int, error: VideoError) -> int:
        errors.append(error)
        return -1

    assert list(map_files(reads, range(3), processes=1, on_death=give_up, timeout_seconds=2)) == [
        (0, 0),
        (1, -1),
        (2, 2),
    ]
    assert [error.reason for error in errors] == ["timed_out"]
    os.write(outer, b"x")


def test_progress_restarts_the_limit():
    def works(steps: int) -> int:
        for _ in range(steps):
            time.sleep(0.5)
            report_progress()
        return steps

    assert TimeLimit(works, 2)(5) == 5


def test_work_that_is_given_up_ends_at_its_next_progress():
    ended = threading.Event()
    begin = threading.Event()

    def works(item: None) -> None:
        try:
            begin.wait()
            report_progress()
        finally:
            ended.set()

    assert isinstance(TimeLimit(works, 0.1)(None), VideoError)
    begin.set()
    assert ended.wait(10)


def test_an_error_is_raised_where_the_result_is_awaited():
    def fails(item: None) -> None:
        raise ZeroDivisionError("of an item")

    with pytest.raises(ZeroDivisionError):
        TimeLimit(fails, 10)(None)


def test_an_item_without_memory_is_an_error_of_its_own():
    def fills(item: None) -> None:
        raise MemoryError

    error = TimeLimit(fills, 10)(None)
    assert isinstance(error, VideoError)
    assert error.reason == "crashed"


def test_items_share_a_thread_until_one_reaches_the_limit():
    begin = threading.Event()

    def works(number: int) -> threading.Thread:
        if number == 2:
            begin.wait()
        return threading.current_thread()

    with TimeLimit(works, 2) as limited:
        first = limited(0)
        assert limited(1) is first
        assert isinstance(limited(2), VideoError)
        assert limited(3) is not first
    begin.set()


def test_the_thread_ends_with_the_block():
    before = set(threading.enumerate())
    with TimeLimit(abs, 10) as limited:
        assert limited(-1) == 1
        (thread,) = set(threading.enumerate()) - before
    thread.join(10)
    assert not thread.is_alive()
