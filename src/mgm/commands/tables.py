"""The tables that commands print."""

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table


def plain_table(*columns: str | Column) -> Table:
    """An empty table with a rule below its headings and none around it."""
    return Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)


def number_column(name: str) -> Column:
    """A column of numbers, aligned at the right."""
    return Column(name, justify="right")
