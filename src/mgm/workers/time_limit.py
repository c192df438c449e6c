"""Work on one item with a time limit, in a thread of this process: another process would take a second to start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from mgm.errors import VideoError
from mgm.workers.process import on_progress, out_of_memory, timed_out

Item = TypeVar("Item")
Result = TypeVar("Result")

_CLEANING_SECONDS = 5.0
"""Time in which work that is given up may remove its unfinished files."""


class _GivenUpError(BaseException):
    """Ends the work on an item that is no longer waited for."""


class _Watch:
    """The time of the last progress of one item."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.given_up = False

    @property
    def seconds(self) -> float:
        """Time since the last progress."""
        return time.monotonic() - self._last

    def advance(self) -> None:
        """Restart the time limit."""
        if self.given_up:
            raise _GivenUpError
        self._last = time.monotonic()


def run_with_limit(function: Callable[[Item], Result], item: Item, timeout_seconds: float) -> Result | VideoError:
    """`function(item)`, or the error of an item without progress for `timeout_seconds` (reason "timed_out") or without memory.

    Work that hangs in FFmpeg or in the kernel cannot be ended, only left behind: it ends with this process, or at its next
    `report_progress`. A crash ends this process.
    """
    watch, result = _Watch(), Future[Result]()
    thread = threading.Thread(target=_work, args=(function, item, watch, result), daemon=True)
    thread.start()
    try:
        while (left := timeout_seconds - watch.seconds) > 0:
            if wait([result], left).done:
                error = result.exception()
                return out_of_memory("") if isinstance(error, MemoryError) else result.result()
    except BaseException:  # Ctrl-C: unfinished files are removed before this process ends
        watch.given_up = True
        thread.join(_CLEANING_SECONDS)
        raise
    watch.given_up = True
    return timed_out("", timeout_seconds)


def _work(function: Callable[[Item], Result], item: Item, watch: _Watch, result: Future[Result]) -> None:
    on_progress(watch.advance)
    try:
        result.set_result(function(item))
    except BaseException as error:
        result.set_exception(error)
