"""What mgm prints: results, notes, and the progress of long work.

Everything is printed here, because the names of files and classes are printed too: their control characters are escaped.

Progress is shown on standard error: a bar on a terminal; elsewhere, as in the log of a job, a plain line at the start and every 30
seconds.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mgm.printable import printable
from mgm.ranks import on_first_rank

if TYPE_CHECKING:
    from rich.progress import Task

PLAIN_SECONDS = 30.0
"""Time between the lines of an activity without a terminal."""


_LINE_END = "\n"


class Terminal(Console):
    """A console without markup, in whose output all control characters are its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, **options)

    def on_broken_pipe(self) -> None:
        """See `reader_left`."""
        reader_left()

    def print_line(self, text: str, style: str = "") -> None:
        """Print one line, which only a terminal breaks."""
        self.print(printable(text), style=style, highlight=False, soft_wrap=True)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `rich.console.Console.render`."""
        for segment in super().render(renderable, options):
            yield (
                segment
                if segment.control
                else Segment(_encodable(printable(segment.text, keep=_LINE_END)), segment.style)
            )


def print_result(line: str) -> None:
    """Print a line to standard output, on the first rank only."""
    if on_first_rank():
        _print(_encodable(printable(line)))


def print_json(value: Any) -> None:
    """Print a value as JSON to standard output, on the first rank only: for `--json`. Its texts are in ASCII.

    Mappings, lists, tuples, sets, dataclasses, paths and numpy's arrays are written as JSON has them; numbers that are not finite
    as null.
    """
    if on_first_rank():
        _print(json.dumps(_as_json(value), indent=2, allow_nan=False))


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return [_as_json(each) for each in sorted(value)]
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    if hasattr(value, "tolist"):  # numpy is not imported here: `mgm --help` does without
        return _as_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        reader_left()


def reader_left() -> None:
    """Print nothing more: the reader of standard output has what it wants, as in `mgm scan videos | head`.

    The work continues, and its results are written: they are more than what is printed.
    """
    with (
        Path(os.devnull).open("wb") as nothing,
        suppress(OSError, ValueError),
    ):  # no descriptor where a test captures it
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def note(line: str, *, topic: str = "mgm") -> None:
    """Print a line of the program about itself to standard error, on the first rank only."""
    if on_first_rank():
        print_error(printable(line), topic=topic)


def print_error(text: str, *, topic: str = "mgm") -> None:
    """Print an error, which may have several lines, to standard error."""
    print(_encodable(f"{topic}: {printable(text, keep=_LINE_END)}"), file=sys.stderr, flush=True)


def _encodable(text: str) -> str:
    """Names of files need not be valid text."""
    return text.encode("utf-8", "backslashreplace").decode()


class Activity:
    """Long work that is shown until its block ends; one inside another is shown in its place.

        with Activity("packing", total=len(videos)) as activity:
            pack_set(videos, out, progress=activity.advance)

    Attributes:
        console: prints lines above the bar.
    """

    _open: ClassVar[list[Activity]] = []
    """From the outermost to the one that is shown."""

    def __init__(self, name: str, total: int | None = None, *, active: bool = True) -> None:
        from mgm.bar import make_bar  # here: `mgm --help` shows no work

        self.console = Terminal(stderr=True)
        self._active = active and on_first_rank()
        self._draws = self.console.is_interactive or self.console.is_jupyter
        self._bar = make_bar(self.console, shown=self._active and self._draws)
        self._id = self._bar.add_task(name, total=total, detail="")
        self._hidden = Event()
        self._lines: Thread | None = None

    def advance(self, *_: object) -> None:
        """One more part is done."""
        self._bar.advance(self._id)

    def reach(self, done: int, total: int | None = None, *, detail: str = "") -> None:
        """So many parts are done. A new total starts the clock, for work whose size is found first or which is resumed."""
        if total is not None and total != self._task.total:
            self._bar.reset(self._id, total=total, completed=done)
        self._bar.update(self._id, completed=done, detail=detail)

    def rename(self, name: str) -> None:
        """The work is now another one."""
        self._bar.update(self._id, description=name)

    def __enter__(self) -> Self:
        if self._active:
            if self._open:
                self._open[-1]._hide()
            self._open.append(self)
            if not self._draws:
                note(self._line())
            self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._active:
            self._hide()
            self._open.pop()
            if self._open:
                self._open[-1]._show()

    @property
    def _task(self) -> Task:
        return self._bar.tasks[0]

    def _show(self) -> None:
        self._bar.start()
        if not self._draws:
            self._hidden.clear()
            self._lines = Thread(target=self._print_lines, daemon=True)
            self._lines.start()

    def _hide(self) -> None:
        self._bar.stop()
        if self._lines is not None:
            self._hidden.set()
            self._lines.join()

    def _print_lines(self) -> None:
        while not self._hidden.wait(PLAIN_SECONDS):
            note(self._line())

    def _line(self) -> str:
        from mgm.bar import figures_of

        figures = figures_of(self._task)
        seconds = int(self._task.elapsed or 0)
        return ", ".join(
            filter(None, (self._task.description, figures, str(timedelta(seconds=seconds)) * bool(seconds)))
        )


def byte_size(count: float) -> str:
    """A number of bytes in the unit that suits it: "512 B", "19.7 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"
