"""A wait that is announced once: the program says how, the code that waits says when."""

from __future__ import annotations

from collections.abc import Callable

_announcements: list[Callable[[], None]] = []


def announce_compilation(announce: Callable[[], None]) -> None:
    """Call `announce` once, before the first loop of this process that must be compiled: it takes seconds."""
    _announcements[:] = [announce]


def compilation_begins() -> None:
    """Announce it, if that is asked for and was not done yet."""
    if _announcements:
        _announcements.pop()()
