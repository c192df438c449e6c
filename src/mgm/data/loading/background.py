"""One iterator run ahead of its reader, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue
from typing import TypeVar

T = TypeVar("T")


def in_background(items: Iterator[T], *, ahead: int = 1) -> Iterator[T]:
    """The same items, `ahead` of them made before they are asked for. What the iterator raises is raised here, in its place."""
    made: Queue[tuple[T | None, BaseException | None]] = Queue(ahead)
    stopped = threading.Event()

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                made.put((item, None))
                if stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:  # a generator ends its processes in the thread that ran it
                close()
        made.put((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            while not made.empty():
                made.get()
            thread.join(0.05)
