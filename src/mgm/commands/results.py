"""`mgm results`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column

from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson
from mgm.commands.tables import plain_table
from mgm.terminal import Activity, Terminal, print_json, print_result

Form = Literal["terminal", "markdown", "csv", "latex"]


def results(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Runs, or folders that contain some. Default: here.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Format of the table.")] = "terminal",
    paper: Annotated[
        str,
        typer.Option(
            help='Method of the paper to show beside, by words of its name; or "Table 4e", printed without runs.'
        ),
    ] = "MGM, 800 epochs",
    every: Annotated[
        bool, typer.Option("--all", help="Show all results, also those that the paper does not have.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the results of runs, beside the paper's figures on the same set.

    mgm results runs/ --paper VideoMAE --format latex

    Where the protocol differs, the difference is not computed: "not comparable: 5x3 views, theirs 2x3".

    mgm results --paper "Table 4"

    prints that table of the paper, and beside Table 4 what the same systems give at small scale.
    """
    with Activity("reading results"):
        from mgm.evaluation.paper_table import asked_table

        table = asked_table(paper)
        if table is not None:
            _print_paper(table, form, as_json=as_json)
            return

        from mgm.evaluation.result_table import COLUMNS, find_results, result_rows

        rows = result_rows(find_results(runs or [Path()]), method=paper, every_metric=every)
    if as_json:
        print_json([row.to_dict() for row in rows])
        return
    beside = form != "terminal" or any(row.paper is not None for row in rows)
    shown = COLUMNS if beside else COLUMNS[: COLUMNS.index("paper")]
    _print_table(shown, [row.cells() for row in rows], form)
    if form == "terminal":
        suggest("mgm", "results", *(runs or ()), "--format", "markdown")


def _print_paper(table: str, form: Form, *, as_json: bool) -> None:
    """A table of the paper, for people or programs."""
    from mgm.evaluation.paper_table import SMALL_SCALE_NOTE, paper_rows, shown_columns

    rows = paper_rows(table)
    if as_json:
        print_json(rows)
        return
    columns = shown_columns(rows)
    _print_table(columns, [row.cells()[: len(columns)] for row in rows], form)
    if form == "terminal" and any(row.here is not None for row in rows):
        Terminal().print(SMALL_SCALE_NOTE)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], form: Form) -> None:
    if form == "terminal":
        table = plain_table(*(Column(name, overflow="fold") for name in columns))
        for row in rows:
            table.add_row(*row[: len(columns)])
        Terminal().print(table)
        return

    from mgm.evaluation.result_table import format_table

    for line in format_table(columns, rows, form).splitlines():
        print_result(line)
