"""Probes without a model, beside which every learned one must be shown: the function behind `mgm probe --baseline`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from mgm.data.clips.source import ClipSource
from mgm.data.items import VideoSet
from mgm.data.judging import unprobeable
from mgm.errors import ConfigError
from mgm.evaluation.probing import ProbeScores
from mgm.evaluation.protocol import accuracy_metric, view_protocol
from mgm.evaluation.raw_motion import probe_mean_frame, probe_raw_motion
from mgm.evaluation.run import ProbeReport
from mgm.training.checkpoint import open_encoder
from mgm.training.config import Config
from mgm.training.recipe import load_config
from mgm.training.results import Result, check_results, describe_set, describe_videos, keep_result, result_file
from mgm.training.run import open_source
from mgm.training.shared_set import shared_set

BASELINE_FILE: Final = "baseline.json"

BASELINE_RECIPE: Final = "laptop"
"""The clips of a baseline that is not measured beside a run."""

GRID: Final = (8, 8)
"""Cells of a frame."""


class _Prober(Protocol):
    def __call__(
        self, videos: VideoSet, config: Config, source: ClipSource, *, grid: tuple[int, int] | None = None
    ) -> ProbeScores: ...


_PROBERS: Final[Mapping[str, _Prober]] = {"motion": probe_raw_motion, "mean-frame": probe_mean_frame}


def probe_baseline(
    baseline: str,
    data: str | Path | VideoSet,
    *,
    run: str | Path | None = None,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    out: str | Path | None = None,
    source: ClipSource | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[ProbeReport, Result]:
    """Linear probe and k-NN without a model, on an 8 x 8 grid: of motion vectors, or of the colours of the mean frame.

    Args:
        data: a set with labels, see `load_set`.
        run: what the baseline is measured beside: its clips, and its folder for `baseline.json`; None: the clips of `recipe`.
        overrides: `key=value` settings.
        recipe: recipe to use instead of the run's own settings; without a run, by default `laptop`.
        out: another file for the result. Without a run and without `out` it is not kept.
        progress: called with one line of text per stage.

    Raises:
        MgmError: the baseline is not known, the run does not exist, or no accuracy can be measured on the videos.
    """
    if baseline not in _PROBERS:
        raise ConfigError("baseline", f"found {baseline!r}", f"one of {', '.join(_PROBERS)}", reason="unknown_name")
    config = load_config(recipe or BASELINE_RECIPE, overrides)
    file = None if out is None else Path(out)
    if run is not None:
        _, config = open_encoder(run, overrides, recipe=recipe)
        file = file or result_file(run, BASELINE_FILE)
    if file is not None:
        check_results(file)
    videos = shared_set(data)
    if (error := unprobeable(videos)) is not None:
        raise error
    if progress is not None:
        progress(f"reading {'motion' if baseline == 'motion' else 'frames'}")
    motion = baseline == "motion"
    items, source = open_source(videos.items, config, motion=motion, source=source, show_progress=progress is not None)
    scores = _PROBERS[baseline](videos.only(item.path for item in items), config, source, grid=GRID)
    result = baseline_result(baseline, scores, videos, config)
    if file is not None:
        keep_result(file, result)
    return ProbeReport(scores, []), result


def baseline_result(baseline: str, scores: ProbeScores, videos: VideoSet, config: Config) -> Result:
    """The record of a baseline on the set `videos` as given."""
    probe = config.probe
    return Result(
        kind="baseline",
        set=describe_set(videos),
        protocol={
            "baseline": baseline,
            "grid": "{} x {}".format(*GRID),
            **view_protocol(config, probe.sampling),
            "spatial views": 1,
            "motion": f"{config.data.motion}, {config.data.policy}, {config.data.reading}",
            "training clips per video": probe.clips_per_video,
            "neighbours": ", ".join(map(str, probe.neighbour_counts)),
        },
        videos=describe_videos(videos, judged=len(scores.tested), unreadable=scores.unreadable),
        metrics=tuple(accuracy_metric(f"{baseline}, {name} top-1", hits) for name, hits in scores.hits.items()),
        details={"classes": list(scores.classes), "chance": scores.chance},
    )
