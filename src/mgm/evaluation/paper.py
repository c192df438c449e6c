"""The paper's own figures (Fan et al., ICCV 2023, Tables 1 to 4 and section 1), for tables of results beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mgm.training.results import Kind, Metric, Result


@dataclass(frozen=True, slots=True)
class PaperSet:
    """A set of the paper: what its name contains, its classes and test videos, and the views of a test video."""

    name: str
    aliases: tuple[str, ...]
    classes: int
    test: int
    views: tuple[int, int]


SETS: Final = {
    "ssv2": PaperSet(
        "Something-Something V2", ("ssv2", "sthv2", "somethingv2", "somethingsomething"), 174, 24777, (2, 3)
    ),
    "k400": PaperSet("Kinetics-400", ("k400", "kinetics400"), 400, 19796, (5, 3)),
    "ucf101": PaperSet("UCF101", ("ucf101",), 101, 3783, (5, 3)),
    "hmdb51": PaperSet("HMDB51", ("hmdb51",), 51, 1530, (5, 3)),
    "diving48": PaperSet("Diving48", ("diving48",), 48, 1970, (5, 3)),
    "hmdb7": PaperSet("HMDB7", ("hmdb7",), 7, 210, (5, 3)),
    "ucf7": PaperSet("UCF7", ("ucf7",), 7, 266, (5, 3)),
}
"""Sizes are those of the published lists, where a split is numbered of the first one."""


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """One cell of a table of the paper: top-1 accuracy, or the saliency score."""

    table: str
    method: str
    on: str
    kind: Kind
    value: float


def _cells(table: str, kind: Kind, sets: str, *rows: tuple[str, tuple[float | None, ...]]) -> Iterator[PaperFigure]:
    for method, values in rows:
        for name, value in zip(sets.split(), values, strict=True):
            if value is not None:
                yield PaperFigure(table, method, name, kind, round(value / 100, 4))


_DOWNSTREAM = "ucf101 hmdb51 diving48"
FIGURES: Final = (
    *_cells(
        "1", "evaluation", "ssv2 k400",
        ("MGM, 400 epochs", (69.6, 80.3)),
        ("MGM, 800 epochs", (70.6, 80.8)),
        ("MGM, 1200 epochs", (71.6, 81.2)),
        ("MGM, 1600 epochs", (71.8, 81.7)),
        ("MGM, 2400 epochs", (72.1, None)),
        ("VideoMAE, 800 epochs", (69.6, 80.0)),
        ("VideoMAE, 1600 epochs", (70.3, 81.5)),
        ("VideoMAE, 2400 epochs", (70.8, None)),
    ),
    *_cells(
        "2a", "evaluation", _DOWNSTREAM,
        ("supervised on K400", (95.1, 71.4, 62.7)),
        ("VideoMAE, 800 epochs on K400", (93.3, 73.5, 65.3)),
        ("MGM, 800 epochs on K400", (94.2, 74.6, 70.2)),
        ("MGM, fine-tuned on K400", (97.7, 81.0, 82.6)),
    ),
    *_cells(
        "2b", "evaluation", _DOWNSTREAM,
        ("supervised on SSv2", (77.8, 56.3, 36.2)),
        ("VideoMAE, 800 epochs on SSv2", (90.6, 68.7, 80.5)),
        ("MGM, 800 epochs on SSv2", (91.9, 69.7, 83.1)),
        ("MGM, fine-tuned on SSv2", (93.2, 74.7, 83.4)),
    ),
    *_cells(
        "2c", "probe", _DOWNSTREAM,
        ("supervised on K400", (94.1, 65.4, 25.2)),
        ("VideoMAE, 800 epochs on K400", (70.5, 45.4, 10.0)),
        ("MGM, 800 epochs on K400", (77.5, 49.2, 14.2)),
    ),
    *_cells(
        "2d", "probe", _DOWNSTREAM,
        ("supervised on SSv2", (72.9, 51.8, 13.2)),
        ("VideoMAE, 800 epochs on SSv2", (65.3, 41.2, 10.7)),
        ("MGM, 800 epochs on SSv2", (69.1, 44.8, 10.2)),
    ),
    *_cells(
        "3", "transfer", "hmdb7 ucf7",
        ("VideoMAE, 800 epochs on K400", (55.7, 69.6)),
        ("MGM, 800 epochs on K400", (57.6, 71.4)),
        ("MGM, fine-tuned on K400", (79.1, 96.2)),
    ),
    *_cells(
        "4a", "evaluation", "ssv2",
        ("MGM ViT-S, 200 epochs", (61.1,)),
        ("MGM ViT-B, 200 epochs", (67.3,)),
        ("MGM TimeSformer, 200 epochs", (64.7,)),
    ),
    *_cells("4b", "evaluation", "ssv2", ("MGM with optical flow, 200 epochs", (66.0,))),
    *_cells("4c", "evaluation", "ssv2", ("MGM without jitter, 200 epochs", (67.1,))),
    *_cells(
        "4d", "evaluation", "k400",
        ("MGM on Mini-K200, 200 epochs", (78.2,)),
        ("MGM on K400, 200 epochs", (78.6,)),
    ),
    *_cells(
        "4e", "evaluation", "ssv2",
        ("random block, 200 epochs", (62.9,)),
        ("SMM (sparse), 200 epochs", (64.6,)),
        ("random tube, 200 epochs", (65.0,)),
        ("MGM (sparse), 200 epochs", (65.1,)),
        ("SMM (dense), 200 epochs", (65.9,)),
    ),
    PaperFigure("section 1", "saliency score", "ssv2", "saliency", 1.47),
    PaperFigure("section 1", "saliency score", "k400", "saliency", 1.28),
)  # fmt: skip


_METRICS: Final[dict[Kind, str]] = {
    "evaluation": "top-1",
    "probe": "linear",
    "transfer": "top-1",
    "saliency": "r_bbox / r_non_bbox",
}
"""The metrics that the paper has; those of a probe begin so: there are several linear ones."""


def paper_set(result: Result) -> str | None:
    """The key in `SETS` of a result's set, by its name or else by its numbers of classes and test videos; None for other sets.

    Only sets on which the paper has figures of the kind: a transfer to HMDB7 is on a list of HMDB51.
    """
    known_sets = {f.on: SETS[f.on] for f in FIGURES if f.kind == result.kind}
    name = re.sub(r"[^a-z0-9]", "", result.set.name.lower())
    sizes = (result.set.classes, result.videos.expected)
    named = (key for key, known in known_sets.items() if any(alias in name for alias in known.aliases))
    sized = (key for key, known in known_sets.items() if (known.classes, known.test) == sizes)
    return next(named, None) or next(sized, None)


def figures_beside(result: Result, metric: Metric, method: str) -> list[PaperFigure]:
    """The paper's figures of the same kind on the same set, whose method contains the words `method`; none for other metrics."""
    wanted = _METRICS[result.kind]
    if not (metric.name.startswith(wanted) if result.kind == "probe" else metric.name == wanted):
        return []
    key, words = paper_set(result), method.lower()
    of_set = [f for f in FIGURES if f.on == key and f.kind == result.kind]
    return [f for f in of_set if words in f.method.lower() or result.kind == "saliency"]


def differences(result: Result, figure: PaperFigure) -> tuple[str, ...]:
    """Why a result and a figure are not comparable, in words; empty if they are."""
    known, protocol = SETS[figure.on], result.protocol
    found = []
    if result.kind == "probe":
        found.append("the paper does not describe its probe")
    if result.kind == "saliency":
        found.append("the paper does not name its boxes and videos")
    views = protocol.get("temporal views"), protocol.get("spatial views")
    if None not in views and views != known.views:
        found.append(f"{views[0]}x{views[1]} views, theirs {known.views[0]}x{known.views[1]}")
    clip = protocol.get("frames"), protocol.get("size")
    if None not in clip and clip != (16, 224):
        found.append(f"clips of {clip[0]} x {clip[1]} px, theirs 16 x 224")
    if result.videos.expected != known.test and result.kind != "saliency":
        found.append(f"{result.videos.expected:,} test videos, theirs {known.test:,}")
    if result.videos.incomplete:
        found.append(result.videos.incomplete)
    return tuple(found)
