"""`mgm transfer`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mgm
from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson, Data, ForeignRecipe, Settings, open_set
from mgm.terminal import Activity, print_json, print_result


def transfer(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of 'mgm finetune' on the source set, or of another classifier."),
    ],
    data: Data,
    settings: Settings = None,
    class_map: Annotated[
        str | None,
        typer.Option(
            "--map",
            help="Classes with different names: csv with rows 'class of the target,class of the source'; or numbers, if both sets "
            "number their classes alike.",
        ),
    ] = None,
    recipe: ForeignRecipe = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a classifier on another set without training on it, among all of its classes (partial domain adaptation).

    mgm transfer runs/ucf14 test=hmdb51_test_uh.txt,root=hmdb51/ --map numbers

    mgm transfer runs/kinetics videos/ --map classes.csv
    """
    with Activity("reading videos") as activity:
        report = mgm.transfer(
            run,
            open_set(data),
            class_map=class_map,
            overrides=tuple(settings or ()),
            recipe=recipe,
            progress=activity.rename,
        )
    if as_json:
        print_json(report.result.model_dump(mode="json"))
    else:
        _print(report.result.metrics, len(report.classes), int(report.present.sum()))
        lost = report.result.details["given to classes that the target lacks"]
        if lost:
            print_result("most of them: " + ", ".join(f"{name} {count}" for name, count in list(lost.items())[:5]))
        if report.result.videos.incomplete:
            print_result(f"{report.result.videos.incomplete}: the others could not be read, or are missing")
    suggest("mgm", "results", run)


def _print(metrics: tuple[object, ...], classes: int, present: int) -> None:
    print_result(f"{classes} classes, of which the target has {present}")
    for metric in metrics:
        print_result(str(metric))
