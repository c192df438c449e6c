"""Arguments that several commands share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mgm.data.annotations import VideoSet

Data = Annotated[
    str,
    typer.Argument(
        help="Folder of videos, an annotation file, or train=FILE,test=FILE,root=FOLDER; 'mgm data show' tells what is understood."
    ),
]
Recipe = Annotated[str, typer.Option(help="One of our recipes by name, or a .yaml file.")]
ForeignRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="Whose settings are taken instead of the run's; for weights from elsewhere by default mgm-vitb-k400's.",
    ),
]
Out = Annotated[Path, typer.Option(help="The run's folder: config.yaml, log.jsonl, tensorboard/, last.pt.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out exactly where it stopped.")]
Settings = Annotated[list[str] | None, typer.Argument(help="Settings that replace the recipe's: section.key=value ...")]


def open_set(data: str) -> VideoSet:
    """The set that an argument describes; what a user should know of it goes to standard error, once for all devices."""
    from mgm.data.annotations import load_set

    videos = load_set(data)
    if os.environ.get("RANK", "0") == "0":
        for note in videos.notes:
            print(f"mgm: {note}", file=sys.stderr)
    return videos
