"""`mgm results`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column

from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson
from mgm.commands.tables import plain_table
from mgm.terminal import Activity, Terminal, print_json, print_result


def results(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Runs, or folders that contain some. Default: here.")
    ] = None,
    form: Annotated[
        Literal["terminal", "markdown", "csv", "latex"], typer.Option("--format", help="Format of the table.")
    ] = "terminal",
    paper: Annotated[
        str, typer.Option(help="Method of the paper to show beside: words of its name.")
    ] = "MGM, 800 epochs",
    every: Annotated[
        bool, typer.Option("--all", help="Show all results, also those that the paper does not have.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the results of runs, beside the paper's figures on the same set.

    mgm results runs/ --paper VideoMAE --format latex

    Where the protocol differs, the difference is not computed: "not comparable: 5x3 views, theirs 2x3".
    """
    with Activity("reading results"):
        from mgm.evaluation.result_table import COLUMNS, find_results, format_table, result_rows

        rows = result_rows(find_results(runs or [Path()]), method=paper, every_metric=every)
    if as_json:
        print_json([row.to_dict() for row in rows])
    elif form != "terminal":
        for line in format_table(rows, form).splitlines():
            print_result(line)
    else:
        beside = any(row.paper is not None for row in rows)
        shown = len(COLUMNS) if beside else COLUMNS.index("paper")
        table = plain_table(*(Column(name, overflow="fold") for name in COLUMNS[:shown]))
        for row in rows:
            table.add_row(*row.cells()[:shown])
        Terminal().print(table)
        suggest("mgm", "results", *(runs or ()), "--format", "markdown")
