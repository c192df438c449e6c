"""`mgm preview`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Column, Table

from mgm.errors import VideoError


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
    seed: Annotated[int, typer.Option(help="Seed of the masks.")] = 0,
) -> None:
    """Pictures of frames, motion and masks, before anything is trained.

    mgm preview videos/ --masks all --out preview/
    """
    from mgm.data.sampling import spread
    from mgm.masks import mask_names
    from mgm.show.preview import PreviewSettings
    from mgm.show.preview import preview as make

    console = Console()
    names = mask_names() if masks == "all" else tuple(masks.split(","))
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
    )
    chosen = spread(list(dict.fromkeys(path for given in paths for path in _videos(given))), clips)
    columns = (
        "clip",
        Column("mask", no_wrap=True),
        "hidden",
        "motion hidden",
        "object hidden",
        "step to step",
        "fallback",
    )
    table = Table(*columns)
    failed = []
    for number, path in enumerate(chosen):
        numbered = replace(settings, seed=seed + number)  # or clips of one length would share a mask
        try:
            made = make([path], out=out, start=start, settings=numbered)
        except VideoError as error:
            if len(chosen) == 1:
                raise
            failed.append(str(error))
            continue
        for shown, picture in made:
            for name, s in shown.statistics.items():
                shares = (s.ratio, s.motion_share, s.object_share, s.step_iou, s.fallback_share)
                table.add_row(str(picture), name, *map(_share, shares))
    console.print(table)
    for message in failed:
        console.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if len(failed) == len(chosen):
        raise typer.Exit(1)


def _videos(given: str) -> list[str]:
    """The videos of a folder, an annotation file or a specification; anything else is a video."""
    from mgm.data.annotations import find_set
    from mgm.data.annotations.splits import SUFFIXES

    place = Path(given)
    described = place.is_dir() or "=" in given or place.suffix.lower() in (*SUFFIXES, ".yaml", ".yml")
    return sorted(item.path for item in find_set(given).items) if described else [given]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
