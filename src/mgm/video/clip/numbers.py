"""Which frames make a clip, and how far apart they lie."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt


def clip_index(
    total: int, *, start: int, frames: int, stride: int, short: Literal["repeat_last", "wrap"] = "repeat_last"
) -> npt.NDArray[np.int64]:
    """Frame numbers of a clip of a video of `total` frames, int64 (frames,); `start` must lie in it. See `short` of `read_clip`."""
    wanted = start + stride * np.arange(frames, dtype=np.int64)
    reachable = wanted[wanted < total]
    if short == "wrap":
        return np.resize(reachable, frames)
    return np.concatenate([reachable, np.full(frames - len(reachable), reachable[-1])])


def index_strides(index: npt.NDArray[np.int64], *, default: int) -> npt.NDArray[np.int64]:
    """Of each frame of a clip how many frames lie back to the one before it, int64 (T,). The first one has the stride of the
    second; a repeated number has that of the number it repeats, as its motion is; `default` where nothing tells."""
    steps = np.diff(index, prepend=index[:1])
    known = np.flatnonzero(steps)
    if not len(known):
        return np.full(len(index), default, np.int64)
    latest = np.maximum.accumulate(np.where(steps > 0, np.arange(len(index)), known[0]))
    strides: npt.NDArray[np.int64] = steps[latest]
    return strides
