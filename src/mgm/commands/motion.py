"""`mgm motion`"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mgm.commands.next_command import suggest
from mgm.errors import VideoError
from mgm.terminal import Activity, Terminal, byte_size
from mgm.video.motion.names import CameraModel, Policy, Reading

if TYPE_CHECKING:
    from mgm.video.clip.reader import MotionClip
    from mgm.video.clip.whole_video import MotionTotals


def motion(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="One video.")],
    out: Annotated[Path | None, typer.Option(help="Write the field: .npz, .npy or .zarr.")] = None,
    overlay: Annotated[Path | None, typer.Option(help="Write the video with its motion drawn over it: .mp4.")] = None,
    style: Annotated[Literal["arrows", "wheel"], typer.Option(help="Style of --overlay.")] = "arrows",
    stride: Annotated[int, typer.Option(help="Distance between the frames of --out, in frames.")] = 1,
    policy: Annotated[
        Policy,
        typer.Option(
            help="Skipped frames in --out. window_sum: the sum of their motion. sampled: motion of the sampled frame times the "
            "stride. window_max: the longest times the stride."
        ),
    ] = "window_sum",
    reading: Annotated[
        Reading,
        typer.Option(
            help="clean: displacement since the previous frame. references: the same from reference pictures only, faster. "
            "raw: vectors as stored."
        ),
    ] = "clean",
    camera: Annotated[CameraModel, typer.Option(help="Camera motion to subtract in --out.")] = "none",
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Store the motion beside the video, as VIDEO.mgmv, for later reads."),
    ] = False,
    raft: Annotated[
        Path | None,
        typer.Option(help="Weights of RAFT-small: measure the motion with it and store it as VIDEO.raft.mgmv."),
    ] = None,
    device: Annotated[str, typer.Option(help="Device of --raft, such as cuda.")] = "cpu",
) -> None:
    """Write the motion field of a video as arrays, as a video with the motion drawn over it, or as a cache.

    mgm motion clip.mp4 --out field.npz --overlay motion.mp4
    """
    if out is None and overlay is None and not cache and raft is None:
        raise VideoError(
            video,
            "nothing to write",
            advice="give --out field.npz, --overlay motion.mp4, --cache or --raft WEIGHTS",
            reason="missing_value",
        )
    written: list[Path] = []
    totals: MotionTotals | None = None
    with Activity(f"reading the motion of {video}") as activity:
        from mgm.video.clip.export import export_motion
        from mgm.video.clip.reader import read_motion
        from mgm.video.clip.whole_video import motion_chunks
        from mgm.video.motion.cache import build_sidecar

        if out is not None:
            export = export_motion(video, out, stride=stride, policy=policy, reading=reading, camera=camera)
            totals = export.totals
            written += export.files
        if overlay is not None:
            from mgm.show.overlay import overlay_video

            activity.rename(f"drawing the motion of {video}")
            drawn = overlay_video(video, overlay, style, reading=reading)
            totals = totals or drawn
            written.append(overlay)
        if raft is not None:
            activity.rename(f"measuring the motion of {video}")
            stored = _store_raft(video, raft, device)
            totals = totals or _totals([read_motion(video, motion="raft")])
            written.append(stored)
        if cache:  # last: it raises for codecs whose flow the others measure
            written.append(build_sidecar(video))
        totals = totals or _totals(motion_chunks(video))
    console = Terminal()
    for path in written:
        console.print_line(f"{path}: {_size(path)}")
    console.print_line(_summary(totals, stride if out is not None else 1))
    suggest("mgm", "preview", video)


def _store_raft(video: Path, weights: Path, device: str) -> Path:
    from mgm.flow.raft import RaftEstimator
    from mgm.flow.stored import store_raft

    return store_raft(video, RaftEstimator(weights, device=device))


def _totals(chunks: Iterable[MotionClip]) -> MotionTotals:
    from mgm.video.clip.whole_video import MotionTotals

    totals = MotionTotals()
    for chunk in chunks:
        totals.add(chunk.motion)
    return totals


def _summary(totals: MotionTotals, stride: int) -> str:
    rows, columns = totals.grid
    step = "frame" if stride == 1 else f"{stride} frames"
    return (
        f"{totals.frames} frames of {rows} x {columns} cells, source {totals.source}; magnitude per {step}: "
        f"mean {totals.mean:.2f} px, 99th percentile {totals.p99:.2f} px; {totals.measured:.1%} measured"
    )


def _size(path: Path) -> str:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return byte_size(sum(p.stat().st_size for p in files))
