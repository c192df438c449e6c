"""Two classifiers, or two groups of them with different seeds, on the same test videos (`mgm compare`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.data.groups import read_groups
from mgm.data.items import VideoSet
from mgm.data.unreadable import LEAVE_OUT_ADVICE
from mgm.errors import ConfigError, DataError, FileError
from mgm.evaluation.bootstrap import mean_interval
from mgm.evaluation.metrics import Verdict, accuracy, accuracy_gain, verdict
from mgm.evaluation.multi_view import evaluate, stored_evaluation
from mgm.evaluation.prediction_table import video_names
from mgm.evaluation.ranks import Ranks
from mgm.training.shared_set import shared_set

RunHits = npt.NDArray[np.bool_]
"""bool (runs, videos), True = classified correctly."""

# Quantiles of Student's t that leave 2.5% above them, for 1 to 30 degrees of freedom. scipy would be a dependency for this alone.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunGain:
    """Gain in top-1 accuracy of one group of runs over another on the same videos.

    Attributes:
        before, after: accuracy of each run.
        value: mean of `after` minus mean of `before`.
        low, high: its 95% interval. method: what the interval covers.
        p: of McNemar's exact test; None for several runs, or for videos in groups, where it does not hold.
        bootstrap: interval of the paired bootstrap over videos or groups, at these runs.
        videos: number of videos that all runs have judged; expected: of the set.
        is_certain: whether the interval excludes 0, and for two runs on independent videos also whether McNemar's test agrees.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    value: float
    low: float
    high: float
    method: str
    p: float | None
    bootstrap: tuple[float, float]
    videos: int
    expected: int
    chance: float
    is_certain: bool

    @property
    def verdict(self) -> Verdict:
        """What the difference means."""
        best = accuracy(np.arange(self.videos) < round(float(np.mean(self.after)) * self.videos))
        return verdict(self, above_chance=best.low > self.chance)

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "verdict": self.verdict}


def compare_runs(
    before: str,
    after: str,
    data: str | Path | VideoSet,
    *,
    overrides: tuple[str, ...] = (),
    groups: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> RunGain:
    """The gain of `after` over `before`, paired by video.

    Runs that were evaluated on the set with these settings are not evaluated again.

    Args:
        before, after: a run each, or several that differ in their seed, separated by commas or as a pattern such as `runs/a-*`.
        data, overrides, progress: as in `mgm.evaluate`.
        groups: test videos that are alike, see `read_groups`.

    Raises:
        MgmError: a run does not exist or does not fit the set. DataError: no video was evaluated by all runs.
    """
    places = named_runs(before), named_runs(after)
    videos, ranks = shared_set(data), Ranks()
    judgements = [[_judgement(run, videos, overrides, progress, ranks) for run in group] for group in places]
    return ranks.from_first(lambda: _gain([[one for one in group if one] for group in judgements], videos, groups))


def _gain(judgements: Sequence[Sequence[_Judgement]], videos: VideoSet, groups: str | None) -> RunGain:
    """The gain of the second group of runs over the first one."""
    check_same_views([one for group in judgements for one in group])
    found = [[one.hits for one in group] for group in judgements]
    judged = set.intersection(*(set(hits) for group in found for hits in group))
    names = [name for name in next(iter(found[0])) if name in judged]
    if not names:
        raise DataError(
            videos.root,
            "no test video was evaluated by all runs",
            advice=LEAVE_OUT_ADVICE,
            reason="too_many_failures",
        )
    old, new = (np.array([[hits[name] for name in names] for hits in group]) for group in found)
    of_video = None
    if groups is not None:
        given = dict(zip(video_names(videos.test), read_groups(groups, videos.test), strict=True))
        of_video = [given[name] for name in names]
    return gain_of_runs(
        old, new, groups=of_video, expected=len(videos.test) + len(videos.missing), chance=1 / len(videos.classes)
    )


def named_runs(text: str) -> list[Path]:
    """The runs that an argument names. Raises FileError for a pattern that fits none."""
    runs: list[Path] = []
    for part in text.split(","):
        if any(c in part for c in "*?["):
            pattern = Path(part)
            places = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
            matching = sorted(path for path in places if path.is_dir())
            if not matching:
                raise FileError(
                    part, "matches no folder", "runs", "quote the pattern for the shell", reason="not_found"
                )
            runs += matching
        else:
            runs.append(Path(part))
    return runs


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Of one run: name of each judged video -> whether it was classified correctly, and the views of a video."""

    run: Path
    hits: Mapping[str, bool]
    views: str


def _judgement(
    run: Path, videos: VideoSet, overrides: tuple[str, ...], progress: Callable[[str], None] | None, ranks: Ranks
) -> _Judgement | None:
    """Of the first rank; None on the others."""
    stored = stored_evaluation(run, videos, overrides=overrides)
    if ranks.from_first(lambda: stored is None):
        measured = evaluate(run, videos, overrides=overrides, progress=progress)
        stored = measured.result, measured.judged
    if stored is None or not ranks.is_first:
        return None
    result, judged = stored
    views = f"{result.protocol['temporal views']}x{result.protocol['spatial views']}"
    return _Judgement(run, dict(zip(judged.names, judged.hits.tolist(), strict=True)), views)


def check_same_views(judgements: Sequence[_Judgement]) -> None:
    """Raise ConfigError if runs were judged over different numbers of views. Clips may differ: they belong to the model."""
    first = judgements[0]
    for other in judgements:
        if other.views != first.views:
            raise ConfigError(
                other.run,
                f"is evaluated over {other.views} views",
                f"{first.views}, as {first.run}",
                "set the views of all runs, such as probe.temporal_views=5 probe.spatial_views=3",
                reason="mismatch",
            )


def gain_of_runs(
    before: RunHits,
    after: RunHits,
    *,
    groups: Sequence[str] | None = None,
    expected: int | None = None,
    chance: float = 0.0,
) -> RunGain:
    """The gain from the hits of the runs of two groups on the same videos.

    With one run each: Newcombe's interval for paired proportions and McNemar's exact test; the bootstrap over groups if there are
    some. With several: a t interval from the variance over runs in each group, as in Welch's test, plus that over videos, with
    Satterthwaite's degrees of freedom. A group of one run has no known variance over runs, which the method then says.

    Args:
        groups: of each video.
        chance: accuracy of guessing.
    """
    count = before.shape[1]
    each = after.mean(0) - before.mean(0)
    value = float(each.mean())
    resampled = mean_interval(each, groups=groups)
    covered = "videos" if groups is None else f"{len(set(groups))} groups"
    p = None
    if len(before) == len(after) == 1:
        if groups is None:
            gain = accuracy_gain(after[0], before[0])
            low, high, p, certain = gain.low, gain.high, gain.p, gain.is_certain
        else:
            low, high = resampled
            certain = not low <= 0 <= high
        method = f"over {covered}, not over seeds: one run each"
    else:
        low, high = _t_interval(value, before.mean(1), after.mean(1), each, groups)
        certain = not low <= 0 <= high
        single = [name for name, runs in (("A", before), ("B", after)) if len(runs) == 1]
        method = f"over {covered} and seeds" + (f", except that of {single[0]}: one run" if single else "")
    before_each, after_each = (tuple(map(float, hits.mean(1))) for hits in (before, after))
    return RunGain(
        before=before_each,
        after=after_each,
        value=value,
        low=low,
        high=high,
        method=method,
        p=p,
        bootstrap=resampled,
        videos=count,
        expected=count if expected is None else expected,
        chance=chance,
        is_certain=certain,
    )


def _t_interval(
    value: float,
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    each: npt.NDArray[np.float64],
    groups: Sequence[str] | None,
) -> tuple[float, float]:
    parts = [(runs.var(ddof=1) / len(runs), len(runs) - 1) for runs in (before, after) if len(runs) > 1]
    parts.append(_variance_of_mean(each, groups))
    variance = sum(part for part, _ in parts)
    shares = sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / shares if shares else math.inf
    reach = student_t(freedom) * math.sqrt(variance)
    return value - reach, value + reach


def _variance_of_mean(values: npt.NDArray[np.float64], groups: Sequence[str] | None) -> tuple[float, int]:
    """Variance of the mean over videos, or over groups of them, and its degrees of freedom."""
    number = np.arange(len(values)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sums = np.bincount(number, values - values.mean())
    units = len(sums)
    if units < 2:
        return 0.0, 1
    return float((sums**2).sum() / len(values) ** 2 * units / (units - 1)), units - 1


def student_t(freedom: float) -> float:
    """The quantile that leaves 2.5% above it, for degrees of freedom that are rounded down: at most 1% too large."""
    whole = max(int(min(freedom, 1e9)), 1)
    return _T[whole - 1] if whole <= len(_T) else 1.959964 + 2.5 / whole
