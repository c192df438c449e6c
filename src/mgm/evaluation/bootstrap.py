"""Intervals by resampling videos, or groups of videos that are alike, such as those cut from one recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]
Statistic = Callable[[Sums], npt.NDArray[np.float64]]
"""From sums over the resampled videos, (resamples, quantities), to a figure of each resample, (resamples,)."""

RESAMPLES = 2000
_AT_ONCE = 100
"""Resamples whose counts are in memory together."""


def bootstrap_interval(
    values: npt.NDArray[np.floating], statistic: Statistic, *, groups: Sequence[str] | None = None
) -> tuple[float, float]:
    """95% percentile interval of a figure that depends on sums over videos (Efron 1979). The same input gives the same interval.

    Args:
        values: (videos, quantities), what each video adds to the sums.
        groups: of each video; groups are then drawn, not videos (cluster bootstrap). None: every video is its own.
    """
    units = _sum_by_group(np.asarray(values, np.float64), groups)
    figures = np.concatenate([statistic(counts @ units) for counts in _resampled_counts(len(units))])
    low, high = np.nanquantile(figures, [0.025, 0.975])
    return float(low), float(high)


def _resampled_counts(units: int) -> list[npt.NDArray[np.float64]]:
    """How often each unit is drawn, as float64 (_AT_ONCE, units) for every part of `RESAMPLES`."""
    rng = np.random.default_rng(0)
    share = np.full(units, 1 / units)
    return [rng.multinomial(units, share, size=_AT_ONCE).astype(np.float64) for _ in range(RESAMPLES // _AT_ONCE)]


def ratio(sums: Sums) -> npt.NDArray[np.float64]:
    """The first quantity over the second: the mean of values, if each video adds (value, 1)."""
    means: npt.NDArray[np.float64] = sums[:, 0] / sums[:, 1]
    return means


def mean_interval(
    values: npt.NDArray[np.floating | np.bool_], *, groups: Sequence[str] | None = None
) -> tuple[float, float]:
    """Interval of the mean of one value per video."""
    return bootstrap_interval(np.stack([values, np.ones(len(values))], axis=1), ratio, groups=groups)


def class_mean_interval(
    hits: npt.NDArray[np.bool_], label: npt.NDArray[np.int64], classes: int, *, groups: Sequence[str] | None = None
) -> tuple[float, float]:
    """Interval of the mean class accuracy; a resample counts the classes that it contains."""
    of_class = np.eye(classes)[label]

    def means(sums: Sums) -> npt.NDArray[np.float64]:
        """The statistic of resamples: the mean over the classes that each of them contains."""
        correct, videos = sums[:, :classes], sums[:, classes:]
        with np.errstate(invalid="ignore"):
            found: npt.NDArray[np.float64] = np.nanmean(correct / videos, axis=1)
        return found

    return bootstrap_interval(np.hstack([of_class * hits[:, None], of_class]), means, groups=groups)


def _sum_by_group(values: Sums, groups: Sequence[str] | None) -> Sums:
    if groups is None:
        return values
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((int(number.max()) + 1, values.shape[1]))
    np.add.at(sums, number, values)
    return sums
