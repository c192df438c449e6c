"""`mgm predict`"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import mgm
from mgm.commands.next_command import suggest_export
from mgm.commands.options import AsJson, ForeignRecipe, Labels, Network, with_network
from mgm.errors import ConfigError
from mgm.files.atomic import check_writable
from mgm.files.table import check_table_suffix
from mgm.ranks import on_first_rank
from mgm.terminal import Activity, note, print_json, print_result

if TYPE_CHECKING:
    from mgm.evaluation.prediction import Prediction


def predict(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of 'mgm finetune', or of a classifier of another project.")
    ],
    videos: Annotated[
        list[str],
        typer.Argument(help="Videos, URLs, folders or sets; - reads standard input."),
    ],
    top: Annotated[int, typer.Option(help="Number of classes to print.", min=1)] = 5,
    window: Annotated[
        float | None, typer.Option(help="Divide each video into windows of so many seconds, each with its own classes.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write a table: .csv, .jsonl or .parquet.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Setting that replaces one of the recipe: section.key=value.")
    ] = None,
    recipe: ForeignRecipe = None,
    model: Network = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Print the most probable classes of videos.

    mgm predict runs/a-finetuned video.mp4 https://example.org/other.mp4 videos/

    mgm predict runs/a-finetuned long.mp4 --window 10 --out classes.csv

    ffmpeg -i rtsp://camera -f yuv4mpegpipe - | mgm predict runs/a-finetuned - --window 2
    """
    with Activity("reading the classifier"):
        from mgm.evaluation.prediction import PredictionReport, predict_stream

        if out is not None and on_first_rank():
            check_table_suffix(out)
            check_writable(out)

    overrides = with_network(settings, model)
    if videos == ["-"]:
        found = []
        for one in predict_stream(
            run, sys.stdin.buffer, top=top, window=window, overrides=overrides, recipe=recipe, labels=labels
        ):
            found.append(one)
            if not as_json:
                _print(one, show_path=False)
        report = PredictionReport(tuple(found))
    elif "-" in videos:
        raise ConfigError("-", "standard input beside other videos", advice="predict it by itself", reason="conflict")
    else:
        with Activity("reading videos") as activity:
            report = mgm.predict(
                run,
                videos,
                top=top,
                window=window,
                overrides=overrides,
                recipe=recipe,
                labels=labels,
                progress=activity.rename,
            )
        for one in () if as_json else report.predictions:
            _print(one, show_path=len(report.predictions) > 1)
    if as_json:
        print_json(report)
    for message in report.unreadable.values():
        note(message)
    if out is not None and on_first_rank():
        report.save(out)
        note(f"written to {out}")
    if model is None:  # weights of other authors stay in their format
        suggest_export(run)


def _print(found: Prediction, *, show_path: bool) -> None:
    where = f"{found.path}  " if show_path else ""
    times = "" if math.isnan(found.begin) else f"{found.begin:.1f} - {found.end:.1f} s  "
    classes = ", ".join(
        f"{name} {probability:.1%}" for name, probability in zip(found.classes, found.probabilities, strict=True)
    )
    print_result(f"{where}{times}{classes}")
