"""Tables of kept cells: mean class accuracies, and differences with intervals over seeds and videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cells import Hits

DRAWS = 2000

Found = dict[str, dict[int, Hits]]
"""Name of an arm or rival -> seed -> hits."""


@dataclass(frozen=True)
class Row:
    """One probe of one arm.

    Attributes:
        each: mean class accuracy of every seed.
        gain, low, high: difference to the reference over the seeds that both have, and its 95% interval; NaN: no such seed.
    """

    each: npt.NDArray[np.float64]
    gain: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")


def class_mean(hits: npt.NDArray[np.float64], label: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean over the classes of their accuracies, of hits (..., videos)."""
    return np.mean([hits[..., label == c].mean(-1) for c in np.unique(label)], axis=0)


def difference(
    hits: npt.NDArray[np.float64], base: npt.NDArray[np.float64], label: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """95% interval of the difference of mean class accuracies; hits, base: (seeds, videos). Seeds and videos are drawn anew."""
    rng = np.random.default_rng(0)
    paired, values = hits - base, np.empty(DRAWS)
    own = [np.flatnonzero(label == c) for c in np.unique(label)]
    for draw in range(DRAWS):
        seeds = rng.integers(len(paired), size=len(paired))
        of_videos = paired[seeds].mean(0)
        values[draw] = np.mean([of_videos[rng.choice(rows, len(rows))].mean() for rows in own])
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def judge(found: Found, reference: str, way: str, label: npt.NDArray[np.int64]) -> dict[str, Row]:
    """Name -> the row of one probe. Differences are paired by seed and video; an arm has no other seed than its reference."""
    rows = {}
    base = found.get(reference, {})
    for name, seeds in found.items():
        own = {seed: hits[way].astype(float) for seed, hits in seeds.items() if way in hits}
        if not own:
            continue
        each = class_mean(np.array(list(own.values())), label)
        both = [seed for seed in own if way in base.get(seed, {})]
        if name == reference or not both:
            rows[name] = Row(each)
            continue
        mine, theirs = np.array([own[s] for s in both]), np.array([base[s][way].astype(float) for s in both])
        gain = float((class_mean(mine, label) - class_mean(theirs, label)).mean())
        rows[name] = Row(each, gain, *difference(mine, theirs, label))
    return rows


def ways_of(systems: Iterable[Mapping[int, Hits]]) -> list[str]:
    """Names of the probes, each once."""
    return list(dict.fromkeys(way for seeds in systems for hits in seeds.values() for way in hits))


def print_table(
    title: str, found: Found, reference: str, label: npt.NDArray[np.int64], paper: Mapping[str, float]
) -> None:
    """Mean class accuracy of each arm ± deviation over seeds, in brackets the interval of the difference; the paper's figure."""
    ways = ways_of(found.values())
    judged = {way: judge(found, reference, way, label) for way in ways}
    print(f"\n{title}: {len(label)} test videos, chance {1 / len(np.unique(label)):.3f}\n")
    beside = ["the paper: SSv2, top-1"] if paper.keys() & found.keys() else []
    print(f"| | seeds | {' | '.join([*ways, *beside])} |\n|---|---|{'---|' * len([*ways, *beside])}")
    for name, seeds in found.items():
        cells = [_cell(judged[way].get(name)) for way in ways]
        cells += [f"{paper[name]:.3f}" if name in paper else "" for _ in beside]
        print(f"| {name} | {', '.join(map(str, sorted(seeds)))} | {' | '.join(cells)} |")


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    text = f"{row.each.mean():.3f}"
    if len(row.each) > 1:
        text += f" ± {row.each.std(ddof=1):.3f}"
    return text if np.isnan(row.gain) else f"{text} ({row.low:+.3f} to {row.high:+.3f})"
