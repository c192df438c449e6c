"""Accuracy and how sure one can be of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy with its 95% bootstrap interval over videos; `count` videos."""

    top1: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of two accuracies on the same videos, with its paired 95% bootstrap interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Literal["gain", "loss", "within noise"]:
        """Whether the interval excludes 0."""
        if self.low > 0:
            return "gain"
        return "loss" if self.high < 0 else "within noise"


def correct(probability: npt.NDArray[np.float64], label: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """bool (videos,): the most probable class is the label."""
    hits: npt.NDArray[np.bool_] = probability.argmax(1) == label
    return hits


def top_k(probability: npt.NDArray[np.float64], label: npt.NDArray[np.int64], k: int) -> float:
    """Share of videos whose label is among the k most probable classes."""
    best = np.argpartition(-probability, min(k, probability.shape[1]) - 1, axis=1)[:, :k]
    return float((best == label[:, None]).any(1).mean())


def accuracy(hits: npt.NDArray[np.bool_], *, seed: int = 0) -> Accuracy:
    """Top-1 of per-video hits."""
    low, high = _interval(hits.astype(np.float64), seed)
    return Accuracy(float(hits.mean()), low, high, len(hits))


def difference(after: npt.NDArray[np.bool_], before: npt.NDArray[np.bool_], *, seed: int = 0) -> Difference:
    """How much better `after` is, video by video."""
    gain = after.astype(np.float64) - before
    low, high = _interval(gain, seed)
    return Difference(float(gain.mean()), low, high)


def _interval(values: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    """95% percentile bootstrap of the mean. It covers the choice of test videos, not that of the training seed."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
