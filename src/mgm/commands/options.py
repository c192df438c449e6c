"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path, typer.Argument(help="Folder of videos; class folders (or train/ and test/ with class folders) give labels.")
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
