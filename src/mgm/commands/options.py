"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgm.terminal import note

if TYPE_CHECKING:
    from mgm.data.annotations import VideoSet

Data = Annotated[
    str,
    typer.Argument(
        help="Folder of videos, an annotation file, or train=FILE,test=FILE,root=FOLDER; 'mgm data show' prints how it is read."
    ),
]
Recipe = Annotated[str, typer.Option(help="Name of a recipe of mgm, or a .yaml file.")]
ForeignRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="Recipe to use instead of the run's own settings. Default for weights of other projects: mgm-vitb-k400.",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder of the run: config.yaml, log.jsonl, tensorboard/, last.pt.")]
Resume = Annotated[bool, typer.Option("--resume", help="Resume the run in --out exactly where it stopped.")]
Settings = Annotated[
    list[str] | None, typer.Argument(help="Settings that replace those of the recipe: section.key=value ...")
]


def open_set(data: str) -> VideoSet:
    """The set that an argument describes. Prints its notes to standard error, on the first device only."""
    from mgm.data.annotations import load_set

    videos = load_set(data)
    for line in videos.notes:
        note(line)
    return videos
