"""Where in a video a clip starts, and which videos stand for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def random_start(total: int, *, frames: int, stride: int, rng: np.random.Generator, step: int = 1) -> int:
    """A start from which the whole clip fits, uniformly; 0 where none does (VideoMAE's pretraining rule, which misses the last
    `stride - 1` of these starts). With `step`, only its multiples: files prepared for strides read fastest from there::

    total=12, frames=2, stride=4: the clip spans 5 frames, starts 0..7
    . . . . . . . . . . . .
    f       f
                  f       f

    """
    free = total - ((frames - 1) * stride + 1)
    return int(rng.integers(free // step + 1)) * step if free > 0 else 0


def view_starts(total: int, *, frames: int, stride: int, views: int) -> list[int]:
    """Starts of `views` clips spread evenly over the video, first to last; one view is centred. Equal starts are given once,
    so a video that is not longer than the clip has one view."""
    free = max(total - ((frames - 1) * stride + 1), 0)
    if views == 1:
        return [free // 2]
    return sorted({round(k * free / (views - 1)) for k in range(views)})


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread, so that every part of a sorted list has its share."""
    step = max(len(items) / max(count, 1), 1.0)
    return [items[int(i * step)] for i in range(min(count, len(items)))]
