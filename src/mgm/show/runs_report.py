"""The report of several runs side by side, as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mgm.show.curves import RunCurves, read_run
from mgm.show.report.elements import Column, PageSection, Table
from mgm.show.report.report import Report, write_report
from mgm.show.run_sections import CHARTS, chart_section, names_of, next_section, outcome_sections, settings_section


def write_runs_report(folders: Sequence[Path], file: Path, *, video: str | None = None) -> list[str]:
    """Write the report of several runs; returns sentences about their losses.

    Args:
        video: of the clip that is reconstructed; None: one of each run's set.

    Raises:
        ConfigError: a folder has no log of a run.
        ModelError: the results of a run are damaged.
        FileError: the file cannot be written.
        VideoError: `video` cannot be read.
    """
    places = dict(zip(names_of(folders), folders, strict=True))
    runs = {name: read_run(folder) for name, folder in places.items()}
    charts = [chart_section("Loss", "loss", ("loss",), runs)]
    charts += [chart_section(title, label, names, runs) for title, label, names in CHARTS]
    sections = [
        _overview(runs),
        *outcome_sections(places, video),
        *charts,
        settings_section(places),
        _environment(runs),
        next_section(places, file),
    ]
    report = Report(
        title=f"{len(runs)} runs",
        summary=_summary(runs),
        made=f"mgm report, {datetime.now(UTC):%d %B %Y}",
        sections=tuple(section for section in sections if section is not None),
    )
    write_report(file, report)
    return [_summary(runs)]


def _summary(runs: Mapping[str, RunCurves]) -> str:
    """Whether the losses can be compared, and which is lowest."""
    ends = {name: end for name, run in runs.items() if (end := run.last("loss")) is not None}
    first, *others = runs.values()
    if len(ends) < len(runs):
        return f"{len(runs) - len(ends)} of {len(runs)} runs have no finite loss."
    if not all(first.is_comparable(other) for other in others):
        return (
            "The runs have different models or targets, so that their losses cannot be compared. Compare their results."
        )
    lowest = min(ends, key=lambda name: ends[name])
    advice = "Compare results, too: a loss does not measure features."
    return f"The loss of {lowest} is the lowest at the end, {ends[lowest]:.3g}. {advice}"


def _overview(runs: Mapping[str, RunCurves]) -> PageSection:
    columns = (
        Column("run"),
        Column("kind"),
        Column("set"),
        Column("mask"),
        Column("clips seen", number=True),
        Column("loss", "mean of the last point", number=True),
        Column("clips per second", number=True),
        Column("waiting for data", number=True),
    )
    rows = tuple(
        (
            name,
            run.kind,
            str(run.made["set"]),
            run.made["mask"] or "-",
            f"{run.clips[-1]:,.0f}",
            _shown(run.last("loss"), ".3g"),
            _shown(run.last("clips_per_second"), ",.0f"),
            _shown(run.last("data_wait"), ".0%"),
        )
        for name, run in runs.items()
    )
    return PageSection("The runs", (Table(columns, rows),))


def _environment(runs: Mapping[str, RunCurves]) -> PageSection:
    columns = (Column("run"), Column("machine"), Column("version of mgm"), Column("seed", number=True))
    rows = tuple(
        (name, str(run.made["machine"]), str(run.made["version"]), str(run.made["seed"])) for name, run in runs.items()
    )
    return PageSection("Environment", (Table(columns, rows),))


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
