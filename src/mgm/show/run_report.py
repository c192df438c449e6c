"""The report of a run: its curves with those of comparable runs behind, and how normal its loss is, as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mgm.show.curves import RunCurves, read_references, read_run
from mgm.show.report.elements import CurveChart, FactList, PageSection, Text
from mgm.show.report.facts import Headline
from mgm.show.report.report import Report, write_report
from mgm.show.run_sections import CHARTS, chart_section, curve_of, next_section, outcome_sections

REPORT_FILE = "report.html"


def write_run_report(folder: Path, file: Path, *, video: str | None = None) -> list[str]:
    """Write the report of a run; returns the sentences about its loss.

    Args:
        video: of the clip that is reconstructed; None: one of the run's set.

    Raises:
        ConfigError: the folder has no log of a run.
        ModelError: its results are damaged.
        FileError: the file cannot be written.
        VideoError: `video` cannot be read.
    """
    run = read_run(folder)
    place = {run.name: folder}
    references = [other for other in read_references() if run.is_comparable(other)]
    sentences = judge_loss(run, references)
    loss = PageSection(
        "Loss",
        (
            CurveChart(
                (curve_of(run, "loss", "this run"), *(curve_of(other, "loss", other.name) for other in references)),
                "loss",
                f"Loss over the clips seen. {' '.join(sentences)}",
                x_label="clips seen",
                caption="Means over equally many steps. Loss depends on the set: compare the shape before the height.",
            ),
            *((Text("\n\n".join(sentences[1:])),) if sentences[1:] else ()),  # the first is the summary
        ),
    )
    alone = {run.name: run}
    others = [chart_section(title, label, names, alone) for title, label, names in CHARTS]
    made = PageSection("The run", (_facts(run.made),))
    behind = [PageSection(f"Reference: {other.name}", (_facts(other.made),)) for other in references]
    report = Report(
        title=f"The run {run.name}",
        summary=sentences[0],
        made=f"mgm report, {datetime.now(UTC):%d %B %Y}",
        headlines=_headlines(run),
        sections=tuple(
            section
            for section in (loss, *outcome_sections(place, video), *others, made, *behind, next_section(place, file))
            if section is not None
        ),
    )
    write_report(file, report)
    return sentences


def judge_loss(run: RunCurves, references: list[RunCurves]) -> list[str]:
    """Whether the loss is normal, in sentences: where it stands, where it should begin, and beside each reference."""
    losses = [loss for loss in run.values["loss"] if loss is not None]
    if not losses:
        return ["No step has a finite loss: see 'Steps that are skipped' in docs/runs.md."]
    sentences = [f"The loss went from {losses[0]:.3g} to {losses[-1]:.3g} in {run.clips[-1]:,.0f} clips."]
    if run.kind == "finetune" and run.made["classes"]:
        sentences.append(
            f"A classifier that knows nothing begins at ln {run.made['classes']} = {math.log(run.made['classes']):.3g}."
        )
    elif run.made["target"] == "normalised-pixels":
        sentences.append(
            "A constant prediction costs 1; a new model begins above it. A plateau just below 1 is usual: the model learns "
            "structure when the curve leaves it."
        )
    for other in references:
        there = other.loss_at(run.clips[-1])
        at = "at its end" if there is None else "after as many clips"
        value = other.last("loss") if there is None else there
        assert value is not None  # a reference has a finite loss
        sentences.append(
            f"The reference {other.name} has {value:.3g} {at}: this run is {losses[-1] / value - 1:+.0%} from it."
        )
    if not references:
        sentences.append(
            "No reference has a model of this size and this target: the loss has nothing to be compared with."
        )
    return sentences


def _facts(made: Mapping[str, Any]) -> FactList:
    """What a loss depends on, as far as it is known; several targets with their weights."""

    def words(value: object) -> str:
        """A value as text; several targets with their weights."""
        if isinstance(value, dict):
            return ", ".join(f"{name} x {weight:g}" for name, weight in value.items())
        return str(value)

    return FactList(tuple((name.replace("_", " "), words(value)) for name, value in made.items() if value is not None))


def _headlines(run: RunCurves) -> tuple[Headline, ...]:
    wait, speed, loss = run.last("data_wait"), run.last("clips_per_second"), run.last("loss")
    shown = [] if loss is None else [Headline(f"{loss:.3g}", "loss", "mean of the last point")]
    shown += [] if speed is None else [Headline(f"{speed:,.0f}", "clips per second")]
    shown += [] if wait is None else [Headline(f"{wait:.0%}", "waiting for data", "above 10% the loader is the limit")]
    return tuple(shown)
