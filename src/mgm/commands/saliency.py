"""`mgm saliency`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

import mgm
from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson, Data
from mgm.commands.tables import plain_table
from mgm.terminal import Activity, Terminal, note, print_json, print_result

if TYPE_CHECKING:
    from mgm.evaluation.saliency import SaliencyReport


def saliency(
    data: Data,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Boxes of all videos: csv, Something-Else json, MOT, COCO for video. Default: NAME.json or boxes.json beside each."
        ),
    ] = None,
    camera: Annotated[
        str, typer.Option(help="Camera motion to subtract: any of none, median, affine, separated by commas.")
    ] = "none,affine",
    masks: Annotated[
        str, typer.Option(help="Masks whose hidden shares of motion and objects are measured, separated by commas.")
    ] = "mgm,tube",
    out: Annotated[Path | None, typer.Option(help="File for the results (json).")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well motion marks the true objects: its mean inside their boxes / outside (the paper's r_bbox / r_non_bbox).

    mgm saliency videos/ --boxes boxes.csv

    mgm saliency 20bn/ --boxes bounding_box_annotations.json --masks all --out saliency.json
    """
    with Activity("reading videos") as activity:
        from mgm.evaluation.saliency import check_cameras
        from mgm.masks import list_masks

        names = list_masks() if masks == "all" else tuple(filter(None, masks.split(",")))
        report = mgm.saliency(
            data, boxes=boxes, cameras=check_cameras(camera), masks=names, out=out, progress=activity.rename
        )
    if as_json:
        print_json({"results": [result.model_dump(mode="json") for result in report.results], "advice": report.advice})
    else:
        console = Terminal()
        console.print(_table(report))
        if names:
            console.print(_masks(report))
        print_result(report.advice)
    if report.without:
        path, reason = next(iter(report.without.items()))
        note(f"{len(report.without):,} videos were left out, such as {path}: {reason}")
    suggest("mgm", "preview", data)


def _table(report: SaliencyReport) -> Table:
    table = plain_table("camera", "inside / outside", "95% interval", "median of the videos", "videos", "frames")
    for one in report.found:
        low, high = one.interval
        table.add_row(
            one.camera,
            f"{one.ratio:.2f}",
            f"{low:.2f} - {high:.2f}",
            f"{one.median:.2f}",
            f"{len(one.paths):,}",
            f"{one.frames:,}",
        )
    return table


def _masks(report: SaliencyReport) -> Table:
    table = plain_table("mask", "camera", "motion hidden", "objects hidden")
    for one in report.found:
        for mask in one.masks:
            table.add_row(mask.name, one.camera, f"{mask.motion:.1%}", f"{mask.objects:.1%}")
    return table
