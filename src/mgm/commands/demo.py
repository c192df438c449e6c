"""`mgm demo`"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from mgm.commands.next_command import new_folder, suggest
from mgm.terminal import Activity


def demo(
    data: Annotated[
        str | None,
        typer.Option(
            help="Your videos, as for 'mgm data show'. Labels, if any, are used for evaluation. Default: generate synthetic videos."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report and its data.")] = Path("mgm-demo"),
    task: Annotated[
        Literal["headings", "motions"],
        typer.Option(help="Synthetic videos: eight directions of a large object, or harder motions of a smaller one."),
    ] = "headings",
    seed: Annotated[int, typer.Option(help="Seed of the whole run.")] = 0,
) -> None:
    """Scan, preview, pretrain a tiny model, evaluate it, and write report.html and metrics.json, in minutes."""
    with Activity("loading packages"):
        from mgm.demo import run_demo

    result = run_demo(data, out=out, task=task, seed=seed, processes=os.cpu_count() or 1)
    suggest("mgm", "pretrain", result.data, "--out", new_folder("runs/pretrain"))
