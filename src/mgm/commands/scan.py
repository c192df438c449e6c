"""`mgm scan`"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich import box
from rich.table import Table

from mgm.commands.interrupted import keeping, kept_scan
from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson, Ray
from mgm.errors import ConfigError
from mgm.printable import plural
from mgm.terminal import Activity, Terminal, print_json

if TYPE_CHECKING:
    from mgm.video.scan.record import Status, VideoRecord
    from mgm.video.scan.summary import ScanSummary, VideoGroup

MOST_ROWS = 30
"""Rows of the table; with more sizes, videos are grouped by their short side."""

# Meaning of each status, and advice; {prepare}: the command for the user's own folder, {too}: its side effect.
STATUS_ADVICE: dict[Status, tuple[str, str]] = {
    "no_vectors": (
        "the codec exports no motion vectors",
        "read them with --motion auto, or transcode them{too}: {prepare}",
    ),
    "intra_only": ("all frames are intra-coded", "read them with --motion auto, or transcode them{too}: {prepare}"),
    "interlaced": ("H.264 in fields, vectors doubtful", "deinterlace them{too}: {prepare}"),
    "single_frame": ("a still picture", "remove it from the set, or keep it: its masks follow no motion"),
    "size_changes": ("read with a size, but not as a whole", "transcode them{too}: {prepare}"),
    "unsupported": ("not converted by FFmpeg here", "transcode them{too}: {prepare}"),
    "truncated": ("the file ends too early", "copy or download it again"),
    "damaged": ("the stream is broken", "download it again, or 'ffmpeg -err_detect ignore_err -i IN OUT'"),
    "empty": ("0 bytes", "copy or download it again"),
    "not_video": ("of another kind, or destroyed", "remove it from the set"),
    "no_video_stream": ("sound without pictures", "remove it from the set"),
    "unreadable": ("cannot be opened", "check its permissions, then scan again"),
    "crashed": ("the decoder failed or hung", "remove it from the set and report it"),
}


def scan(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.")],
    processes: Annotated[int, typer.Option(min=0, help="Number of decoding processes; 0: one per core.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Manifest with one row per file: .jsonl, .csv or .parquet. An interrupted scan continues."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds without a new frame after which a file counts as crashed.")
    ] = 300,
    ray: Ray = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every problem.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decode every video once: codec, size, length, motion vectors, and the problems of each file.

    With --out, a later run reads only new and changed files. Exit status 1 if a file cannot be read.
    """
    options = ScanOptions(processes or os.cpu_count() or 1, timeout, ray)
    with keeping(lambda: kept_scan(out)), Activity("scanning videos") as activity:
        from mgm.data.shards.index import is_shards
        from mgm.video.scan.summary import ScanSummary

        shards = any(map(is_shards, paths))
        found, left_out = (_scan_shards if shards else _scan_files)(paths, out, options, activity)
    console = Terminal()
    summary = ScanSummary()
    for record in found:
        summary.add(record)
        if verbose and record.problem is not None and not as_json:
            console.print_line(record.problem)
    if as_json:
        print_json(summary.to_dict() | {"note": left_out})
    else:
        if verbose and summary.problems:
            console.print()
        _report(console, summary, paths, out, singly=not verbose, shards=shards)
        if left_out:
            console.print_line(left_out)
    if summary.readable:
        # A manifest is a set without its broken files, unless they are in shards.
        as_set = out is not None and summary.readable < summary.files and not shards
        suggest("mgm", "preview", *([out] if as_set else paths))
    if summary.readable < summary.files:
        raise typer.Exit(1)


class ScanOptions(NamedTuple):
    """How files are read, see `mgm.scan_videos`."""

    processes: int
    timeout_seconds: float
    ray: bool


def _scan_files(
    paths: list[Path], out: Path | None, options: ScanOptions, activity: Activity
) -> tuple[Iterable[VideoRecord], str]:
    """The records of files, and a line on those that were left out."""
    from mgm.video.scan.find import search_videos
    from mgm.video.scan.folder import scan_to_manifest, scan_videos
    from mgm.video.scan.manifest import read_manifest

    given = options._asdict()
    if out is not None:
        searched = scan_to_manifest(out, *paths, **given, progress=activity.reach)
        return read_manifest(out), searched.kinds_note
    searched = search_videos(paths)
    activity.reach(0, len(searched.videos) + len(searched.closed))
    return scan_videos(*paths, **given, progress=activity.advance), searched.kinds_note


def _scan_shards(
    paths: list[Path], out: Path | None, options: ScanOptions, activity: Activity
) -> tuple[Iterable[VideoRecord], str]:
    """The records of the videos of a packed set; nothing is left out."""
    from mgm.data.shards.scan import scanned_shards
    from mgm.video.scan.manifest import read_manifest

    if len(paths) > 1:
        found = f"a set in shards beside {len(paths) - 1} other paths"
        raise ConfigError("mgm scan", found, "one set in shards, or files and folders", reason="conflict")
    # Tasks of Ray run in folders of their own.
    scanned, given = scanned_shards(paths[0].absolute() if options.ray else paths[0]), options._asdict()
    if out is not None:
        scanned.into_manifest(out, **given, progress=activity.reach)
        return read_manifest(out), ""
    activity.reach(0, len(scanned.files))
    return scanned.into_memory(**given, progress=activity.advance), ""


def _report(
    console: Terminal, summary: ScanSummary, paths: list[Path], out: Path | None, *, singly: bool, shards: bool
) -> None:
    from mgm.data.shards.members import member_title
    from mgm.video.transcode.folder import prepare_command

    console.print(summary_table(summary, wide=console.width >= 110))
    if summary.problems:
        console.print()
    for status, (count, first) in sorted(summary.problems.items()):
        meaning, advice = STATUS_ADVICE[status]
        given = _given(paths, first)
        too = " (the good files too)" if given.is_dir() and count < summary.files else ""
        prepare = (
            "'mgm prepare' with the videos that were packed, then 'mgm pack'" if shards else prepare_command(given)
        )
        advice = advice.format(prepare=prepare, too=too)
        console.print_line(
            f"{_words(status)}: {plural(count, 'file')} ({meaning}), such as {member_title(first.path)}: {advice}",
            style="bold",
        )
    shown = [*summary.broken, *summary.others][: summary.limit]
    if singly and shown:
        console.print()
        for record in shown:
            console.print_line(record.problem or "", style="red" if not record.readable else "yellow")
        total = sum(count for count, _ in summary.problems.values())
        if total > len(shown):
            console.print_line(
                f"and {total - len(shown):,} more: {'see ' + str(out) if out is not None else '--verbose lists all'}",
            )
    console.print()
    broken = summary.files - summary.readable
    console.print_line(
        f"{plural(summary.files, 'file')}: {summary.readable:,} readable, {summary.with_motion:,} with motion vectors, "
        f"{broken:,} broken" + (f"; one row each in {out}" if out is not None else ""),
    )
    if broken and summary.readable and not shards:
        manifest = "--out readable.csv writes a set" if out is None else f"{out} is a set"
        console.print_line(f"{manifest} without the broken files")


def _words(status: str) -> str:
    return status.replace("_", " ")


def _given(paths: list[Path], record: VideoRecord) -> Path:
    """The folder of the command line in which a video was found, or the video."""
    file = Path(record.path)
    return next((path for path in paths if file.is_relative_to(path)), file)


def summary_table(summary: ScanSummary, *, wide: bool = True) -> Table:
    """One row per codec, size and status; without `wide` only the columns that fit 80 characters."""
    groups = summary.sizes if len(summary.sizes) <= MOST_ROWS else summary.classes
    table = Table(box=box.SIMPLE_HEAD, padding=(0, int(wide), 0, 0), show_edge=False)
    for name, extra, right in _COLUMNS:
        if wide or not extra:
            table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for (codec, size, status), group in sorted(groups.items(), key=lambda item: _order(item[0])):
        cells = (codec, size, _words(status), *_cells(group))
        shown = (cell for cell, (_, extra, _) in zip(cells, _COLUMNS, strict=True) if wide or not extra)
        table.add_row(*shown, style=None if status == "ok" else "yellow" if group.sources else "red")
    return table


# Name, only in a wide table, a number.
_COLUMNS = (
    ("codec", False, False),
    ("size", False, False),
    ("status", False, False),
    ("files", False, True),
    ("frames", False, True),
    ("length", True, True),
    ("fps", True, True),
    ("GOP", True, True),
    ("B-frames", True, True),
    ("vectors", False, True),
    ("px/frame", False, True),
    ("motion", False, False),
)


def _order(key: tuple[str, str, Status]) -> tuple[str, list[int], str]:
    codec, size, status = key
    return codec, [int(side) for side in size.rstrip("p").split("x") if side.isdecimal()], status


def _cells(group: VideoGroup) -> tuple[str, ...]:
    if not group.frames:
        return (f"{group.files:,}", *["-"] * 8)
    low, high = group.rates or (0.0, 0.0)
    rates = "?" if group.rates is None else f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g}-{high:.4g}"
    return (
        f"{group.files:,}",
        f"{group.frames:,}",
        _length(group),
        rates,
        str(group.gop),
        f"{group.b_frames / group.files:.0%}",
        f"{group.vectors / group.files:.0%}",
        f"{group.motion / group.moving:.2f}" if group.moving else "-",
        "+".join(sorted(group.sources)),
    )


def _length(group: VideoGroup) -> str:
    """Length of a group. Raw streams have no clock: a group with some of them is longer than its known seconds."""
    seconds, more = group.seconds, ">" if group.untimed else ""
    if group.untimed == group.files:
        return "?"
    if seconds < 60:
        return f"{more}{seconds:.1f} s"
    return f"{more}{seconds / 60:.0f} min" if seconds < 7200 else f"{more}{seconds / 3600:,.0f} h"
