"""Round numbers for the axes of charts."""

from __future__ import annotations

import math


def ticks_around(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from below `low` to above `high`: by the smallest round step that fits into the range at most `most` times."""
    if low == high:
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * k, 10) for k in range(first, max(last, first + 1) + 1)]


def ticks_within(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers within `low` and `high`."""
    if not high > low:
        return [low]
    step = _round_step((high - low) / max(1, count))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _round_step(least: float) -> float:
    """The next step of 1, 2 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= least * (1 - 1e-9))
