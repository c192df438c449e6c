"""Timing of functions against each other: interleaved, so that a machine that slows down slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mgm.show.machine import machine, versions


@dataclass(frozen=True)
class Timing:
    """Median seconds of a function, and its ratio to the peer: median, smallest and largest over the rounds."""

    seconds: float
    ratio: float
    low: float
    high: float


def compare(functions: Mapping[str, Callable[[], object]], *, peer: str, rounds: int) -> dict[str, Timing]:
    """Run all functions in turn, `rounds` times, forwards and backwards; the first round warms up and is not counted."""
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            began = time.perf_counter()
            functions[name]()
            if number:
                seconds[name].append(time.perf_counter() - began)
    result = {}
    for name in names:
        ratios = [own / other for own, other in zip(seconds[name], seconds[peer], strict=True)]
        result[name] = Timing(statistics.median(seconds[name]), statistics.median(ratios), min(ratios), max(ratios))
    return result


def print_header(title: str, seed: int) -> None:
    """What every result must say: machine, versions, seed."""
    print(title)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()) + f", seed {seed}")


def print_table(
    timings: Mapping[str, Timing], *, peer: str, per: int = 1, unit: str = "ms", scale: float = 1e3
) -> None:
    """One row per function; times are divided by `per`."""
    for name, t in timings.items():
        against = "" if name == peer else f"   {t.ratio:.2f} of {peer} [{t.low:.2f}, {t.high:.2f}]"
        print(f"{name:44s} {t.seconds / per * scale:9.2f} {unit}{against}")
