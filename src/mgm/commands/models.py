"""`mgm models`: the ViTs of mgm, and the networks of other authors that it builds, trains and evaluates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson
from mgm.errors import ModelError
from mgm.terminal import Activity, Terminal, note, print_json, print_result

_OWN_PAPER = "Tong et al. 2022"


@dataclass(frozen=True, slots=True)
class _Row:
    """A model as it is listed.

    Attributes:
        parameters, gmacs: of a classifier of `classes` classes, and of one view. clip: frames, their distance, side in pixels.
        views: temporal and spatial. weights: the programs that write its weights. licence, source: of published weights.
        recipe: that trains it.
    """

    name: str
    title: str
    parameters: int
    gmacs: float | None
    classes: int
    frames: int
    stride: int
    size: int
    views: tuple[int, int]
    sampling: str
    weights: tuple[str, ...]
    licence: str
    source: str
    paper: str
    recipe: str


def models(
    name: Annotated[str | None, typer.Argument(help="Network to show, with its weights and its command.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the models: mgm's ViTs by model.size, and the networks of other authors by model.network.

    mgm models mvitv2-b-32x3
    """
    with Activity("reading the catalog"):
        rows = [*_own(), *_networks()]
    if name is not None:
        rows = [_named(name, rows)]
    if as_json:
        print_json([asdict(row) for row in rows])
    elif name is not None:
        _print_one(rows[0])
    else:
        _print_table(rows)


def _own() -> list[_Row]:
    """The ViTs, as the reference fine-tunes them on Kinetics-400."""
    import torch

    from mgm.models import SIZES, Classifier, Encoder, ModelSpec
    from mgm.models.cost import encoder_multiply_accumulates

    rows = []
    for size in SIZES:
        spec = ModelSpec(size)
        with torch.device("meta"):
            count = sum(p.numel() for p in Classifier(Encoder(spec), 400).parameters())
        work = encoder_multiply_accumulates(spec)
        gmacs = None if work is None else round(work / 1e9, 1)
        weights = ("mgm", "VideoMAE", "Hugging Face VideoMAE", "MAE-ST", "OmniMAE")
        clip = {"frames": spec.frames, "stride": 4, "size": 224, "views": (5, 3), "sampling": "dense"}
        facts = {"licence": "of each file", "source": "docs/checkpoints.md", "paper": _OWN_PAPER, "recipe": ""}
        rows.append(_Row(size, f"ViT-{size} of mgm", count, gmacs, 400, weights=weights, **clip, **facts))  # type: ignore[arg-type]
    return rows


def _networks() -> list[_Row]:
    from mgm.models.networks.catalog import NETWORKS

    names = [field for field in _Row.__dataclass_fields__ if field != "weights"]
    return [
        _Row(
            weights=tuple(dict.fromkeys(one.name for one in entry.formats)),
            **{name: getattr(entry, name) for name in names},
        )
        for entry in NETWORKS.values()
    ]


def _named(name: str, rows: list[_Row]) -> _Row:
    names = [row.name for row in rows]
    if name in names:
        return rows[names.index(name)]
    raise ModelError.not_one_of("models", f"found {name!r}", name, names)


def _print_table(rows: list[_Row]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for column in ("name", "size", "GMAC", "clip, px", "views", "licence"):
        table.add_column(
            column,
            justify="right" if column in ("size", "GMAC") else "left",
            overflow="fold",
            no_wrap=column in ("name", "clip, px"),
        )
    for row in rows:
        gmacs = "" if row.gmacs is None else f"{row.gmacs:,.1f}"
        licence = row.licence or "none published"
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.1f} M",
            gmacs,
            f"{_frames(row, ' x ')}, {row.size}",
            f"{row.views[0]} x {row.views[1]}",
            licence,
        )
    Terminal().print(table)
    note("clip: frames x stride, or frames spread over the video; views: temporal x spatial; size: parameters")
    suggest("mgm", "models", rows[-1].name)


def _frames(row: _Row, times: str) -> str:
    return f"{row.frames}{times}{row.stride}" if row.sampling == "dense" else f"{row.frames} spread"


def _print_one(row: _Row) -> None:
    console = Terminal()
    console.print_line(row.title, style="bold")
    for name, text in (
        ("paper", row.paper),
        ("parameters", f"{row.parameters:,} for {row.classes} classes"),
        ("computation", "" if row.gmacs is None else f"{row.gmacs:,.1f} GMAC per view"),
        ("clip", f"{_frames(row, ' frames x stride ')}, {row.size} px"),
        ("views", f"{row.views[0]} temporal x {row.views[1]} spatial"),
        (
            "weights",
            f"{', '.join(row.weights)}: {row.source}" if row.licence else f"none published; code: {row.source}",
        ),
        ("licence", row.licence),
        ("recipe", row.recipe),
    ):
        if text:
            print_result(f"{name:12} {text}")
    if row.paper == _OWN_PAPER:
        suggest("mgm", "recipes")
    elif row.licence:
        suggest("mgm", "evaluate", "WEIGHTS", "SET", "--model", row.name)
    else:
        suggest("mgm", "finetune", "none", "SET", "--model", row.name)
