"""A classifier of one set on the videos of another, without training on it (Fan et al. 2023, Table 3): `mgm transfer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mgm.data.clips.source import ClipSource
from mgm.data.items import VideoSet
from mgm.data.judging import untestable
from mgm.errors import DataError
from mgm.evaluation.multi_view import evaluate_classifier
from mgm.evaluation.prediction import class_names
from mgm.evaluation.prediction_blocks import Predictions
from mgm.evaluation.protocol import accuracy_metric, view_protocol
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.run import open_readable
from mgm.files.table import read_csv
from mgm.notebook import Table, Tabled
from mgm.training.checkpoint import open_classifier
from mgm.training.results import (
    Metric,
    Result,
    check_results,
    describe_model,
    describe_set,
    describe_videos,
    keep_result,
    result_file,
)
from mgm.training.shared_set import shared_set

TRANSFER_FILE: Final = "transfer.json"
BY_NUMBER: Final = "numbers"
"""A map between sets whose lists number their classes alike."""


@dataclass(frozen=True, slots=True, eq=False)
class TransferReport(Tabled):
    """The answers of a classifier on the videos of another set.

    Attributes:
        result: as written to transfer.json.
        predictions: probabilities of all classes of the classifier; of several processes the first one alone has videos.
        classes: their names.
        present: bool (classes,), True = the target has test videos of the class.
    """

    result: Result
    predictions: Predictions
    classes: tuple[str, ...]
    present: npt.NDArray[np.bool_]

    def __repr__(self) -> str:
        return repr(self.result)

    def as_table(self) -> Table:
        """The metrics with their intervals."""
        return self.result.as_table()


def transfer(
    run: str | Path,
    target: str | Path | VideoSet,
    *,
    class_map: str | Path | Mapping[str, str] | None = None,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    source: ClipSource | None = None,
    progress: Callable[[str], None] | None = None,
) -> TransferReport:
    """Top-1 of a classifier on the test videos of another set, among all classes of the classifier.

    This is partial domain adaptation, source only. The share of videos that the classifier gives to classes which the target lacks
    (negative transfer) is measured, too. Written to `transfer.json` in the run's folder, beside results on other sets.

    Args:
        run: the folder of `mgm finetune` on the source, or an external classifier.
        target: a set whose classes are among those of the classifier, by name or by `class_map`.
        class_map: class of the target -> class of the classifier, or a csv file with a row `target,source` for each; classes of the
            target that it omits keep their names. "numbers": a class of the target is the one of the same number, as in
            the lists of PATAN, whose sets have other names for their classes.
        overrides, recipe, progress: as in `mgm.evaluate`.

    Raises:
        DataError: a class of the target is not among those of the classifier, or the target has no labelled test videos.
        MgmError: the run does not exist.
    """
    file = result_file(run, TRANSFER_FILE)
    check_results(file)
    classifier, config = open_classifier(run, overrides, recipe=recipe)
    classes = class_names(classifier)
    given = shared_set(target)
    by_number = class_map == BY_NUMBER
    videos = number_classes(given, classes) if by_number else map_classes(given, classes, read_class_map(class_map))
    if (error := untestable(videos)) is not None:
        raise error
    present = np.zeros(len(classes), bool)
    present[[item.label for item in videos.test if item.label is not None]] = True
    readable = open_readable(videos, videos.test, config, source, show_progress=progress is not None)
    ranks = Ranks(config.probe.precision)
    found = evaluate_classifier(classifier, readable.videos, config, readable.source, ranks=ranks, progress=progress)

    def judge() -> Result:
        """Write the result."""
        about = describe_set(given).model_copy(update={"classes": int(present.sum())})
        protocol = view_protocol(config, config.finetune.sampling, config.finetune.sampling_rule)
        result = Result(
            kind="transfer",
            set=about,
            model=describe_model(run, classifier, config, recipe=recipe),
            protocol={**protocol, "classes of the classifier": len(classes)},
            videos=describe_videos(
                given, judged=len(found.label), unreadable={**readable.unreadable, **found.unreadable}
            ),
            metrics=transfer_metrics(found, present),
            details=_details(found, classes, present),
        )
        keep_result(file, result)
        return result

    result = ranks.from_first(judge)
    return TransferReport(result, found, classes, present)


def transfer_metrics(found: Predictions, present: npt.NDArray[np.bool_]) -> tuple[Metric, ...]:
    """Top-1 among all classes and among those that the target has, and the fraction of videos given to the others."""
    answer = found.probability.argmax(1)
    among = np.where(present, found.probability, -1).argmax(1)
    return (
        accuracy_metric("top-1", answer == found.label),
        accuracy_metric("given to classes that the target lacks", ~present[answer]),
        accuracy_metric("top-1 among the target's classes", among == found.label),
    )


def map_classes(videos: VideoSet, classes: tuple[str, ...], class_map: Mapping[str, str]) -> VideoSet:
    """The set with labels that index the classes of a classifier; several classes of the set may have the same one.

    Raises:
        DataError: a class is not among them, by the map or by name; or the map names a class that the set lacks.
    """
    unknown = [name for name in class_map if name not in videos.classes]
    if unknown:
        raise DataError(
            videos.root,
            f"has no class {unknown[0]}",
            f"the classes of the map, such as {', '.join(videos.classes[:4]) or 'none'}",
            "correct the map: its first column has classes of the target",
            reason="mismatch",
        )
    known = {name.replace("_", " ") for name in classes}
    lost = [name for name in videos.classes if class_map.get(name, name).replace("_", " ") not in known]
    if lost:
        raise DataError(
            videos.root,
            f"the classifier has no class for {', '.join(lost[:4])}{', ...' if len(lost) > 4 else ''}",
            f"one of {', '.join(classes[:8])}{', ...' if len(classes) > 8 else ''}",
            "give each a row in the map, or leave its videos out",
            reason="mismatch",
        )
    return replace(videos, classes=tuple(class_map.get(name, name) for name in videos.classes)).with_classes(classes)


def number_classes(videos: VideoSet, classes: tuple[str, ...]) -> VideoSet:
    """The set with the classes of a classifier in place of those of the same numbers.

    Raises:
        DataError: the set has more classes than the classifier.
    """
    if len(videos.classes) > len(classes):
        raise DataError(
            videos.root,
            f"has {len(videos.classes)} classes",
            f"at most the {len(classes)} of the classifier",
            "give a map of their names",
            reason="mismatch",
        )
    return replace(videos, classes=classes)


def read_class_map(given: str | Path | Mapping[str, str] | None) -> Mapping[str, str]:
    """Class of the target -> class of the classifier. Raises DataError for a file that is not a table of two columns."""
    if given is None or isinstance(given, Mapping):
        return given or {}
    path = Path(given)
    rows = [row for row in read_csv(path, "a csv file of classes") if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            found = f"line {number} has {len(row)} columns"
            raise DataError(path, found, "two: class of the target, class of the source", reason="malformed")
    return {target.strip(): source.strip() for target, source in rows if (target, source) != ("target", "source")}


def _details(found: Predictions, classes: tuple[str, ...], present: npt.NDArray[np.bool_]) -> dict[str, Any]:
    answer = found.probability.argmax(1)
    lacking = [(int((answer == i).sum()), classes[i]) for i in np.flatnonzero(~present)]
    return {
        "classes": list(classes),
        "classes of the target": [classes[i] for i in np.flatnonzero(present)],
        "given to classes that the target lacks": {
            name: count for count, name in sorted(lacking, reverse=True) if count
        },
    }
