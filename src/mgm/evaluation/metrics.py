"""Accuracy with confidence intervals. The intervals cover the choice of test videos, not that of the training seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Verdict = Literal["gain", "loss", "within noise", "not above chance"]

_Z = 1.959963984540054
"""Quantile of the normal distribution that leaves 2.5% above it."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy with its 95% interval (Wilson's) over `count` videos. Few videos make it wide, even if all are correct."""

    top1: float
    low: float
    high: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """For metrics.json and evaluation.json."""
        return {"top1": self.top1, "low": self.low, "high": self.high, "videos": self.count}


@dataclass(frozen=True, slots=True)
class AccuracyGain:
    """Difference of two accuracies on the same videos.

    Attributes:
        low, high: its 95% interval for paired proportions (Newcombe 1998, method 10).
        p: of the exact sign test on the videos that only one of the two classified correctly (McNemar's).
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval excludes 0 and the sign test agrees; with fewer than six changed videos it never does."""
        return self.p <= 0.05 and not self.low <= 0 <= self.high


class Difference(Protocol):
    """A difference of two figures."""

    @property
    def value(self) -> float:
        """The figure after, minus that before."""

    @property
    def is_certain(self) -> bool:
        """Whether it is distinguishable from 0."""


def verdict(gain: Difference, *, above_chance: bool = True) -> Verdict:
    """The words on a difference in every output: of a probe, of two runs, of seeds, and to a published figure.

    Args:
        above_chance: whether the figure after is better than guessing: only then does a gain mean something.
    """
    if not gain.is_certain:
        return "within noise"
    if gain.value < 0:
        return "loss"
    return "gain" if above_chance else "not above chance"


def correct(probability: npt.NDArray[np.float64], label: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """bool (videos,), True = the most probable class is the label."""
    hits: npt.NDArray[np.bool_] = probability.argmax(1) == label
    return hits


def top_k_hits(probability: npt.NDArray[np.float64], label: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.bool_]:
    """bool (videos,), True = the label is among the k most probable classes. Of equal ones, the lower label comes first."""
    best = np.argsort(-probability, axis=1, kind="stable")[:, :k]
    hits: npt.NDArray[np.bool_] = (best == label[:, None]).any(1)
    return hits


def accuracy(hits: npt.NDArray[np.bool_]) -> Accuracy:
    """Top-1 accuracy from the hits of each video."""
    fraction = float(hits.mean())
    return Accuracy(fraction, *_wilson(fraction, len(hits)), len(hits))


def accuracy_gain(after: npt.NDArray[np.bool_], before: npt.NDArray[np.bool_]) -> AccuracyGain:
    """Gain in accuracy from `before` to `after`, paired by video."""
    count, new, old = len(after), float(after.mean()), float(before.mean())
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    (new_low, new_high), (old_low, old_high) = _wilson(new, count), _wilson(old, count)
    tie = _correlation(int((after & before).sum()), gained, lost, int((~after & ~before).sum()))

    def reach(one: float, other: float) -> float:
        """Distance of a limit from the difference: the two proportions' own distances, combined under their correlation."""
        return math.sqrt(max(one**2 - 2 * tie * one * other + other**2, 0))

    value = (gained - lost) / count
    low = value - reach(new - new_low, old_high - old)
    return AccuracyGain(value, low, value + reach(new_high - new, old - old_low), _sign_test(gained, lost))


def _wilson(fraction: float, count: int) -> tuple[float, float]:
    """95% score interval of a proportion (Wilson 1927)."""
    spread = _Z**2 / count
    centre = (fraction + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(fraction * (1 - fraction) / count + spread / 4 / count)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _correlation(both: int, gained: int, lost: int, neither: int) -> float:
    """Correlation of the two accuracies, with Newcombe's correction for continuity; 0 if one of them is 0 or 1."""
    spread = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    if not spread:
        return 0.0
    together = both * neither - gained * lost
    corrected = max(together - (both + gained + lost + neither) / 2, 0) if together > 0 else together
    return corrected / math.sqrt(spread)


def _sign_test(gained: int, lost: int) -> float:
    """Probability of a split at least as uneven if gains and losses are equally likely."""
    changed = gained + lost

    def chance(k: int) -> float:
        """Probability of k gains among the changed videos, as logarithms: their factorials overflow."""
        ways = math.lgamma(changed + 1) - math.lgamma(k + 1) - math.lgamma(changed - k + 1)
        return math.exp(ways - changed * math.log(2))

    return min(2 * math.fsum(chance(k) for k in range(min(gained, lost) + 1)), 1.0)
