"""`mgm scan`"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if TYPE_CHECKING:
    from mgm.video.scan import ScanReport


def scan(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.")],
    processes: Annotated[int, typer.Option(help="Processes that decode; 0: one per core.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write one JSON record per line to this file.")] = None,
) -> None:
    """Decode every video once: codec, size, length, motion vectors, and what is wrong with which file.

    Exit status 1 where a file cannot be read.
    """
    from mgm.video.scan import find_videos
    from mgm.video.scan import scan as scan_videos

    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("scanning", total=len(find_videos(paths)))
        report = scan_videos(
            *paths, processes=processes or os.cpu_count() or 1, progress=lambda record: progress.advance(task)
        )
    if out is not None:
        out.write_text("".join(json.dumps(asdict(record)) + "\n" for record in report), encoding="utf-8")
    console.print(summary_table(report))
    for record in report.problems:
        console.print(record.problem, style="yellow", markup=False, highlight=False, soft_wrap=True)
    broken = len(report) - len(report.readable)
    console.print(
        f"{len(report)} files: {len(report.readable)} readable, {len(report.with_motion)} with motion vectors, {broken} broken"
    )
    if broken:
        raise typer.Exit(1)


def summary_table(report: ScanReport) -> Table:
    """One row per codec and size."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, record in enumerate(report.readable):
        groups.setdefault((record.codec or "?", f"{record.width}x{record.height}"), []).append(number)
    table = Table("codec", "size", "files", "frames", "fps", "longest GOP", "B-frames", "frames with vectors")
    for (codec, size), numbers in sorted(groups.items()):
        records = [report.readable[n] for n in numbers]
        rates = sorted({round(r.fps, 2) for r in records if r.fps})
        table.add_row(
            codec,
            size,
            str(len(records)),
            f"{sum(r.frames or 0 for r in records):,}",
            f"{rates[0]:g}" + (f"-{rates[-1]:g}" if len(rates) > 1 else "") if rates else "?",
            str(max(r.gop or 0 for r in records)),
            f"{sum(bool(r.b_frames) for r in records)} of {len(records)}",
            f"{sum(r.vectors or 0 for r in records) / len(records):.0%}",
        )
    return table
