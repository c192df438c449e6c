"""Reads the clips that the next step of a control may need, while the page asks for nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Condition, Thread

from mgm.errors import MgmError
from mgm.explore.library import Video
from mgm.explore.request import ClipRequest


class ReadAhead:
    """Reads expected clips one after the other in a thread.

    Args:
        read: reads a clip and keeps it.
        quiet_seconds: time without another request after which it is called.
    """

    def __init__(self, read: Callable[[Video, ClipRequest], object], quiet_seconds: float) -> None:
        self._read, self._quiet_seconds = read, quiet_seconds
        self._changed = Condition()
        self._expected: list[tuple[Video, ClipRequest]] = []
        self._quiet_from = 0.0
        self._ended = False
        self._thread = Thread(target=self._work, name="read ahead", daemon=True)
        self._thread.start()

    def expect(self, video: Video, requests: Iterable[ClipRequest]) -> None:
        """Read these clips, the first one first, in place of those that are still expected."""
        with self._changed:
            self._expected = [(video, request) for request in requests]
        self.pause()

    def pause(self) -> None:
        """A visitor waits for something else."""
        with self._changed:
            self._quiet_from = time.monotonic() + self._quiet_seconds
            self._changed.notify()

    def end(self, patience_seconds: float) -> None:
        """Read no more clips; wait so long for the one that is being read."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(patience_seconds)

    def _work(self) -> None:
        while (found := self._next()) is not None:
            with suppress(MgmError):  # whoever asks for it gets the error
                self._read(*found)

    def _next(self) -> tuple[Video, ClipRequest] | None:
        """The next expected clip, once it is quiet; None at the end."""
        with self._changed:
            while not self._ended:
                rest = self._quiet_from - time.monotonic()
                if self._expected and rest <= 0:
                    return self._expected.pop(0)
                self._changed.wait(rest if self._expected else None)
        return None
