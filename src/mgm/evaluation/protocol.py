"""What two figures must share to be comparable, and metrics with their intervals, for the record of a result."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mgm.data.clips.sampling import Sampling, SamplingRule
from mgm.evaluation.metrics import accuracy
from mgm.training.config import Config
from mgm.training.results import Interval, Metric, SettingValue


def view_protocol(config: Config, sampling: Sampling, rule: SamplingRule = "exact") -> dict[str, SettingValue]:
    """The clips of a test video, and the precision of the model that judges them.

    Frames kept in memory (`data.memory`) are scaled to their "memory side" first, and differ from those of a file.
    """
    data = config.data
    shown: dict[str, SettingValue] = {} if data.input == "pixels" else {"input": data.input}
    return shown | {
        "temporal views": config.probe.temporal_views,
        "spatial views": config.probe.spatial_views,
        "frames": data.frames,
        "stride": data.stride,
        "size": data.size,
        "memory side": (data.memory_side or data.size) if data.memory else None,
        "sampling": sampling,
        "sampling rule": rule,
        "precision": config.probe.precision,
    }


def probe_protocol(config: Config) -> dict[str, SettingValue]:
    """The views of `view_protocol` and the training of the probes."""
    probe = config.probe
    return view_protocol(config, probe.sampling) | {
        "training clips per video": probe.clips_per_video,
        "attentive probe steps": probe.steps,
        "attentive probe batch": probe.batch,
        "pooling": probe.pooling,
        "attentive probe depth": probe.depth,
        "attentive probe settings": ", ".join(f"{lr:g} / {decay:g}" for lr, decay in probe.settings),
        "probes": ", ".join(probe.heads),
    }


def accuracy_metric(name: str, hits: npt.NDArray[np.bool_]) -> Metric:
    """The fraction of hits, bool (videos,), with Wilson's interval."""
    found = accuracy(hits)
    return Metric(name=name, value=found.top1, count=found.count, intervals=(wilson_interval(hits),))


def wilson_interval(hits: npt.NDArray[np.bool_]) -> Interval:
    """Of a fraction of independent videos."""
    found = accuracy(hits)
    return Interval(low=found.low, high=found.high, method="Wilson")
