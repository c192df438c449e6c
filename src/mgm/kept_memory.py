"""Memory of arrays that is used again when nothing refers to it any more.

The system hands out fresh memory page by page at the first touch, which takes time in every clip.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MOST_KEPT: Final = 2**24
"""Bytes that a thread keeps at most for one purpose."""

_UNUSED: Final = 2
"""References to a buffer without views: that of the thread, and the argument of `getrefcount`."""


class KeptMemory(threading.local):
    """The memory of each thread's last array of one purpose."""

    def __init__(self) -> None:
        self._buffer: npt.NDArray[np.uint8] | None = None

    @property
    def size(self) -> int:
        """Bytes of this thread's memory."""
        return 0 if self._buffer is None else self._buffer.size

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """An uninitialised array, in the memory of this thread's last one if that and all of its views are gone."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > MOST_KEPT:
            return np.empty(shape, dtype)
        # A view refers to the array that owns the memory, also as a view of a view.
        fits = self._buffer is not None and size <= self._buffer.size <= 2 * size
        if not fits or sys.getrefcount(self._buffer) > _UNUSED:
            self._buffer = np.empty(size, np.uint8)
        assert self._buffer is not None
        return self._buffer[:size].view(dtype).reshape(shape)
