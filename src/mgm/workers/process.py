"""The inside of a worker process: it runs tasks until its pool closes the pipe, and ends with the process that started it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any, TypeAlias

from mgm.errors import DataError, MgmError, VideoError
from mgm.workers.array_transfer import send_arrays

BeginItem: TypeAlias = Callable[[int], None]
"""Marks the beginning of the work on one item, by its number. Raises VideoError if an earlier worker hung or died on the item."""


class Marker:
    """The item that a process is working on and the time of its last progress, in memory that the pool reads.

    Args:
        context: of `multiprocessing`, as the process is started.
    """

    def __init__(self, context: Any) -> None:
        self._values = context.RawArray("d", 2)  # number of the item; seconds of the monotonic clock, 0: between items

    def begin(self, item: int) -> None:
        """Mark the beginning of an item."""
        self.end()  # the pool never sees the time of one item with the number of another
        self._values[0] = item
        self.advance()

    def advance(self) -> None:
        """Restart the time limit of the current item."""
        self._values[1] = time.monotonic()

    def end(self) -> None:
        """Mark the end of an item."""
        self._values[1] = 0

    def read(self) -> tuple[int, float] | None:
        """(number of the current item, seconds since its last progress); None between items."""
        item, since = self._values
        return (int(item), time.monotonic() - since) if since else None


_FOR_THE_OWNER = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
"""Signals that terminals and schedulers send to all processes: the pool's owner decides, and ends its workers by SIGKILL."""


class _Progress(threading.local):
    restart: Callable[[], None] | None = None


_progress = _Progress()


def on_progress(restart: Callable[[], None]) -> None:
    """Let `report_progress` call `restart` in this thread."""
    _progress.restart = restart


def report_progress() -> None:
    """Restart the time limit of the item that this thread is working on; does nothing where there is none.

    For items whose length is unknown, such as whole videos: the limit then applies to each step and not to the item.
    """
    if _progress.restart is not None:
        _progress.restart()


def timed_out(name: str, seconds: float, advice: str = "check the file and its disk") -> VideoError:
    """The error of an item without progress for `seconds`."""
    return VideoError(name, f"no answer within {seconds:g} s", "a file that can be read", advice, reason="timed_out")


def out_of_memory(name: str) -> VideoError:
    """The error of a video that its process has no memory for."""
    advice = "remove it from the set, or use fewer processes"
    return VideoError(name, "does not fit into memory", advice=advice, reason="crashed")


@contextmanager
def shielded(context: BaseContext) -> Iterator[None]:
    """Processes that this thread starts in the block do not get Ctrl-C, which is for their owner, not even while they import.

    Args:
        context: of `multiprocessing`, with which they are started.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    if context.get_start_method() != "fork":
        resource_tracker.ensure_running()  # the first process starts it, after which Python unblocks Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by the new process
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process when the process that started it is killed. Otherwise it would write on, and then wait forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        """Wait for the end of the parent."""
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def lower_priority() -> None:
    """Leave the processor to other processes that want it; does nothing on Windows."""
    if hasattr(os, "nice"):
        os.nice(5)


def work(
    function: Callable[[Any, BeginItem], Any],
    set_up: Callable[[], None] | None,
    pipe: Connection,
    marker: Marker,
    inherited: list[Connection],
) -> None:
    """Run tasks until the pool closes its end of the pipe.

    Args:
        set_up: called once, before the first task.
        inherited: copies of the pool's pipes that a fork made. A pipe ends when all its copies are closed.
    """
    for name in _FOR_THE_OWNER:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    end_with_parent()
    for other in inherited:
        other.close()
    on_progress(marker.advance)
    if set_up is not None:
        set_up()
    bad: dict[int, VideoError] = {}

    def begin(item: int) -> None:
        """Called before each item: one that ended an earlier process raises its error instead."""
        if item in bad:
            raise bad[item]
        marker.begin(item)

    while True:
        try:
            number, task, more_bad = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        bad.update(more_bad)
        outcome: tuple[str, Any]
        try:
            outcome = ("result", function(task, begin))
        except MgmError as error:
            outcome = ("error", error)
        except MemoryError:
            advice = "use fewer processes or smaller batches"
            outcome = ("error", DataError("worker process", "ran out of memory", advice=advice, reason="crashed"))
        except BaseException:
            outcome = ("failure", traceback.format_exc())
        marker.end()
        send_arrays(pipe, (number, outcome))
