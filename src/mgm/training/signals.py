"""Signals during training: no step is cut in half, and a request to end is followed once the step is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPED_STATUS: Final = 143
"""Exit status of a run that a signal ended and that can be resumed: 128 + SIGTERM, whichever it was."""

_REQUESTS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block, so that a checkpoint never contains half a step."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set signal handlers
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting and callable(before):
            before(*waiting[-1])


@contextmanager
def noted_requests(*, together: bool = False) -> Iterator[list[str]]:
    """The names of the signals that asked this process to end in the block, which has to follow them: schedulers send them.

    A second one ends the process at once. Signals that are ignored (nohup) or have a handler already are left alone.

    Args:
        together: Ctrl-C is such a signal too, because processes that train together can only stop after the same step.
    """
    noted: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        """The first request is noted; a second one ends the process at once, as it would have without this."""
        noted.append(signal.Signals(number).name)
        restore()

    def restore() -> None:
        """Give the signals their default effect again."""
        for request in ours:
            if signal.getsignal(request) is note:  # not one that `ignore_requests` ignores
                signal.signal(request, signal.SIG_DFL)

    ours = [request for request in _REQUESTS if signal.getsignal(request) is signal.SIG_DFL]
    if together and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        ours.append(signal.SIGINT)
    for request in ours:
        signal.signal(request, note)
    try:
        yield noted
    finally:
        restore()


def ignore_requests() -> None:
    """Ignore all such signals from now on: this process ends by itself, and has something to say before."""
    if threading.current_thread() is threading.main_thread():
        for request in _REQUESTS:
            signal.signal(request, signal.SIG_IGN)
