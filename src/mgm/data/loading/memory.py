"""Reuse of freed memory in processes that repeat the same allocations."""

from __future__ import annotations

import ctypes
import sys

# Names of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory in this process instead of returning it to the system after every step.

    A step allocates and frees the same hundreds of megabytes each time. By default glibc returns large blocks at once, and the
    system clears every page of the next ones: 8 to 12 % of a step of ViT-S on a CPU (benchmarks/step.py, --malloc), 3 to 5 %
    of reading clips. The process keeps its maximum size.

    Returns whether the setting is supported: only by glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # mallopt of musl has no effect
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))
