"""Results with given figures."""

from mgm.training.results import Interval, Metric, Result, describe_set, describe_videos


def result_of(videos, value, /, *, kind="evaluation", name="top-1", low=None, high=None, protocol=None, **fields):
    """A result on a set, with one metric."""
    intervals = () if low is None else (Interval(low=low, high=high, method="Wilson"),)
    judged = describe_videos(videos, judged=len(videos.test), unreadable={})
    metric = Metric(name=name, value=value, count=len(videos.test), intervals=intervals)
    given = {"set": describe_set(videos), "protocol": protocol or {}, "videos": judged, "metrics": (metric,)}
    return Result(kind=kind, **(given | fields))
