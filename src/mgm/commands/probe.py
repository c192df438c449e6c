"""`mgm probe`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

import mgm
from mgm.commands.options import Data, ForeignRecipe, Settings, open_set


def probe(
    run: Annotated[Path, typer.Argument(help="Folder of 'mgm pretrain', or weights of another project.")],
    data: Data,
    settings: Settings = None,
    recipe: ForeignRecipe = None,
    untrained: Annotated[bool, typer.Option(help="Also probe the same encoder untrained.")] = True,
) -> None:
    """Evaluate frozen features: attentive probe, linear probe and k-NN, against the same encoder untrained.

    mgm probe runs/a videos/ probe.steps=800
    """
    from mgm.evaluation.metrics import accuracy
    from mgm.evaluation.run import result_file

    console = Console()
    with console.status("reading videos") as status:
        report = mgm.probe(
            run,
            open_set(data),
            overrides=tuple(settings or ()),
            recipe=recipe,
            untrained=untrained,
            progress=status.update,
        )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("", "top-1", "95% interval", "untrained", "gain, paired", "verdict"):
        table.add_column(name, no_wrap=name != "verdict")
    gains = {c.name: c for c in report.comparisons}
    for name, hits in report.judgement.hits.items():
        value = accuracy(hits)
        row = [name, f"{value.top1:.1%}", f"{value.low:.0%} - {value.high:.0%}"]
        if name in gains:
            gain = gains[name].gain
            row += [
                f"{gains[name].untrained.top1:.1%}",
                f"{gain.value:+.1%} [{gain.low:+.0%}, {gain.high:+.0%}]",
                gain.verdict,
            ]
        table.add_row(*row)
    console.print(table)
    unread = len(report.judgement.problems)
    console.print(
        f"chance {report.judgement.chance:.1%}; {unread} videos could not be read; {result_file(run, 'probe.json')}"
    )
