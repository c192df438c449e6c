"""`mgm preview`"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from mgm.errors import MgmError, VideoError

if TYPE_CHECKING:
    from mgm.data.annotations import VideoItem


def preview(
    paths: Annotated[list[str], typer.Argument(help="Videos, folders of videos, or sets as for 'mgm data show'.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("preview"),
    masks: Annotated[str, typer.Option(help="Names of masks with commas between them, or all.")] = "mgm,tube",
    clips: Annotated[int, typer.Option(help="How many videos of those found, evenly spread.")] = 10,
    start: Annotated[int | None, typer.Option(help="First frame; the middle of the video unless given.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of the clip.")] = 16,
    stride: Annotated[int, typer.Option(help="Every how manieth frame.")] = 4,
    size: Annotated[int, typer.Option(help="Side of the clip in pixels.")] = 224,
    patch: Annotated[int, typer.Option(help="Side of a token in pixels.")] = 16,
    tubelet: Annotated[int, typer.Option(help="Frames of a token.")] = 2,
    ratio: Annotated[float, typer.Option(help="Share of hidden tokens.")] = 0.75,
    boundary: Annotated[str, typer.Option(help="Border rule of mgm: clip, shift, grow or wrap.")] = "clip",
    motion: Annotated[
        Literal["auto", "codec", "flow", "difference", "none"],
        typer.Option(help="Source of the motion; auto: codec where the stream has vectors, else flow."),
    ] = "auto",
    draws: Annotated[int, typer.Option(help="Masks of each kind that the numbers count.", min=1)] = 100,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="JSON with the true boxes of one video's objects; else NAME.json or boxes.json beside each, if any."
        ),
    ] = None,
    video: Annotated[bool, typer.Option(help="Write a video (.mp4) beside each picture.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the masks.")] = 0,
) -> None:
    """Pictures and videos of frames, motion and masks, before anything is trained, with what each mask hides.

    mgm preview videos/ --masks all --out preview/

    The numbers are means over many draws and over all clips; those of each clip stand in its picture and in statistics.csv.
    """
    from mgm.data.items import evenly_spaced
    from mgm.masks import list_masks, pool_statistics
    from mgm.show.preview import PreviewSettings, write_statistics
    from mgm.show.preview import preview as make

    console = Console()
    names = list_masks() if masks == "all" else tuple(masks.split(","))
    settings = PreviewSettings(
        frames=frames,
        stride=stride,
        size=size,
        patch=patch,
        tubelet=tubelet,
        ratio=ratio,
        masks=names,
        options={"mgm": {"boundary": boundary}},
        motion=None if motion == "none" else motion,
        seed=seed,
        draws=draws,
    )
    found: dict[str, VideoItem] = {}
    for given in paths:
        for item in _items(given):
            found.setdefault(item.path, item)  # of several parts of a file the first
    own = Path(os.path.realpath(out))  # what an earlier preview wrote is no video of the set
    chosen = evenly_spaced(
        [item for path, item in found.items() if own not in Path(os.path.realpath(path)).parents], clips
    )
    if boxes is not None and len(chosen) > 1:
        raise MgmError(
            f"{boxes}: these are the boxes of one video, found {len(chosen)} videos; name the one that they belong to"
        )
    made, failed = [], []
    for number, item in enumerate(chosen):
        numbered = replace(settings, seed=seed + number)  # or clips of one length would share a mask
        try:
            first = _middle(item, (frames - 1) * stride + 1) if start is None else start
            made += make([item.path], out=out, start=first, settings=numbered, boxes=boxes, moving=video)
        except VideoError as error:
            if len(chosen) == 1:
                raise
            failed.append(str(error))
    if made:
        places = settings.grid[1] * settings.grid[2]
        headings = ("hidden", "motion", "object", "steps", "draws", "least", "never", "fallback")
        table = Table(
            Column("mask", no_wrap=True),
            *(Column(heading, justify="right") for heading in headings),
            box=SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
            title=f"{len(made)} clips, {draws} draws each" if len(made) > 1 else f"{draws} draws",
            caption=(
                "motion, object: the share that is hidden. steps, draws: IoU of successive steps, and of two masks for "
                f"one clip. least: how often the least seen token is seen. never: places, of {places}, that are never seen."
            ),
            caption_justify="left",
        )
        for name in names:
            s = pool_statistics([shown.draws[name] for shown, _ in made])
            shares = (s.ratio, s.motion_share, s.object_share, s.step_iou, s.overlap, s.least_visible)
            table.add_row(name, *map(_share, shares), str(s.never_visible), _share(s.fallback_share))
        console.print(table)
        written = [picture for _, picture in made] + [write_statistics(out / "statistics.csv", made)]
        for picture in written:
            also = " and .mp4" if video and picture.suffix == ".png" else ""
            console.print(f"{picture}{also}", markup=False, highlight=False, soft_wrap=True)
    for message in failed:
        console.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not made:
        raise typer.Exit(1)


def _items(given: str) -> list[VideoItem]:
    """The videos of a folder, an annotation file or a specification; anything else is a video."""
    from mgm.data.annotations import VideoItem, load_set
    from mgm.data.annotations.annotation_folder import SUFFIXES

    place = Path(given)
    described = place.is_dir() or "=" in given or place.suffix.lower() in (*SUFFIXES, ".yaml", ".yml")
    return sorted(load_set(given).items, key=lambda item: item.path) if described else [VideoItem(given)]


def _middle(item: VideoItem, span: int) -> int | None:
    """The first frame of a clip in the middle of a part of a file; None for a whole one, whose length is not known here."""
    if item.end is None:
        return item.start or None
    return item.start + max(item.end - item.start - span, 0) // 2


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
