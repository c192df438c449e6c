"""`mgm evaluate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mgm
from mgm.commands.next_command import suggest_export
from mgm.commands.options import Data, ForeignRecipe, Settings, open_set
from mgm.terminal import Activity, print_result


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of 'mgm finetune', or of a classifier of another project with the names of its classes."
        ),
    ],
    data: Data,
    settings: Settings = None,
    recipe: ForeignRecipe = None,
) -> None:
    """Measure the accuracy of a fine-tuned classifier on the test videos, over K temporal x 3 spatial views.

    mgm evaluate runs/a-finetuned videos/ probe.temporal_views=5
    """
    with Activity("reading videos") as activity:
        videos = open_set(data)
        result = mgm.evaluate(run, videos, overrides=tuple(settings or ()), recipe=recipe, progress=activity.rename)
    for metric in result.metrics:
        print_result(f"{metric} on {metric.count:,} videos")
    if result.videos.incomplete:
        print_result(f"{result.videos.incomplete}: the others could not be read, or are missing")
    suggest_export(run)
