"""`mgm report`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mgm.commands.next_command import suggest, suggest_export
from mgm.errors import ConfigError
from mgm.terminal import Activity, print_result


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of a run, finished or not; or several of them.", metavar="RUN...")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write. Default: report.html in the run's folder, or here for several runs."),
    ] = None,
    video: Annotated[
        str | None, typer.Option(help="Video of the clip that is reconstructed. Default: one of the run's set.")
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(
            help="Also write the curve of the run, as a reference for other runs: a .json file. For one run only."
        ),
    ] = None,
) -> None:
    """Write a page about runs: curves, results, reconstructions, and whether the loss of a run is normal.

    mgm report runs/a

    mgm report runs/a runs/b runs/c --out comparison.html

    One run is drawn with the curves of comparable runs behind its own; several are compared.
    """
    with Activity("reading the log"):
        from mgm.show.curves import read_run
        from mgm.show.run_report import REPORT_FILE, write_run_report
        from mgm.show.runs_report import write_runs_report

        if curve is not None and len(runs) > 1:
            raise ConfigError("--curve", f"found {len(runs)} runs", "one", reason="conflict")
        if len(runs) == 1:
            page = out or runs[0] / REPORT_FILE
            sentences = write_run_report(runs[0], page, video=video)
        else:
            page = out or Path(REPORT_FILE)
            sentences = write_runs_report(runs, page, video=video)
        if curve is not None:
            replace(read_run(runs[0]), name=curve.stem.replace("-", " ")).save(curve)
    for line in sentences:
        print_result(line)
    print_result(f"{page}")
    if len(runs) > 1:
        suggest("mgm", "compare", *runs[:2], "SET")
    else:
        suggest_export(runs[0])
