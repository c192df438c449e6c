"""The finished part of an evaluation, group by group, from which a stopped one continues to the same result."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.errors import FileError, in_words
from mgm.files.atomic import make_folder
from mgm.files.journal import Journal, read_journal


@dataclass(frozen=True, slots=True, eq=False)
class VideoPrediction:
    """The prediction of one video.

    Attributes:
        index: in the set. views: their number. probability: mean over the views, float64 (classes,).
        seconds: presentation times of the first and the last frame that the model saw; NaN where the video has none.
    """

    index: int
    label: int
    views: int
    probability: npt.NDArray[np.float64]
    seconds: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class PredictedGroup:
    """Neighbouring videos, which a model has judged together; path -> message of those that could not be read."""

    videos: tuple[VideoPrediction, ...]
    unreadable: dict[str, str]


class PredictionJournal:
    """Groups of predictions in a folder, one file per rank. The caller holds a lock: one evaluation at a time.

    Args:
        folder: of this evaluation alone; made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Iterator[tuple[int, PredictedGroup]]:
        """Yield the finished groups with their numbers. Raises FileError if a file is damaged before its end."""
        for file in sorted(self.folder.glob("rank*.jsonl")):
            for _, record in read_journal(file):
                yield _group(record, self.folder)

    @contextmanager
    def opened(self, rank: int) -> Iterator[Callable[[int, PredictedGroup], None]]:
        """A function that appends a finished group, for one rank."""
        make_folder(self.folder)
        with Journal(self.folder / f"rank{rank}.jsonl") as journal:

            def append(number: int, group: PredictedGroup) -> None:
                """Append a finished group."""
                journal.append(_record(number, group))

            yield append

    def remove(self) -> None:
        """Delete the folder, when the result is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _record(number: int, group: PredictedGroup) -> dict[str, Any]:
    """Times and probabilities as base64 of float64, little-endian: exact, and half as long as digits."""
    videos = [[v.index, v.label, v.views, _text([*v.seconds, *v.probability])] for v in group.videos]
    return {"group": number, "videos": videos, "unreadable": group.unreadable}


def _text(values: Sequence[float]) -> str:
    return base64.b64encode(np.array(values, "<f8").tobytes()).decode()


def _prediction(index: int, label: int, views: int, text: str) -> VideoPrediction:
    values = np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64)
    return VideoPrediction(index, label, views, values[2:], (float(values[0]), float(values[1])))


def _group(record: dict[str, Any], folder: Path) -> tuple[int, PredictedGroup]:
    try:
        videos = tuple(_prediction(*video) for video in record["videos"])
        return int(record["group"]), PredictedGroup(videos, dict(record["unreadable"]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        found, expected = f"cannot be read ({in_words(error)})", "the journal of an evaluation"
        raise FileError(folder, found, expected, "delete it, and evaluate again", reason="malformed") from error
