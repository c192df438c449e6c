"""The section of a report about the classes that a classifier confuses, from the predictions of its evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mgm.errors import FileError
from mgm.evaluation.classification import confusion_matrix
from mgm.evaluation.prediction_table import read_predictions
from mgm.show.report.elements import Column, Matrix, PageSection, Table, Text
from mgm.training.results import EVALUATION_FILE, Result, read_results, result_file

MOST_CLASSES: Final = 12
"""Classes of a matrix; of more, those of the most confused pairs are shown."""
MOST_PAIRS: Final = 10

Counts = npt.NDArray[np.int64]


def confusion_section(folders: Mapping[str, Path]) -> PageSection | None:
    """What each evaluation of the runs confuses; None without an evaluation that kept its predictions.

    Raises:
        ModelError: the results of a run are damaged.
    """
    parts: list[Matrix | Table | Text] = []
    for name, folder in folders.items():
        for result in read_results(result_file(folder, EVALUATION_FILE)):
            if "predictions" in result.details:
                parts += _of_result(name if len(folders) > 1 else "", folder, result)
    lead = "Rows are the true classes, columns the answers. Shades are shares of a row: blue is right, orange wrong."
    return PageSection("What is confused", tuple(parts), lead=lead) if parts else None


def _of_result(run: str, folder: Path, result: Result) -> list[Matrix | Table | Text]:
    where = f"{run} on {result.set.name}" if run else f"on {result.set.name}"
    classes = [str(name) for name in result.details["classes"]]
    try:
        judged = read_predictions(result_file(folder, str(result.details["predictions"])))
    except FileError as error:
        return [Text(f"{where}: {error.line}")]
    counts = confusion_matrix(judged.probability, judged.label)
    pairs = confused_pairs(counts)
    shown = _shown_classes(counts, pairs)
    matrix = Matrix(
        tuple(classes[i] for i in shown),
        tuple(tuple(int(counts[i, j]) for j in shown) for i in shown),
        tuple(int(counts[i].sum()) for i in shown),
        caption=_caption(where, len(shown), len(classes), int(counts.sum())),
    )
    return [matrix, _pairs(where, classes, counts, pairs)]


def confused_pairs(counts: Counts) -> list[tuple[int, int]]:
    """(class, answer) of the most frequent mistakes, at most `MOST_PAIRS`, from the matrix of counts (classes, classes).

    Of equally frequent ones the larger share of its class comes first.
    """
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    share = wrong / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    order = np.lexsort((-share.ravel(), -wrong.ravel()))[:MOST_PAIRS]
    return [divmod(int(place), len(counts)) for place in order if wrong.flat[place]]


def _shown_classes(counts: Counts, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """All classes; of more than `MOST_CLASSES` those of the pairs, as many as fit, in the order of the classes."""
    if len(counts) <= MOST_CLASSES:
        return list(range(len(counts)))
    chosen: dict[int, None] = {}
    for pair in pairs:
        if len(chosen.keys() | set(pair)) <= MOST_CLASSES:
            chosen |= dict.fromkeys(pair)
    return sorted(chosen) or list(range(MOST_CLASSES))


def _caption(where: str, shown: int, classes: int, videos: int) -> str:
    if shown == classes:
        return f"{where}: {videos:,} videos of {classes} classes"
    return f"{where}: the {shown} classes of the most confused pairs, of {classes}; answers with other classes are not shown"


def _pairs(where: str, classes: Sequence[str], counts: Counts, pairs: Sequence[tuple[int, int]]) -> Table | Text:
    """The most confused pairs in words and numbers."""
    if not pairs:
        return Text(f"{where}: no video is taken for another class.")
    columns = (Column("class"), Column("taken for"), Column("videos", number=True), Column("of the class", number=True))
    rows = []
    for i, j in pairs:
        total = int(counts[i].sum())
        rows.append((classes[i], classes[j], f"{counts[i, j]:,} of {total:,}", f"{counts[i, j] / total:.0%}"))
    return Table(columns, tuple(rows), caption=f"{where}: the most confused pairs")
