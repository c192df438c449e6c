"""`mgm evaluate`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import mgm
from mgm.commands.next_command import suggest_export
from mgm.commands.options import (
    AsJson,
    Data,
    ForeignRecipe,
    Groups,
    Labels,
    Network,
    Settings,
    open_set,
    with_network,
)
from mgm.printable import plural
from mgm.ranks import on_first_rank
from mgm.terminal import Activity, print_json, print_result

if TYPE_CHECKING:
    from mgm.evaluation.multi_view import Evaluation


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of 'mgm finetune', or of a classifier of another project with the names of its classes.",
        ),
    ],
    data: Data,
    settings: Settings = None,
    recipe: ForeignRecipe = None,
    model: Network = None,
    labels: Labels = None,
    groups: Groups = None,
    worst: Annotated[int, typer.Option(help="Number of videos on the page of mistakes; 0: no page.", min=0)] = 24,
    as_json: AsJson = False,
) -> None:
    """Measure a fine-tuned classifier on the test videos, over K temporal x 3 spatial views.

    mgm evaluate runs/a-finetuned videos/ probe.temporal_views=5

    mgm evaluate SLOWFAST_8x8_R50.pkl kinetics/ --model slowfast-r50-8x8

    A stopped evaluation continues where it was.
    """
    with Activity("reading videos") as activity:
        videos = open_set(data)
        overrides = with_network(settings, model)
        found = mgm.evaluate(
            run, videos, overrides=overrides, recipe=recipe, labels=labels, groups=groups, progress=activity.rename
        )
        page = _write_page(found, worst)
    result = found.result
    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    for metric in result.metrics:
        method = f" ({metric.intervals[0].method})" if metric.intervals else ""
        print_result(f"{metric}{method} on {plural(metric.count, 'video')}")
    for pair in result.details["most confused"][:3]:
        print_result(f"{pair['videos']} of {pair['class']} taken for {pair['predicted']}")
    if result.videos.incomplete:
        print_result(f"{result.videos.incomplete}: the others are missing or could not be read")
    print_result(f"{found.folder}: the predictions{'' if page is None else f'; {page}: the most wrong ones'}")
    if model is None:  # weights of other authors stay in their format
        suggest_export(run)


def _write_page(found: Evaluation, count: int) -> Path | None:
    """The page of the most wrong videos; None if none is wrong or wanted."""
    from mgm.show.mistakes import write_mistakes

    return write_mistakes(found, count) if count and on_first_rank() else None
