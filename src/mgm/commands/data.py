"""`mgm data`: what a set of videos and annotations is, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mgm.commands.options import Data

if TYPE_CHECKING:
    from mgm.data.annotations.resolve import ResolvedSource
    from mgm.data.annotations.summary import ClassCount, DataSummary

MOST_CLASSES = 12
"""Classes that are listed; of more, the largest and the smallest."""

# Attribute of SideCounts, heading.
_COUNTS = (
    ("items", "items"),
    ("missing", "missing"),
    ("videos", "videos"),
    ("frames", "folders of frames"),
    ("pictures", "pictures"),
    ("spans", "parts of files"),
    ("labelled", "labelled"),
    ("groups", "source videos"),
    ("twice", "twice"),
)

data = typer.Typer(no_args_is_help=True, help="Sets of videos and their annotations.")


@data.callback()
def group() -> None:
    """Sets of videos and their annotations."""


@data.command()
def show(
    data: Data,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit status 1 where a file is missing, or a video is on both sides.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Every class and every missing file.")] = False,
) -> None:
    """What was understood of a set: format, split, classes, missing files, duplicates.

    mgm data show train=train.csv,test=val.csv,root=/videos
    """
    from mgm.data.annotations.summary import summarise_set

    summary = summarise_set(data)
    console = Console()
    _sources(console, summary.sources)
    _sides(console, summary)
    _classes(console, summary, every=every)
    _examples(console, summary)
    _problems(console, summary, every=every)
    if strict and (summary.missing or summary.both_sides):
        raise typer.Exit(1)


@data.command()
def formats() -> None:
    """Every format of annotations that is understood, with an example of a line."""
    from mgm.data.annotations import ANNOTATION_FORMATS

    console = Console()
    for found in ANNOTATION_FORMATS:
        console.print(f"[bold]{found.name}[/bold]  {found.used_by}", highlight=False, soft_wrap=True)
        _say(console, f"    {found.example}")


def _sources(console: Console, sources: Sequence[ResolvedSource]) -> None:
    for source in sources:
        found = source.listing
        _say(console, str(found.file), style="bold")
        side = f", for {source.side}" if source.side else ""
        _say(console, f"  format   {found.format}: {found.why}")
        _say(console, f"  entries  {len(found.entries):,}{side}")
        _say(console, f"  labels   {found.labels}")
        if source.root:
            _say(console, f"  root     {source.root}")


def _sides(console: Console, summary: DataSummary) -> None:
    console.print()
    _say(console, f"split    {summary.split}")
    _say(
        console,
        f"classes  {len(summary.classes):,} ({summary.names})" if summary.classes else f"classes  {summary.names}",
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    sides = (summary.train, summary.test)
    shown = [(key, name) for key, name in _COUNTS if any(getattr(side, key) for side in sides)]
    for name in ("", *(name for _, name in shown)):
        table.add_column(name, justify="right" if name else "left")
    for word, side in zip(("train", "test"), sides, strict=True):
        table.add_row(word, *(f"{getattr(side, key):,}" for key, _ in shown))
    console.print()
    console.print(table)
    if summary.pictures:
        share = summary.picture_samples / summary.samples
        _say(
            console,
            f"{summary.pictures:,} still pictures beside the videos: {share:.1%} of the {summary.samples:,} samples of an epoch",
        )


def _classes(console: Console, summary: DataSummary, *, every: bool) -> None:
    if not summary.classes:
        return
    ordered = sorted(summary.classes, key=lambda c: (-(c.train + c.test), c.name))
    half = MOST_CLASSES // 2
    cut = len(ordered) > MOST_CLASSES and not every
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("class", "train", "test", *(["missing"] if summary.missing else [])):
        table.add_column(name, justify="left" if name == "class" else "right")
    rows: list[ClassCount | None] = [*ordered[:half], None, *ordered[-half:]] if cut else [*ordered]
    for row in rows:
        if row is None:
            table.add_row(f"... {len(ordered) - 2 * half} more (--all)")
        else:
            counts = (row.train, row.test, *([row.missing] if summary.missing else []))
            table.add_row(_printable(row.name), *(f"{count:,}" for count in counts))
    console.print()
    console.print(table)


def _examples(console: Console, summary: DataSummary) -> None:
    from mgm.data.shards.members import member_name

    console.print()
    for item in summary.examples:
        label = "" if item.label is None else f"  {item.label} {summary.classes[item.label].name}"
        until = "the end" if item.end is None else item.end - 1
        part = f"  frames {item.start} to {until}" if item.start or item.end is not None else ""
        _say(console, f"{member_name(item.path)}{label}{part}")


def _problems(console: Console, summary: DataSummary, *, every: bool) -> None:
    lines = list(summary.notes)
    renamed, first = summary.renamed
    if first is not None:
        lines.append(f"{renamed:,} files are there under another suffix, such as {first[1]} for {first[0]}")
    if summary.both_sides:
        lines.append(
            f"{len(summary.both_sides):,} videos are on both sides, such as {summary.both_sides[0]}: take them off one"
        )
    if summary.groups_on_both_sides:
        lines.append(
            f"{len(summary.groups_on_both_sides):,} source videos (from the g<number> in the names) have clips on both sides, "
            f"such as {summary.groups_on_both_sides[0]}: recognising the source passes for recognising the class"
        )
    if summary.empty_classes:
        empty = summary.empty_classes
        lines.append(f"{len(empty):,} classes have no training video, such as {empty[0]}")
    console.print()
    for source in summary.sources:
        if source.note is not None:
            _say(console, source.note, style="yellow")
            for name in source.missing if every else source.missing[1:3]:
                _say(console, f"  and {name}", style="yellow")
            if len(source.missing) > 3 and not every:
                _say(console, f"  and {len(source.missing) - 3:,} more: --all lists them", style="yellow")
    for line in lines:
        _say(console, line, style="yellow")
    if not lines and not summary.missing:
        _say(console, "nothing is missing" + (", and no video is on both sides" if summary.test.items else ""))


def _say(console: Console, line: str, style: str = "") -> None:
    """One line, which only a terminal breaks."""
    console.print(_printable(line), style=style, markup=False, highlight=False, soft_wrap=True)


def _printable(text: str) -> str:
    """Names of files need not be valid text."""
    return text.encode("utf-8", "backslashreplace").decode()
