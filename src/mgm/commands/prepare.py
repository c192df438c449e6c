"""`mgm prepare`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mgm.commands.interrupted import keeping, kept_videos
from mgm.commands.next_command import suggest
from mgm.commands.options import Ray
from mgm.errors import DataError
from mgm.printable import plural
from mgm.terminal import Activity, Terminal, byte_size, print_result

if TYPE_CHECKING:
    from mgm.video.transcode.manifest import PrepareReport

_NAMED_ORPHANS = 3
"""Number of results without a source that are listed by name."""


def prepare(
    src: Annotated[Path, typer.Argument(help="A folder of videos, or one video.")],
    dst: Annotated[Path, typer.Argument(help="Folder of the results, outside SRC; its manifest.jsonl lists them.")],
    profile: Annotated[
        Literal["motion", "compat", "strided"],
        typer.Option(
            help="motion: fast to read, no B-frames. compat: plays everywhere. strided: fastest at one stride."
        ),
    ] = "motion",
    stride: Annotated[
        int | None, typer.Option(help="Stride of the profile strided: 2, 4 or 8.  \\[default: 4]")
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(help="Short side in pixels, never scaled up; 0: as the source.  \\[default: 256, compat 0]"),
    ] = None,
    gop: Annotated[
        int | None, typer.Option(help="Maximum number of frames between keyframes.  \\[default: 32, compat 250]")
    ] = None,
    crf: Annotated[
        int | None, typer.Option(help="Quality factor, as of x264; lower is better.  \\[default: 23]")
    ] = None,
    encoder: Annotated[
        Literal["software", "auto", "nvenc", "qsv", "amf", "videotoolbox", "vaapi"],
        typer.Option(
            help="software: x264, measured and reproducible. Others: hardware of that kind. auto: hardware if it works here."
        ),
    ] = "software",
    processes: Annotated[
        int, typer.Option(min=0, help="Number of encoding processes; 0: one per core, with hardware at most 4.")
    ] = 0,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds without a new frame after which a video is abandoned.")
    ] = 300,
    ray: Ray = False,
) -> None:
    """Transcode videos to files that are fast to read in training: upright, small, every frame once, no sound.

    Run it again after an interruption: finished videos are skipped. Exit status 1 if a video failed or a folder cannot be listed.
    """
    with keeping(lambda: kept_videos(dst)), Activity("finding videos") as activity:
        from mgm.data.shards.index import is_shards
        from mgm.video.scan.find import search_videos
        from mgm.video.transcode.choice import choose_encoder
        from mgm.video.transcode.folder import prepare_videos
        from mgm.video.transcode.profiles import make_profile

        if is_shards(src) or src.suffix == ".tar":
            raise _packed(src)
        settings = {"stride": stride, "short_side": short_side, "gop": gop, "crf": crf}
        choice = choose_encoder(encoder, make_profile(profile, **settings))
        if encoder == "auto":
            print_result(f"encoder: {choice}")
        activity.reach(0, len(search_videos([src]).videos))
        activity.rename("preparing videos")
        report = prepare_videos(
            src,
            dst,
            profile,
            **settings,
            encoder=choice.name,
            processes=processes or choice.processes,
            timeout_seconds=timeout,
            ray=ray,
            progress=activity.advance,
        )
    console = Terminal()
    for problem in (*(record.problem for record in report.failed), report.found.closed_note, report.found.kinds_note):
        if problem:
            console.print_line(problem, style="yellow")
    console.print(summary(report), highlight=False, soft_wrap=True)
    if report.done:
        suggest("mgm", "preview", dst)
    if report.failed or report.found.closed:
        raise typer.Exit(1)


def _packed(src: Path) -> DataError:
    """The error of shards: their labels and splits are not those of folders, so that a folder of results would lose them."""
    advice = (
        "prepare the videos, then pack the results (mgm prepare VIDEOS DST, mgm pack DST SHARDS); see docs/loading.md"
    )
    return DataError(src, "a set in tar shards", "a folder of videos, or one video", advice, reason="unsupported")


def summary(report: PrepareReport) -> str:
    """One line for all files, and one for results without a source if there are any."""
    new = len(report.done) - report.skipped
    ratio = f" ({report.bytes_out / report.bytes_in:.0%})" if report.bytes_in else ""
    return (
        f"{plural(len(report), 'file')}: {new} done, {report.skipped} skipped (already there), {len(report.failed)} failed; "
        f"{byte_size(report.bytes_in)} before, {byte_size(report.bytes_out)} after{ratio}{_orphans(report.orphans)}"
    )


def _orphans(names: Sequence[str]) -> str:
    if not names:
        return ""
    some = ", ".join(names[:_NAMED_ORPHANS]) + (", ..." if len(names) > _NAMED_ORPHANS else "")
    return f"\n{plural(len(names), 'file')} in DST ha{'s' if len(names) == 1 else 've'} no source any more: {some}"
