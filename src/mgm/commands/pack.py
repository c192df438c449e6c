"""`mgm pack`: write a set as tar shards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mgm.commands.next_command import new_folder, suggest
from mgm.commands.options import Data
from mgm.printable import plural
from mgm.terminal import Activity, Terminal, byte_size


def pack(
    data: Data,
    out: Annotated[
        Path, typer.Argument(help="Folder of the shards; it can be served over HTTP or copied to S3 as it is.")
    ],
    shard_size: Annotated[int, typer.Option(help="MiB of video per shard.")] = 1024,
    processes: Annotated[
        int,
        typer.Option(
            min=0, help="Number of processes that write a shard each; 0: one per core. The files are the same."
        ),
    ] = 0,
) -> None:
    """Pack a set and its motion sidecars into tar shards: a few large files instead of millions of small ones.

    The other commands accept OUT, or its URL, in place of the folder of videos. After an interruption, run it again: existing
    shards are skipped. Exit status 1 if a video was left out.
    """
    with Activity("reading the set") as activity:
        from mgm.data.annotations import load_set
        from mgm.data.shards.write import pack_set

        videos = load_set(data)
        activity.rename("packing videos")
        activity.reach(0, len({item.path for item in videos.items}))
        report = pack_set(
            videos, out, shard_size=shard_size, processes=processes or os.cpu_count() or 1, progress=activity.advance
        )
    console = Terminal()
    for message in (*report.incidents, *report.failed.values()):
        console.print_line(message, style="yellow")
    console.print_line(
        f"{plural(report.videos, 'video')} in {plural(len(report.shards), 'shard')} ({report.skipped} already there), "
        f"{byte_size(report.bytes)}, {len(report.failed)} left out"
    )
    suggest("mgm", "pretrain", out, "--out", new_folder("runs/pretrain"))
    if report.failed:
        raise typer.Exit(1)
