"""`mgm demo`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    data: Annotated[
        str | None,
        typer.Option(
            help="Your videos, as for 'mgm data show'; labels are judged by. Without it: synthetic ones are made."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report and everything behind it.")] = Path("mgm-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the whole run.")] = 0,
) -> None:
    """The whole line in minutes: scan, preview, pretrain a tiny model, judge it, write report.html and metrics.json."""
    from mgm.demo import run_demo

    run_demo(data, out=out, seed=seed)
