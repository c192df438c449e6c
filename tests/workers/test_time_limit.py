"""Items that hang in this process."""

import os
import threading
import time
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.workers.map_files import map_files
from mgm.workers.process import report_progress
from mgm.workers.time_limit import run_with_limit


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

    assert run_with_limit(works, 5, 2) == 5


def test_work_that_is_given_up_ends_at_its_next_progress():
    ended = threading.Event()
    begin = threading.Event()

    def works(item: None) -> None:
        try:
            begin.wait()
            report_progress()
        finally:
            ended.set()

    assert isinstance(run_with_limit(works, None, 0.1), VideoError)
    begin.set()
    assert ended.wait(10)


def test_an_error_is_raised_where_the_result_is_awaited():
    def fails(item: None) -> None:
        raise ZeroDivisionError("of an item")

    with pytest.raises(ZeroDivisionError):
        run_with_limit(fails, None, 10)


def test_an_item_without_memory_is_an_error_of_its_own():
    def fills(item: None) -> None:
        raise MemoryError

    error = run_with_limit(fills, None, 10)
    assert isinstance(error, VideoError)
    assert error.reason == "crashed"
