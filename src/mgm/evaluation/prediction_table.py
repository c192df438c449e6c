"""The predictions of an evaluation, per video, in files: for people and spreadsheets, and for a comparison."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mgm.data.items import VideoItem, common_folder
from mgm.errors import FileError, in_words
from mgm.evaluation.classification import confusion_matrix, label_rank
from mgm.evaluation.metrics import correct
from mgm.evaluation.prediction_blocks import Predictions
from mgm.files.atomic import atomic_folder
from mgm.files.regular import open_regular
from mgm.files.table import TableRow, write_table

ARRAYS: Final = "predictions.npz"
_TABLE = "predictions"
_COLUMNS: Final[Mapping[str, type]] = {
    "video": str,
    "group": str,
    "class": str,
    "predicted": str,
    "correct": bool,
    "probability": float,
    "probability of class": float,
    "rank of class": int,
    "views": int,
}


@dataclass(frozen=True, slots=True, eq=False)
class JudgedVideos:
    """Predictions of a set, by video.

    Attributes:
        names: of the videos, unique; see `video_names`.
        group: of each video; None if the set has no groups.
        probability: float64 (videos, classes). label: int64 (videos,).
    """

    names: tuple[str, ...]
    probability: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    group: tuple[str, ...] | None = None

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """bool (videos,), True = the most probable class is the label."""
        return correct(self.probability, self.label)


def video_names(items: Sequence[VideoItem]) -> tuple[str, ...]:
    """A name for each item that no other has: its path below the common folder, with the part and, if listed twice, a number.

    Base names are not unique: other projects merge the views of two videos of one name.
    """
    above = common_folder([item.path for item in items])
    seen: Counter[str] = Counter()
    names = []
    for item in items:
        whole = item.start == 0 and item.end is None
        part = "" if whole else f"[{item.start}:{'' if item.end is None else item.end}]"
        name = item.path[above:].encode("utf-8", "backslashreplace").decode() + part
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(names)


def write_predictions(folder: Path, judged: JudgedVideos, predictions: Predictions, classes: Sequence[str]) -> None:
    """Write a folder, in place of an earlier one: `predictions.csv` and, with pyarrow, `.parquet`, of one row per video; all
    probabilities in `predictions.npz`; and `confusion.csv`, the true classes in rows.

    Raises:
        FileError: it cannot be written.
    """
    with atomic_folder(folder) as made:
        for suffix in (".csv", ".parquet") if importlib.util.find_spec("pyarrow") is not None else (".csv",):
            with (made / f"{_TABLE}{suffix}").open("xb") as file:
                write_table(file, suffix, _COLUMNS, _rows(judged, predictions, classes))
        arrays: dict[str, Any] = {"names": np.array(judged.names), "classes": np.array(classes)}
        arrays |= {} if judged.group is None else {"group": np.array(judged.group)}
        np.savez(made / ARRAYS, probability=judged.probability, label=judged.label, **arrays)
        confusion = confusion_matrix(judged.probability, judged.label)
        columns = {"class": str, **dict.fromkeys(classes, int)}
        rows = (
            {"class": name, **dict(zip(classes, counts, strict=True))}
            for name, counts in zip(classes, confusion.tolist(), strict=True)
        )
        with (made / "confusion.csv").open("xb") as file:
            write_table(file, ".csv", columns, rows)


def read_predictions(folder: Path) -> JudgedVideos:
    """Read what `write_predictions` wrote. Raises FileError if it is missing or damaged."""
    path = folder / ARRAYS
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as content:
            group = tuple(map(str, content["group"])) if "group" in content else None
            return JudgedVideos(tuple(map(str, content["names"])), content["probability"], content["label"], group)
    except FileNotFoundError as error:
        raise FileError(path, "is missing", advice="run 'mgm evaluate' again", reason="not_found") from error
    except (OSError, ValueError, KeyError, EOFError) as error:
        found = f"cannot be read as predictions ({in_words(error)})"
        raise FileError(path, found, advice="run 'mgm evaluate' again", reason="malformed") from error


def _rows(judged: JudgedVideos, predictions: Predictions, classes: Sequence[str]) -> Iterator[TableRow]:
    ranks = label_rank(judged.probability, judged.label)
    for i, name in enumerate(judged.names):
        probability, label = judged.probability[i], int(judged.label[i])
        predicted = int(probability.argmax())
        yield {
            "video": name,
            "group": None if judged.group is None else judged.group[i],
            "class": classes[label],
            "predicted": classes[predicted],
            "correct": predicted == label,
            "probability": float(probability[predicted]),
            "probability of class": float(probability[label]),
            "rank of class": int(ranks[i]),
            "views": predictions.views[i],
        }
