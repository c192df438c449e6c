"""Memory of processes that do the same again and again: what a step or a clip frees, the next one uses."""

from __future__ import annotations

import ctypes
import sys

# Names of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for this process instead of giving it back to the system after every step.

    A step frees and asks for the same hundreds of megabytes again and again. By default glibc gives large blocks back at once, and
    the system clears every page of the next ones: 8 to 12 % of a step of ViT-S on a CPU (benchmarks/step.py, --malloc), 3 to 5 % of
    reading clips. The process stays as large as it has been at most.

    Returns whether the C library took it: glibc does, others are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has a mallopt that does nothing
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))
