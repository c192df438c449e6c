"""The sections of every run: masks, loss, probes, data, the run itself, from facts to parts of a page."""

from mgm.printable import plural
from mgm.show.report.elements import (
    Cell,
    Code,
    Column,
    Curve,
    CurveChart,
    Estimate,
    FactList,
    IntervalChart,
    IntervalRow,
    PageSection,
    SectionPart,
    Table,
    Text,
)
from mgm.show.report.facts import VERDICT_TONES, DataFacts, MaskFacts, ProbeFacts, ProbeResult, RunFacts

_FAILURES_SHOWN = 50


def mask_section(masks: MaskFacts) -> PageSection:
    """Masks side by side: hidden share of objects and motion, overlap between steps, fallbacks."""
    fallback_note = "steps without motion to follow" if masks.steps is None else f"of {masks.steps:,} steps"
    columns = (
        Column("mask"),
        Column("moving object covered", "share of the true boxes", number=True),
        Column("motion masked", "share of the motion energy", number=True),
        Column("step-to-step overlap", "mean IoU; 1 = static", number=True),
        Column("fallbacks", fallback_note, number=True),
    )
    rows = tuple(
        (
            row.name,
            _share(row.object_covered),
            _share(row.motion_masked),
            _share(row.step_iou, per_cent=False),
            _count(row.fallbacks),
        )
        for row in masks.rows
    )
    share = f"{masks.ratio:.0%}"
    lead = (
        f"Every mask hides {share} of the tokens, so one that ignores motion hides about {share} of anything. "
        f"Measured on the same {plural(masks.clips, 'clip')}."
    )
    parts: list[SectionPart] = [Table(columns, rows, marked=masks.subject)]
    if all(row.object_covered is None for row in masks.rows):
        parts.append(Text("The clips have no boxes, so the covered share of the moving object was not measured."))
    return PageSection("Hidden by the mask", tuple(parts), lead)


def loss_section(curves: tuple[Curve, ...], note: str) -> PageSection:
    """The loss over the run."""
    alt = "; ".join(
        f"{c.label}: {c.values[0]:.3g} at step {c.steps[0]:g}, {c.values[-1]:.3g} at step {c.steps[-1]:g}"
        for c in curves
        if c.values
    )
    return PageSection(
        "Reconstruction loss", (CurveChart(curves, "loss on masked tokens", f"Loss over steps. {alt}", caption=note),)
    )


def probe_section(probes: ProbeFacts) -> PageSection:
    """Accuracy of the systems, or the reason for its absence."""
    title = "What the features know"
    if not probes.results:
        return PageSection(title, (Text(probes.absent or "No probe was run."),))
    reference = None if probes.chance is None else ("chance", probes.chance)
    rows = tuple(IntervalRow(result.name, result.estimates) for result in probes.results)
    alt = "; ".join(
        f"{result.name}: "
        + ", ".join(f"{s} {_estimate(e)}" for s, e in zip(probes.systems, result.estimates, strict=True))
        for result in probes.results
    )
    chart = IntervalChart(probes.systems, rows, f"Top-1 with 95% intervals. {alt}", "top-1 accuracy", reference)
    columns = (
        Column("top-1 [95% interval]"),
        *(Column(system, number=True) for system in probes.systems),
        Column("difference", f"to {probes.baseline}, paired, points", number=True),
        Column("verdict"),
    )
    table = Table(columns, tuple(_probe_row(result) for result in probes.results))
    measured = [] if probes.clips is None else [plural(probes.clips, "test clip")]
    measured += [] if probes.classes is None else [f"{probes.classes} classes"]
    lead = f"{probes.lead} {', '.join(measured)}.".strip() if measured else probes.lead
    parts: tuple[SectionPart, ...] = (chart, table)
    return PageSection(title, parts + ((Text(probes.note),) if probes.note else ()), lead)


def _probe_row(result: ProbeResult) -> tuple[str | Cell, ...]:
    difference = "—"
    if result.difference is not None:
        d = result.difference
        difference = f"{d.value * 100:+.1f} [{d.low * 100:+.0f}, {d.high * 100:+.0f}]".replace("-", "−")
    verdict = "—" if result.verdict is None else Cell(result.verdict, tone=VERDICT_TONES[result.verdict])
    return result.name, *(_estimate(estimate) for estimate in result.estimates), difference, verdict


def data_section(data: DataFacts) -> PageSection:
    """The files: counts, formats, and the unusable ones."""
    counts = (("files found", f"{data.found:,}"), ("read", f"{data.read:,}"), ("failed", f"{data.failed:,}"))
    place = (("folder", data.place),) if data.place else ()
    parts: list[SectionPart] = [FactList(place + counts + data.more)]
    if data.failures:
        rows = tuple((failure,) for failure in data.failures[:_FAILURES_SHOWN])
        parts.append(Table((Column("files that could not be used"),), rows))
    left_out = len(data.failures) - _FAILURES_SHOWN
    if left_out > 0:
        parts.append(Text(f"And {left_out:,} more."))
    return PageSection("The data", tuple(parts))


def run_section(run: RunFacts) -> PageSection:
    """Machine, versions, seed, and the seconds of each stage."""
    facts: tuple[tuple[str, str], ...] = (("machine", run.machine),) if run.machine else ()
    facts += (("seed", str(run.seed)),) if run.seed is not None else ()
    facts += (("versions", ", ".join(f"{name} {version}" for name, version in run.versions)),) if run.versions else ()
    parts: list[SectionPart] = [Code(run.command)] if run.command else []
    if facts or run.more:
        parts.append(FactList(facts + run.more))
    if run.stages:
        total = sum(seconds for _, seconds in run.stages)
        rows = tuple(
            (name, Cell(_duration(seconds), share=seconds / total if total else 0.0)) for name, seconds in run.stages
        )
        parts.append(Table((Column("stage"), Column("time", f"{_duration(total)} in all", number=True)), rows))
    return PageSection("The run", tuple(parts))


def _share(value: float | None, *, per_cent: bool = True) -> Cell:
    if value is None:
        return Cell("—")
    return Cell(f"{value:.1%}" if per_cent else f"{value:.2f}", share=value)


def _count(value: int | None) -> str:
    return "—" if value is None else f"{value:,}"


def _estimate(estimate: Estimate | None) -> str:
    return "—" if estimate is None else f"{estimate.value:.1%} [{estimate.low * 100:.0f}, {estimate.high * 100:.0f}]"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
