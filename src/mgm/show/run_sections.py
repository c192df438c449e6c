"""Sections of a report that one run and several share: curves, results, settings that differ, environment, what to do next."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mgm.files.yaml_text import yaml_value
from mgm.show.confusion import confusion_section
from mgm.show.curves import RunCurves
from mgm.show.progress import progress_section
from mgm.show.report.elements import (
    Code,
    Column,
    Curve,
    CurveChart,
    Estimate,
    IntervalChart,
    IntervalRow,
    PageSection,
    Table,
)
from mgm.training.folder import RECIPE_FILE
from mgm.training.recipe import flat_settings, load_config
from mgm.training.results import RESULT_FILES, Metric, Result, read_results, result_file

CHARTS: Final = (
    ("Gradient", "norm of the gradient", ("gradient_norm",)),
    ("Learning rate", "learning rate", ("lr",)),
    ("Speed", "clips per second", ("clips_per_second",)),
    ("Waiting and use of the device", "fraction", ("data_wait", "flop_utilisation")),
    ("Masks and motion", "fraction", ("hidden", "mask_overlap", "fallback", "flow")),
)
"""Title, label of the axis, names of the log."""
_WORDS: Final = {
    "data_wait": "waiting for data",
    "flop_utilisation": "use of the device",
    "mask_overlap": "overlap of successive steps",
    "fallback": "steps without motion to follow",
    "flow": "clips with optical flow",
    "hidden": "hidden tokens",
}
_MOST_CURVES: Final = 8
"""More curves in one chart cannot be told apart; the table has the rest."""


def names_of(folders: Sequence[Path]) -> list[str]:
    """A name for each run: that of its folder, with those above it where two runs share one."""
    paths = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, paths)) + 1):
        names = [str(Path(*parts[-depth:])) for parts in paths]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def curve_of(run: RunCurves, name: str, label: str) -> Curve:
    """A quantity of the log over the clips seen."""
    return Curve(label, run.clips, tuple(math.nan if value is None else value for value in run.values[name]))


def chart_section(title: str, label: str, names: Sequence[str], runs: Mapping[str, RunCurves]) -> PageSection | None:
    """Charts of quantities: of one run in one chart, of several a chart for each quantity; None if no run has any."""
    there = [name for name in names if any(name in run.values for run in runs.values())]
    if not there:
        return None
    if len(runs) == 1:
        (run,) = runs.values()
        groups = [(label, [curve_of(run, name, _WORDS.get(name, name)) for name in there])]
    else:
        shown = list(runs.items())[:_MOST_CURVES]
        groups = [
            (_WORDS.get(name, label), [curve_of(run, name, own) for own, run in shown if name in run.values])
            for name in there
        ]
    return PageSection(
        title,
        tuple(
            CurveChart(tuple(curves), words, f"{words} over the clips seen", x_label="clips seen")
            for words, curves in groups
        ),
    )


def outcome_sections(folders: Mapping[str, Path], video: str | None) -> tuple[PageSection | None, ...]:
    """What came of the runs: results, confused classes, reconstructions. Errors as of these."""
    return result_section(folders), confusion_section(folders), progress_section(folders, video)


def result_section(folders: Mapping[str, Path]) -> PageSection | None:
    """Every result of the runs with its interval: fractions as a chart for each set and metric, and all in a table."""
    found = [
        (name, result)
        for name, folder in folders.items()
        for file in RESULT_FILES
        for result in read_results(result_file(folder, file))
    ]
    if not found:
        return None
    groups: dict[tuple[str, str], list[tuple[str, str, Metric]]] = {}
    for name, result in found:
        for metric in result.metrics:
            if metric.name.endswith("top-1") and metric.intervals:
                groups.setdefault((result.set.checksum, result.set.name), []).append((metric.name, name, metric))
    charts = [_interval_chart(of_set, sorted(rows, key=lambda row: row[0])) for (_, of_set), rows in groups.items()]
    rows = tuple(_result_row(name, result, metric) for name, result in found for metric in result.metrics)
    columns = (
        Column("run"),
        Column("kind"),
        Column("set"),
        Column("metric"),
        Column("value", number=True),
        Column("95% interval"),
        Column("videos", number=True),
    )
    return PageSection("Results", (*charts, Table(columns, rows)), lead="Intervals are 95%; each says what it covers.")


def _interval_chart(of_set: str, rows: Sequence[tuple[str, str, Metric]]) -> IntervalChart:
    """The accuracies on one set, those of one kind below each other."""
    return IntervalChart(
        (f"on {of_set}",),
        tuple(
            IntervalRow(f"{metric}: {run}", (Estimate(one.value, one.intervals[0].low, one.intervals[0].high),))
            for metric, run, one in rows
        ),
        f"accuracy on {of_set} with 95% intervals",
        "correct, %",
    )


def _result_row(name: str, result: Result, metric: Metric) -> tuple[str, ...]:
    between = f"{metric.bounds} ({metric.intervals[0].method})" if metric.intervals else "-"
    videos = result.videos.incomplete or f"{metric.count:,}"
    return name, result.kind, result.set.name, metric.name, metric.write(metric.value), between, videos


def settings_section(folders: Mapping[str, Path]) -> PageSection | None:
    """The settings in which the runs differ; None for one run or equal ones."""
    flat = {name: flat_settings(load_config(folder / RECIPE_FILE)) for name, folder in folders.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = []
    for key in keys:
        values = [yaml_value(own[key]) if key in own else "-" for own in flat.values()]
        if len(set(values)) > 1:
            rows.append((key, *values))
    if not rows:
        return None
    return PageSection(
        "Settings that differ",
        (Table((Column("setting"), *map(Column, flat)), tuple(rows)),),
        lead="All others are the same.",
    )


def next_section(folders: Mapping[str, Path], file: Path) -> PageSection:
    """Commands that go on from here, as typed in the folder of the report."""
    runs = [os.path.relpath(folder.resolve(), file.resolve().parent) for folder in folders.values()]
    first = shlex.quote(runs[0])
    lines = [f"mgm probe {first} SET", f"mgm finetune {first} SET", f"mgm explore SET --run {first}"]
    if len(runs) > 1:
        lines.insert(0, f"mgm compare {first} {shlex.quote(runs[1])} SET")
    return PageSection(
        "What to do next", (Code("\n".join(lines)),), lead="In the folder of this page, with a set of videos."
    )
