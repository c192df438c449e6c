"""`mgm report`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mgm.commands.next_command import suggest_export
from mgm.terminal import Activity, print_result


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    out: Annotated[
        Path | None, typer.Option(help="The page to write.  \\[default: report.html in the run's folder]")
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(help="Also write the run as a reference curve: a small .json file named after what it is."),
    ] = None,
) -> None:
    """Draw the curves of a run, with those of comparable runs behind: is its loss normal?

    mgm report runs/a
    """
    with Activity("reading the log"):
        from mgm.show.curves import read_run
        from mgm.show.run_report import REPORT_FILE, write_run_report

        page = out or run / REPORT_FILE
        said = write_run_report(run, page)
        if curve is not None:
            replace(read_run(run), name=curve.stem.replace("-", " ")).save(curve)
    for line in said:
        print_result(line)
    print_result(f"{page}")
    suggest_export(run)
