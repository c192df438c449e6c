"""`mgm reconstruct`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mgm
from mgm.commands.next_command import suggest
from mgm.commands.options import ForeignRecipe, Settings
from mgm.terminal import Activity, print_result


def reconstruct(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of 'mgm pretrain', or an autoencoder of another project.")
    ],
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A video, or a URL.")],
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Video to write: .mp4.")] = Path("reconstruction.mp4"),
    recipe: ForeignRecipe = None,
) -> None:
    """Write a video of frames, the tokens that the encoder sees, and the model's reconstruction of the others.

    mgm reconstruct runs/a video.mp4 --out rebuilt.mp4 mask.name=tube mask.ratio=0.9
    """
    with Activity(f"reading {video}") as activity:
        report = mgm.reconstruct(
            run, video, out, overrides=tuple(settings or ()), recipe=recipe, progress=activity.rename
        )
    print_result(
        f"{report.out}: {report.frames:,} frames of {report.clips:,} clips, error {report.error:.4f} on hidden tokens"
    )
    suggest("mgm", "attention", run, video)
