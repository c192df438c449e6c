"""What a user should know of the videos and reading processes of a run, said once; and its end where too many cannot be read."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric
from rich.console import Console

from mgm.errors import DataError
from mgm.training.log import Entry, History
from mgm.training.run import Run

BAD_VIDEOS = "bad_videos.tsv"
INCIDENTS = "incidents.txt"

FEW = 8
"""Failures that stop no run: they prove nothing."""


def note_problems(problems: list[tuple[str, str]], history: History, console: Console | None) -> None:
    """Keep why videos could not be read; each is shown once."""
    for path, message in problems:
        if path not in history.bad:
            _show(message, console)
        history.bad[path] = message


def note_incidents(
    out: Path, incidents: tuple[str, ...], fabric: Fabric, history: History, console: Console | None
) -> None:
    """Keep and show what happened to the reading processes of this rank: a machine that is short of memory begins like that."""
    if not incidents:
        return
    lines = [f"rank {fabric.global_rank}: {line}" if fabric.world_size > 1 else line for line in incidents]
    history.incidents += lines
    with (out / INCIDENTS).open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    for line in lines:
        _show(line, console)


def note_flow(run: Run, entry: Entry, history: History, fabric: Fabric, console: Console | None) -> None:
    """Say once that motion is measured, where it was left open where it comes from: it costs reading time, and masks follow
    something else."""
    share = entry.shares["flow"]
    if share and not history.flow and run.config.data.motion == "auto" and fabric.is_global_zero:
        clips = run.optim.batch * run.repeats
        _show(
            f"motion: optical flow is measured for {round(share * clips):,} of the {clips:,} clips of step {entry.step}, whose "
            "files carry no motion vectors (VP9, HEVC, AV1, pictures and others); 'mgm scan' lists them, 'mgm prepare' makes files "
            "that do",
            console,
        )


def stop_if_too_many(out: Path, history: History, failed: int, read: int, limit: float) -> None:
    """Raise DataError where more than the share `limit` of the readings failed.

    Args:
        failed, read: how many readings failed, and how many gave a clip.
    """
    if failed > max(limit * (failed + read), FEW):
        path, message = next(iter(history.bad.items()))
        raise DataError(
            f"{failed} of the first {failed + read} clips could not be read, expected at most {limit:.0%} (data.bad_share); "
            f"the first: {message if path in message else f'{path}: {message}'}; {out / BAD_VIDEOS} lists the videos"
        )


def write_bad_videos(out: Path, history: History) -> None:
    """One line per video: its path, a tab, why."""
    if history.bad:
        lines = [f"{path}\t{message}\n" for path, message in sorted(history.bad.items())]
        (out / BAD_VIDEOS).write_text("".join(lines), encoding="utf-8")


def _show(line: str, console: Console | None) -> None:
    if console is not None:
        console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
