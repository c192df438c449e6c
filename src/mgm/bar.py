"""The bar of long work on a terminal: its columns, and the figures of its line elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text


def make_bar(console: Console, *, shown: bool) -> Progress:
    """A bar that leaves nothing behind. Its tasks have a field `detail`."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        _Figures(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not shown,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else results would leave the file or pipe that they are meant for
    )


class _Figures(ProgressColumn):
    """The counts of a task, and its rate or detail."""

    def render(self, task: Task) -> Text:
        return Text(figures_of(task))


def figures_of(task: Task) -> str:
    """The counts of a task, and its rate or detail."""
    count = "" if task.total is None else f"{task.completed:,.0f} of {task.total:,.0f}"
    speed = task.finished_speed or task.speed
    rate = task.fields["detail"] or ("" if not speed else f"{speed:.1f}/s")
    return ", ".join(filter(None, (count, rate)))
