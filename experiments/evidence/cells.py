"""The cells that were computed, one line of JSON each, so that they can be kept with the code and read again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Hits = dict[str, npt.NDArray[np.bool_]]
"""Name of a probe -> which test videos it names right, bool (videos,)."""


@dataclass(frozen=True)
class Cell:
    """What one way to pretrain gave with one seed.

    Attributes:
        settings: recipe and settings, which identify the cell on its set: two questions with the same arm share it.
        name: of the arm that it was computed for.
        hits: name of the judged set -> name of the probe -> one bit per test video, as hexadecimal digits.
        videos: name of the judged set -> number of its test videos.
        seconds: of the clock. machine, versions: what computed it.
    """

    settings: str
    name: str
    hits: dict[str, dict[str, str]]
    videos: dict[str, int]
    seconds: int
    machine: str
    versions: dict[str, str]

    def unpack(self) -> dict[str, Hits]:
        """Name of the judged set -> hits."""
        return {
            judged: {way: _unpack(digits, self.videos[judged]) for way, digits in ways.items()}
            for judged, ways in self.hits.items()
        }

    def with_earlier(self, before: Cell) -> Cell:
        """This cell with the probes and judged sets of an earlier one that it has not."""
        names = before.hits | self.hits
        hits = {judged: before.hits.get(judged, {}) | self.hits.get(judged, {}) for judged in names}
        return replace(self, hits=hits, videos=before.videos | self.videos)


def pack(hits: dict[str, Hits]) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """The fields `hits` and `videos` of a cell."""
    packed = {
        judged: {way: np.packbits(row).tobytes().hex() for way, row in ways.items()} for judged, ways in hits.items()
    }
    return packed, {judged: len(next(iter(ways.values()))) for judged, ways in hits.items()}


def _unpack(digits: str, videos: int) -> npt.NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=videos).astype(bool)


class Cells:
    """The cells of one set, in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[str, Cell]:
        """Settings -> cell: of several lines the last, with the judges of the others.

        A line that is not whole, of a process that was stopped, is reported and left out.
        """
        cells: dict[str, Cell] = {}
        for number, line in enumerate(
            self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else (), 1
        ):
            try:
                cell = Cell(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                print(f"{self.file}, line {number}: not a whole cell, computed again")
                continue
            before = cells.get(cell.settings)
            cells[cell.settings] = cell if before is None else cell.with_earlier(before)
        return cells

    def add(self, cell: Cell) -> None:
        """Append a cell; other processes may do the same."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab+") as file:
            file.seek(0, 2)
            whole = True
            if file.tell():
                file.seek(-1, 2)
                whole = file.read(1) == b"\n"
            file.write((b"" if whole else b"\n") + json.dumps(asdict(cell)).encode() + b"\n")
