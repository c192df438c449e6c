"""Memory of the frames of clips, used again when nothing refers to it any more.

The system hands out fresh memory page by page at the first touch, which takes a twentieth of the time of a clip of 16 frames.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Final

import numpy as np
import numpy.typing as npt

MOST_KEPT: Final = 2**24
"""Bytes that a thread keeps at most."""

_UNUSED: Final = 2
"""References to a buffer without views: that of the thread, and the argument of `getrefcount`."""


class _Kept(threading.local):
    buffer: npt.NDArray[np.uint8] | None = None


_kept = _Kept()


def empty_frames(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An uninitialised uint8 array of `shape`, in the memory of this thread's last one if that and all of its views are gone."""
    size = math.prod(shape)
    if size > MOST_KEPT:
        return np.empty(shape, np.uint8)
    # A view refers to the array that owns the memory, also as a view of a view.
    fits = _kept.buffer is not None and size <= _kept.buffer.size <= 2 * size
    if not fits or sys.getrefcount(_kept.buffer) > _UNUSED:
        _kept.buffer = np.empty(size, np.uint8)
    assert _kept.buffer is not None
    return _kept.buffer[:size].reshape(shape)
