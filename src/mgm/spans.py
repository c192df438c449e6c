"""Named spans of time: `with span("decode"):` around a stage, and a stopwatch that adds them up.

Without a running stopwatch a span costs one attribute look-up. Spans are of one thread; a span inside another stops the
other's clock, so that the seconds of all stages add up to the whole.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class _Running(threading.local):
    stopwatch: Stopwatch | None = None


_running = _Running()


class Stopwatch:
    """Processor seconds and calls per span, of one thread. Neither a slow disk nor other programs change them.

    Attributes:
        seconds: by name of the span; time outside any span is under "other".
        calls: how often each span was entered.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._open = ["other"]
        self._since = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the spans that this thread enters inside the block."""
        before, _running.stopwatch = _running.stopwatch, self
        self._since = time.thread_time()
        try:
            yield
        finally:
            self._charge()
            _running.stopwatch = before

    def enter(self, name: str) -> None:
        """Start a span."""
        self._charge()
        self._open.append(name)
        self.calls[name] += 1

    def leave(self) -> None:
        """End the span that was started last."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now = time.thread_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now


class span:  # noqa: N801 - used like a function
    """Charge the block to `name` on this thread's stopwatch, if one runs."""

    __slots__ = ("_name", "_stopwatch")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._stopwatch = _running.stopwatch
        if self._stopwatch is not None:
            self._stopwatch.enter(self._name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stopwatch is not None:
            self._stopwatch.leave()
