"""Work with a time limit, in a thread of this process: another process would take a second to start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

from mgm.errors import VideoError
from mgm.workers.process import on_progress, out_of_memory, timed_out

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_CLEANING_SECONDS = 5.0
"""Time in which work that is given up may remove its unfinished files."""


class _GivenUpError(BaseException):
    """Ends the work on an item that is no longer waited for."""


class _Outcome(NamedTuple, Generic[ResultT]):
    """What the work on one item returned, or raised."""

    result: ResultT | None
    error: BaseException | None


class _Worker(Generic[ItemT, ResultT]):
    """A thread that works on one item after another, and the time of its last progress."""

    def __init__(self, function: Callable[[ItemT], ResultT]) -> None:
        self.items: SimpleQueue[tuple[ItemT] | None] = SimpleQueue()
        self.outcomes: SimpleQueue[_Outcome[ResultT]] = SimpleQueue()
        self.given_up = False
        self._function, self._last = function, time.monotonic()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def begin(self, item: ItemT) -> None:
        """Start the work on an item, and its time limit."""
        self._last = time.monotonic()
        self.items.put((item,))

    @property
    def seconds(self) -> float:
        """Time since the last progress."""
        return time.monotonic() - self._last

    def _advance(self) -> None:
        if self.given_up:
            raise _GivenUpError
        self._last = time.monotonic()

    def _work(self) -> None:
        on_progress(self._advance)
        while (given := self.items.get()) is not None:
            try:
                self.outcomes.put(_Outcome(self._function(*given), None))
            except BaseException as error:
                self.outcomes.put(_Outcome(None, error))
            if self.given_up:
                return


class TimeLimit(Generic[ItemT, ResultT]):
    """Runs a function on items, each with a time limit; use it in a `with` block.

    All items share one thread until one of them reaches the limit: the allocator and FFmpeg keep things per thread, and a new one
    for each file costs as much as reading a short file.

    Args:
        function: may call `report_progress` to restart the time limit.
        timeout_seconds: time without progress after which an item is given up.
    """

    def __init__(self, function: Callable[[ItemT], ResultT], timeout_seconds: float) -> None:
        self._function, self._timeout = function, timeout_seconds
        self._worker: _Worker[ItemT, ResultT] | None = None

    def __call__(self, item: ItemT) -> ResultT | VideoError:
        """`function(item)`, or the error of an item that reached the limit (reason "timed_out") or had no memory ("crashed").

        Work that hangs in FFmpeg or in the kernel cannot be ended, only left behind: it ends with this process, or at its next
        `report_progress`. A crash ends this process.
        """
        worker = self._worker = self._worker or _Worker(self._function)
        worker.begin(item)
        try:
            while (left := self._timeout - worker.seconds) > 0:
                try:
                    outcome = worker.outcomes.get(timeout=left)
                except Empty:
                    continue
                if outcome.error is None:
                    return outcome.result  # type: ignore[return-value]
                if isinstance(outcome.error, MemoryError):
                    return out_of_memory("")
                raise outcome.error
        except BaseException:
            self._give_up(worker)
            worker.thread.join(_CLEANING_SECONDS)  # after Ctrl-C: unfinished files are removed before this process ends
            raise
        self._give_up(worker)
        return timed_out("", self._timeout)

    def _give_up(self, worker: _Worker[ItemT, ResultT]) -> None:
        worker.given_up = True
        worker.items.put(None)
        self._worker = None

    def __enter__(self) -> TimeLimit[ItemT, ResultT]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._give_up(self._worker)
