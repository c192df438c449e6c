"""`mgm data`: show a set of videos and annotations before training on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson, Data
from mgm.commands.tables import number_column, plain_table
from mgm.printable import plural
from mgm.terminal import Activity, Terminal, print_json

if TYPE_CHECKING:
    from mgm.data.annotations.resolve import ResolvedSource
    from mgm.data.annotations.summary import ClassCount, DataSummary

_MOST_CLASSES = 12
"""Classes shown without --all; if there are more, the largest and the smallest."""

# Attribute of SplitCounts, heading.
_COUNTS = (
    ("items", "items"),
    ("missing", "missing"),
    ("videos", "videos"),
    ("frames", "folders of frames"),
    ("pictures", "pictures"),
    ("spans", "parts of files"),
    ("labelled", "labelled"),
    ("source_videos", "source videos"),
    ("repeated", "repeated"),
)

data = typer.Typer(no_args_is_help=True, help="Inspect sets of videos and their annotations.")


@data.callback()
def group() -> None:
    """Inspect sets of videos and their annotations."""


@data.command()
def show(
    data: Data,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit status 1 if a file is missing, in both splits, or has two labels.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show every class and every missing file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how a set is read: format, split, classes, missing files, duplicates.

    mgm data show train=train.csv,test=val.csv,root=/videos
    """
    with Activity("reading the set"):
        from mgm.data.annotations.summary import summarise_set

        summary = summarise_set(data)
    if as_json:
        print_json(summary.to_dict())
    else:
        _print_summary(Terminal(), summary, every=every)
    if strict and (summary.missing or summary.in_both_splits or summary.conflicting):
        raise typer.Exit(1)
    suggest("mgm", "preview", data)


@data.command()
def formats() -> None:
    """List the annotation formats, each with an example of a line."""
    from mgm.data.annotations import ANNOTATION_FORMATS

    console = Terminal()
    for known in ANNOTATION_FORMATS:
        console.print(f"[bold]{known.name}[/bold]  {known.used_by}", markup=True, highlight=False, soft_wrap=True)
        console.print_line(f"    {known.example}")
    suggest("mgm", "data", "show", "--help")


def _print_summary(console: Terminal, summary: DataSummary, *, every: bool) -> None:
    _print_sources(console, summary.sources)
    _print_splits(console, summary)
    _print_classes(console, summary, every=every)
    _print_examples(console, summary)
    _print_problems(console, summary, every=every)


def _print_sources(console: Terminal, sources: Sequence[ResolvedSource]) -> None:
    for source in sources:
        listed = source.listed
        console.print_line(str(listed.file), style="bold")
        split = f", for {listed.split}" if listed.split else ""
        console.print_line(f"  format   {listed.format}: {listed.why}")
        console.print_line(f"  entries  {len(listed.entries):,}{split}")
        console.print_line(f"  labels   {listed.labels}")
        if source.root:
            console.print_line(f"  root     {source.root}")


def _print_splits(console: Terminal, summary: DataSummary) -> None:
    console.print()
    console.print_line(f"split    {summary.split_rule}")
    console.print_line(
        f"classes  {len(summary.classes):,} ({summary.names_from})"
        if summary.classes
        else f"classes  {summary.names_from}",
    )
    console.print_line(f"tested   {_tested(summary)}")
    splits = (summary.train, summary.test)
    shown = [(key, name) for key, name in _COUNTS if any(getattr(split, key) for split in splits)]
    table = plain_table("", *(number_column(name) for _, name in shown))
    for name, split in zip(("train", "test"), splits, strict=True):
        table.add_row(name, *(f"{getattr(split, key):,}" for key, _ in shown))
    console.print()
    console.print(table)
    if summary.pictures:
        share = summary.picture_samples / summary.samples
        console.print_line(
            f"{summary.pictures:,} still pictures beside the videos: {share:.1%} of the {summary.samples:,} samples of an epoch",
        )


def _tested(summary: DataSummary) -> str:
    """What `mgm evaluate` and `mgm probe` measure on the set, or why they refuse it."""
    if summary.untestable is not None:
        return f"nothing: {summary.untestable.statement}"
    counted = f"{plural(summary.test.items - summary.test.missing, 'video')} by mgm evaluate"
    if summary.unprobeable is not None:
        return f"{counted}, not by mgm probe: {summary.unprobeable.statement}"
    return f"{counted} and mgm probe"


def _print_classes(console: Terminal, summary: DataSummary, *, every: bool) -> None:
    if not summary.classes:
        return
    ordered = sorted(summary.classes, key=lambda c: (-(c.train + c.test), c.name))
    half = _MOST_CLASSES // 2
    cut = len(ordered) > _MOST_CLASSES and not every
    counted = ("train", "test", *(["missing"] if summary.missing else []))
    table = plain_table("class", *map(number_column, counted))
    rows: list[ClassCount | None] = [*ordered[:half], None, *ordered[-half:]] if cut else [*ordered]
    for row in rows:
        if row is None:
            table.add_row(f"... {len(ordered) - 2 * half} more (--all)")
        else:
            counts = (row.train, row.test, *([row.missing] if summary.missing else []))
            table.add_row(row.name, *(f"{count:,}" for count in counts))
    console.print()
    console.print(table)


def _print_examples(console: Terminal, summary: DataSummary) -> None:
    from mgm.data.shards.members import member_title

    console.print()
    for item in summary.examples:
        label = "" if item.label is None else f"  {item.label} {summary.classes[item.label].name}"
        until = "the end" if item.end is None else item.end - 1
        part = f"  frames {item.start} to {until}" if item.start or item.end is not None else ""
        console.print_line(f"{member_title(item.path)}{label}{part}")


def _print_problems(console: Terminal, summary: DataSummary, *, every: bool) -> None:
    lines = list(summary.notes)
    if summary.renamed_example is not None:
        name, path = summary.renamed_example
        lines.append(f"{summary.renamed:,} files were found under another suffix, such as {path} for {name}")
    if both := summary.in_both_splits:
        lines.append(f"{len(both):,} videos are in both splits, such as {both[0]}: remove them from one")
    if both := summary.sources_in_both_splits:
        lines.append(
            f"{len(both):,} source videos (from the g<number> in the names) have clips in both splits, such as {both[0]}: a model "
            "may recognise the source instead of the class"
        )
    if summary.empty_classes:
        empty = summary.empty_classes
        lines.append(f"{len(empty):,} classes have no training video, such as {empty[0]}")
    console.print()
    for source in summary.sources:
        if source.note is not None:
            console.print_line(source.note, style="yellow")
            for name in source.missing if every else source.missing[1:3]:
                console.print_line(f"  and {name}", style="yellow")
            if len(source.missing) > 3 and not every:
                console.print_line(f"  and {len(source.missing) - 3:,} more: --all lists them", style="yellow")
    for line in lines:
        console.print_line(line, style="yellow")
    if not lines and not summary.missing:
        console.print_line("no file is missing" + (", and no video is in both splits" if summary.test.items else ""))
