"""`mgm probe`"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

import mgm
from mgm.commands.next_command import folder_beside, new_folder, suggest
from mgm.commands.options import SET_HELP, AsJson, ForeignRecipe, Network, Settings, open_set, with_network
from mgm.commands.tables import plain_table
from mgm.errors import ConfigError
from mgm.ranks import on_first_rank
from mgm.terminal import Activity, Terminal, note, print_json

if TYPE_CHECKING:
    from mgm.evaluation.run import ProbeReport


def probe(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of 'mgm pretrain', or weights of another project. --baseline needs none: SET alone.",
        ),
    ],
    data: Annotated[str | None, typer.Argument(metavar="SET", help=SET_HELP)] = None,
    settings: Settings = None,
    recipe: ForeignRecipe = None,
    model: Network = None,
    untrained: Annotated[bool, typer.Option(help="Also evaluate the same encoder untrained.")] = True,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Probe without a model, on a grid of 8 x 8: motion (the vectors) or mean-frame (colours). With RUN: on its clips, "
            "the result beside its own; without: on clips of --recipe (default: laptop)."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the result of a baseline (json).")] = None,
    as_json: AsJson = False,
) -> None:
    r"""Evaluate a frozen encoder: attentive probe, linear probe, k-NN and few labels, compared with the same encoder untrained.

    mgm probe runs/a videos/ probe.heads=\[linear,linear-sgd,knn]

    mgm probe runs/a videos/ probe.depth=4 probe.lr=[0.005,0.001] probe.weight_decay=[0.01,0.1]

    mgm probe videos/ --baseline motion
    """
    given = tuple(settings or ())
    if baseline is not None:
        if data is not None and re.match(r"[a-z_]+\.[a-z_.]+=", data):  # a setting after the set alone
            given = (data, *given)
            data = None
        _probe_baseline(baseline, run, data, given, recipe, out, as_json=as_json)
        return
    if data is None:
        raise ConfigError(
            "SET", "found none", "mgm probe RUN SET, or mgm probe SET --baseline motion", reason="missing_value"
        )
    if out is not None:
        raise ConfigError(
            "--out", "found without --baseline", "the results of a run are in its folder", reason="conflict"
        )
    with Activity("reading videos") as activity:
        from mgm.training.results import PROBE_FILE, read_results, result_file

        report = mgm.probe(
            run,
            open_set(data),
            overrides=with_network(given, model),
            recipe=recipe,
            untrained=untrained,
            progress=activity.rename,
            announce=note,
        )
    if as_json:
        print_json(read_results(result_file(run, PROBE_FILE))[0].model_dump(mode="json"))
        return
    _print_report(report, result_file(run, PROBE_FILE))
    from mgm.training.recipe_file import read_recipe

    own = () if recipe is None or "finetune" not in read_recipe(recipe).tree else ("--recipe", recipe)
    suggest("mgm", "finetune", run, data, *own, "--out", folder_beside(run, "-finetuned"))


def _print_report(report: ProbeReport, results: Path) -> None:
    """The scores, the curve over labels if there is one, and the setting that was chosen among several."""
    console = Terminal(quiet=not on_first_rank())
    console.print(_table(report))
    if report.scores.curve:
        console.print(_curve(report))
    if len(report.scores.tried) > 1 and report.scores.setting is not None:
        chosen = report.scores.setting
        console.print_line(
            f"attentive probe: learning rate {chosen.lr:g}, weight decay {chosen.weight_decay:g}, the best of "
            f"{len(report.scores.tried)} on held-out training videos"
        )
    console.print(
        f"chance {report.scores.chance:.1%}; {len(report.scores.unreadable)} videos could not be read; {results}"
    )


def _probe_baseline(
    baseline: str,
    run: Path,
    data: str | None,
    settings: tuple[str, ...],
    recipe: str | None,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Measure and print a baseline, beside a run if there are both `run` and `data`."""
    with Activity("reading videos") as activity:
        from mgm.evaluation.baselines import probe_baseline

        videos = open_set(str(run) if data is None else data)
        report, result = probe_baseline(
            baseline,
            videos,
            run=None if data is None else run,
            overrides=settings,
            recipe=recipe,
            out=out,
            progress=activity.rename,
        )
    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    console = Terminal()
    console.print(_table(report))
    console.print(f"chance {report.scores.chance:.1%}; {len(report.scores.unreadable)} videos could not be read")
    if data is not None:
        suggest("mgm", "results", run)
    else:
        suggest("mgm", "pretrain", run, "--recipe", recipe or "laptop", "--out", new_folder("runs/a"))


def _table(report: ProbeReport) -> Table:
    """One row per probe: its accuracy and, with an untrained encoder, the gain."""
    from mgm.evaluation.metrics import accuracy

    headings = ("", "top-1", "95% CI", "untrained", "gain, paired")
    table = plain_table(*(Column(heading, no_wrap=True) for heading in headings), "verdict")
    comparisons = {comparison.name: comparison for comparison in report.comparisons}
    for name, hits in report.scores.hits.items():
        value = accuracy(hits)
        row = [name, f"{value.top1:.1%}", f"{value.low:.0%} - {value.high:.0%}"]
        if name in comparisons:
            compared, gain = comparisons[name], comparisons[name].gain
            row += [
                f"{compared.untrained.top1:.1%}",
                f"{gain.value:+.1%} [{gain.low:+.0%}, {gain.high:+.0%}]",
                compared.verdict,
            ]
        table.add_row(*row)
    return table


def _curve(report: ProbeReport) -> Table:
    """One row per number of labels: the mean accuracy of the linear probe over the draws, and its deviation."""
    untrained = {point.shots: point for point in report.untrained_curve}
    table = plain_table("labels per class", "linear probe top-1", *(["untrained"] if untrained else []))
    for point in report.scores.curve:
        shown = [point, untrained.get(point.shots)] if untrained else [point]
        table.add_row(
            str(point.shots), *("" if one is None else f"{one.mean:.1%} ± {one.deviation:.1%}" for one in shown)
        )
    return table
