"""Timing of functions against each other: interleaved, so that a machine that slows down slows all of them."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mgm.machine import machine, versions

Clock = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Timing:
    """Median seconds of a function, its ratio to the peer (median, smallest and largest over the rounds), and each round's."""

    seconds: float
    ratio: float
    low: float
    high: float
    rounds: tuple[float, ...]


def compare(
    functions: Mapping[str, Callable[[], object]],
    *,
    peer: str,
    rounds: int,
    units: Mapping[str, int] | None = None,
    clock: Clock = "wall",
) -> dict[str, Timing]:
    """Run all functions in turn, `rounds` times, forwards and backwards; the first round warms up and is not counted.

    Args:
        units: how many things (frames, pairs) a function does, 1 where it is not named; its seconds are divided by them.
        clock: "cpu" counts the processor time of all threads: what waits for other programs is not counted, what runs on a second
            thread is.
    """
    now = time.perf_counter if clock == "wall" else time.process_time
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            began = now()
            functions[name]()
            if number:
                seconds[name].append((now() - began) / (units or {}).get(name, 1))
    return timings(seconds, peer)


def timings(seconds: Mapping[str, Sequence[float]], peer: str) -> dict[str, Timing]:
    """The summary of each function's seconds in each round, with its ratios to those of `peer`."""
    result = {}
    for name, own in seconds.items():
        ratio, low, high = ratios(own, seconds[peer])
        result[name] = Timing(statistics.median(own), ratio, low, high, tuple(own))
    return result


def ratios(own: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest and largest ratio of two functions' seconds, round by round."""
    each = [a / b for a, b in zip(own, other, strict=True)]
    return statistics.median(each), min(each), max(each)


def processor_seconds() -> float:
    """Processor time of this process and of those of its processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def peak_memory() -> float:
    """The largest memory of this process in MB. That of `resource` includes the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def print_header(title: str, seed: int) -> None:
    """Facts printed with every result: machine, versions, seed."""
    print(title)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()) + f", seed {seed}")


def print_table(
    timings: Mapping[str, Timing],
    *,
    peer: str,
    per: int = 1,
    unit: str = "ms",
    scale: float = 1e3,
    second_peer: str | None = None,
) -> None:
    """One row per function; times are divided by `per`. A second peer gets its ratios after those of the first."""
    for name, t in timings.items():
        against = "" if name == peer else f"   {t.ratio:.2f} of {peer} [{t.low:.2f}, {t.high:.2f}]"
        if second_peer is not None and name not in (peer, second_peer):
            ratio, low, high = ratios(t.rounds, timings[second_peer].rounds)
            against += f"   {ratio:.2f} of {second_peer} [{low:.2f}, {high:.2f}]"
        print(f"{name:44s} {t.seconds / per * scale:9.2f} {unit}{against}", flush=True)
