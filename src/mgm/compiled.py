"""Inner loops compiled by numba, and cached on the disk where that is possible.

`numba.njit(cache=True)` raises RuntimeError where neither the package nor the user's cache folder can be written (containers,
other users' installations), and OSError in the first call if the disk is full. Here the loops are then compiled once per process.

To compile a loop takes half a second to four. A loop with a twin of numpy is compiled when that pays: the first calls of a process
that finds no compiled loop on the disk go to the twin, which gives the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from numba import njit
from numba.core.caching import FunctionCache, NullCache

from mgm.waits import compilation_begins

TWIN_CALLS: Final = 1000
"""Calls of a twin before its loop is compiled. Together they take about as long as to compile it."""


class _State(threading.local):
    """Attributes: `at_once`: twins are not called. `only_cached`: a loop that is not on the disk is not compiled."""

    at_once = False
    only_cached = False


_state = _State()


def compiled(*, nogil: bool = False, twin: Callable[..., Any] | None = None) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that compiles a loop for the types of its arguments.

    Args:
        nogil: let other threads run meanwhile.
        twin: does the same, bit for bit, without being compiled.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        """Compile a function on its first call, or load what an earlier process compiled."""
        kernel = njit(nogil=nogil)(function)
        try:
            kernel._cache = _Cache(function)  # as cache=True does
        except RuntimeError:  # no folder can be written
            kernel._cache = _NoCache()
        return kernel if twin is None else _LazilyCompiled(kernel, twin)

    return decorate


@contextmanager
def compiled_at_once() -> Iterator[None]:
    """Compile the loops that this thread calls in the block, and use them from then on."""
    before, _state.at_once = _state.at_once, True
    try:
        yield
    finally:
        _state.at_once = before


def load_cached(compile_loops: Callable[[], None]) -> bool:
    """Load the loops that `compile_loops` compiles from the disk; compile none.

    Returns:
        Whether the disk has all of them.
    """
    before, _state.only_cached = _state.only_cached, True
    try:
        compile_loops()
    except _NotCachedError:
        return False
    finally:
        _state.only_cached = before
    return True


def cache_folder(kernel: Any) -> str | None:
    """The folder in which a compiled loop is kept for other processes; None if no folder can be written."""
    folder: str | None = kernel._cache.cache_path
    return folder


class _LazilyCompiled:
    """A loop whose first calls go to its twin, unless it is compiled already. Other attributes are those of the loop."""

    def __init__(self, kernel: Any, twin: Callable[..., Any]) -> None:
        self.kernel, self.twin = kernel, twin
        self._left: int | None = None  # calls of the twin; None: nothing was called yet

    def __call__(self, *args: Any) -> Any:
        return self.kernel(*args) if self._left == 0 or self._is_due(args) else self.twin(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def _is_due(self, args: tuple[Any, ...]) -> bool:
        if _state.at_once and _state.only_cached and not self._is_cached(args):
            raise _NotCachedError  # calls go on with the NumPy twin
        if _state.at_once or (self._left is None and self._is_cached(args)):
            self._left = 0
            return True
        # several threads may count down at once
        self._left = TWIN_CALLS if self._left is None else max(self._left - 1, 0)
        return self._left == 0

    def _is_cached(self, args: tuple[Any, ...]) -> bool:
        """Whether the disk has the loop for these arguments, which then is loaded."""
        return load_cached(lambda: self.kernel.compile(tuple(map(self.kernel.typeof_pyval, args))))


class _NotCachedError(Exception):
    """The disk does not have a loop."""


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache beside the source file, in NUMBA_CACHE_DIR or in the user's cache folder; a failure costs only the time."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for some types, or None."""
        found = None
        with suppress(OSError):
            found = super().load_overload(sig, target_context)
        if found is None:
            if _state.only_cached:
                raise _NotCachedError
            compilation_begins()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code."""
        with suppress(OSError):
            super().save_overload(sig, data)


class _NoCache(NullCache):  # type: ignore[misc]
    """Keeps nothing."""

    def load_overload(self, sig: Any, target_context: Any) -> None:
        """There is none."""
        if _state.only_cached:
            raise _NotCachedError
        compilation_begins()
