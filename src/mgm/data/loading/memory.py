"""Freed memory: kept in processes that repeat the same allocations, returned to the system after work that is done once."""

from __future__ import annotations

import ctypes
import sys

# Names of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory in this process instead of returning it to the system after every step.

    A step allocates and frees the same hundreds of megabytes each time. By default glibc returns large blocks at once, and the
    system clears every page of the next ones, which costs part of a step and of reading clips (benchmarks/step.py --malloc
    compares). The process keeps its maximum size.

    Returns whether the setting is supported: only by glibc.
    """
    library = _glibc()
    return library is not None and bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))


def return_freed_memory() -> None:
    """Return freed memory to the system, such as that of a long list that was read. Only glibc supports it."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None  # mallopt of musl has no effect
