"""Inner loops compiled by numba at their first call, and kept on the disk where that is possible.

`numba.njit(cache=True)` raises RuntimeError where neither the package nor the user's cache folder can be written (containers,
other users' installations), and OSError in the first call if the disk is full. Here the loops are then compiled once per process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from mgm.waits import compilation_begins


def compiled(*, nogil: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that compiles a loop for the types of its arguments.

    Args:
        nogil: let other threads run meanwhile.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        kernel = njit(nogil=nogil)(function)
        with suppress(RuntimeError):  # no folder can be written
            kernel._cache = _Cache(function)  # as cache=True does
        return kernel

    return decorate


def cache_folder(kernel: Any) -> str | None:
    """The folder in which a compiled loop is kept for other processes; None if no folder can be written."""
    folder: str | None = kernel._cache.cache_path
    return folder


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache beside the source file, in NUMBA_CACHE_DIR or in the user's cache folder; a failure costs only the time."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for some types, or None."""
        found = None
        with suppress(OSError):
            found = super().load_overload(sig, target_context)
        if found is None:
            compilation_begins()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code."""
        with suppress(OSError):
            super().save_overload(sig, data)
