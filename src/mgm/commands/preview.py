"""`mgm preview`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from mgm.commands.next_command import new_folder, suggest
from mgm.commands.options import AsJson
from mgm.terminal import Activity, Terminal, print_json

if TYPE_CHECKING:
    from mgm.show.preview import PreviewReport, PreviewSettings


def preview(
    paths: Annotated[list[str], typer.Argument(help="Videos, folders of videos, or sets as for 'mgm data show'.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("preview"),
    masks: Annotated[str, typer.Option(help="Names of masks separated by commas, or all.")] = "mgm,tube",
    clips: Annotated[int, typer.Option(help="Number of videos, evenly spaced.")] = 10,
    start: Annotated[int | None, typer.Option(help="First frame. Default: the middle of the video.")] = None,
    frames: Annotated[int, typer.Option(help="Number of frames in the clip.")] = 16,
    stride: Annotated[int, typer.Option(help="Distance between sampled frames.")] = 4,
    size: Annotated[int, typer.Option(help="Side of the clip in pixels.")] = 224,
    patch: Annotated[int, typer.Option(help="Side of a token in pixels.")] = 16,
    tubelet: Annotated[int, typer.Option(help="Number of frames in a token.")] = 2,
    ratio: Annotated[float, typer.Option(help="Share of hidden tokens.")] = 0.75,
    boundary: Annotated[str, typer.Option(help="Border rule of mgm: clip, shift, grow or wrap.")] = "clip",
    motion: Annotated[
        Literal["auto", "codec", "flow", "difference", "none"],
        typer.Option(help="Source of the motion. auto: codec if the stream has vectors, else flow."),
    ] = "auto",
    draws: Annotated[int, typer.Option(help="Number of masks of each kind in the statistics.", min=1)] = 100,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="JSON with the true boxes of one video's objects. Default: NAME.json or boxes.json beside each video."
        ),
    ] = None,
    video: Annotated[bool, typer.Option(help="Write a video (.mp4) beside each picture.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the masks.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show frames, motion and masks as pictures and videos before training, with statistics of each mask.

    mgm preview videos/ --masks all --out preview/

    The statistics are means over many draws and all clips; each picture shows those of its clip, and statistics.csv lists them.
    """
    with Activity("previewing videos") as activity:
        from mgm.masks import list_masks
        from mgm.show.preview import PreviewSettings, preview_set

        settings = PreviewSettings(
            frames=frames,
            stride=stride,
            size=size,
            patch=patch,
            tubelet=tubelet,
            ratio=ratio,
            masks=list_masks() if masks == "all" else tuple(masks.split(",")),
            options={"mgm": {"boundary": boundary}},
            motion=None if motion == "none" else motion,
            seed=seed,
            draws=draws,
        )
        report = preview_set(
            paths,
            out=out,
            clips=clips,
            start=start,
            settings=settings,
            boxes=boxes,
            moving=video,
            progress=activity.reach,
        )
    console = Terminal()
    if as_json:
        print_json(report.to_dict())
    elif report.statistics is not None:
        console.print(_table(report, settings))
        for _, picture in report.written:
            console.print_line(f"{picture}{' and .mp4' if video else ''}")
        console.print(str(report.statistics), highlight=False, soft_wrap=True)
    for error in report.failed:
        console.print_line(str(error), style="yellow")
    if not report.written:
        raise typer.Exit(1)
    if len(report.written) > 1 and len(paths) == 1:
        suggest("mgm", "pretrain", paths[0], "--out", new_folder("runs/pretrain"))
    else:  # single videos are no set
        suggest("mgm", "pretrain", "--help")


def _table(report: PreviewReport, settings: PreviewSettings) -> Table:
    places = settings.grid[1] * settings.grid[2]
    number = len(report.written)
    headings = ("hidden", "motion", "object", "steps", "draws", "least", "never", "fallback")
    table = Table(
        Column("mask", no_wrap=True),
        *(Column(heading, justify="right") for heading in headings),
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title=f"{number} clips, {settings.draws} draws each" if number > 1 else f"{settings.draws} draws",
        caption=(
            "motion, object: hidden share. steps, draws: IoU of successive steps, and of two masks for one clip. "
            f"least: visibility of the least visible token. never: places, of {places}, that are never visible."
        ),
        caption_justify="left",
    )
    for name, pooled in report.pooled().items():
        shares = (
            pooled.ratio,
            pooled.motion_share,
            pooled.object_share,
            pooled.step_iou,
            pooled.overlap,
            pooled.least_visible,
        )
        table.add_row(name, *map(_share, shares), str(pooled.never_visible), _share(pooled.fallback_share))
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
