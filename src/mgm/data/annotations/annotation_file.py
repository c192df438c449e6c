"""An annotation file, read once: its lines or its JSON, whatever wrote it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mgm.errors import DataError

SAMPLE = 1000
"""Lines that are looked at to tell a format."""

IS_NUMBER = re.compile(r"[+-]?[0-9]+").fullmatch

NAME_COLUMNS = (
    "path",
    "video_path",
    "file",
    "filename",
    "file_name",
    "video",
    "clip",
    "vid_name",
    "video_id",
    "id",
    "youtube_id",
)
LABEL_COLUMNS = ("label", "class", "class_name", "label_id", "class_id", "target", "action")
SIDE_COLUMNS = ("split", "subset")
START_COLUMNS = ("start_frame", "start")
END_COLUMNS = ("end_frame", "end")


class AnnotationFile:
    """The content of one annotation file.

    Attributes:
        path: where it is.
        kind: "text", "json" (a tree), "records" (JSON lines) or "parquet".
        lines: (number from 1, text without its ends) of the lines that are not blank; of text only.
        tree: of "json" and "records".

    Raises:
        DataError: it cannot be read, is empty, is no text, holds pickled objects, or is broken JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[tuple[int, str]] = []
        self.tree: Any = None
        data = _read(path)
        if data.startswith(b"PAR1"):
            self.kind = "parquet"
            return
        text = "\n".join(_array_lines(path)) if data.startswith(b"\x93NUMPY") else _decode(path, data)
        # Not splitlines: a name may hold the other separators of Unicode.
        lines = [line.strip(" \t\r") for line in text.split("\n")]
        self.lines = [(number, line) for number, line in enumerate(lines, 1) if line]
        if not self.lines:
            raise DataError(f"{path}: holds nothing, expected a line for each video; write it again")
        self.kind = "text"
        self._parse(text)

    def _parse(self, text: str) -> None:
        """As JSON, where it is."""
        first = self.lines[0][1]
        declared = self.path.suffix.lower() in (".json", ".jsonl")
        if not (declared or first[0] in "[{"):
            return
        try:
            self.tree = json.loads(text)
            self.kind = "json"
            if self.path.suffix.lower() == ".jsonl" and isinstance(self.tree, dict):  # a single record
                self.tree, self.kind = [self.tree], "records"
        except json.JSONDecodeError as whole:
            records = []
            for number, line in self.lines:
                try:
                    records.append(json.loads(line))
                except json.JSONDecodeError as error:
                    if not declared:
                        return  # a path may begin with a bracket
                    by_line = self.path.suffix.lower() == ".jsonl"
                    at, why = (number, error.msg) if by_line else (whole.lineno, whole.msg)
                    raise DataError(
                        f"{self.path}: line {at}: no valid JSON ({why}), expected JSON; write it again, or rename it"
                    ) from error
            self.tree, self.kind = records, "records"

    @property
    def unit(self) -> str:
        """What the numbers of its entries count."""
        return "record" if self.kind == "json" else "line"

    @cached_property
    def sample(self) -> list[str]:
        """Up to `SAMPLE` lines, spread over the file, the first one among them."""
        step = max(len(self.lines) // SAMPLE, 1)
        return [line for _, line in self.lines[::step]]

    def share(self, match: Any) -> float:
        """Of the sampled lines, those of which `match(line)` is true."""
        return sum(1 for line in self.sample if match(line)) / max(len(self.sample), 1)

    @cached_property
    def header(self) -> tuple[str, tuple[str, ...]] | None:
        """(separator, names of the columns in lower case) where the first line names columns; None where it is data."""
        if self.kind != "text":
            return None
        first = self.lines[0][1]
        for separator in (",", "\t", ";"):
            fields = [field.strip().strip('"').lower() for field in first.split(separator)]
            words = all(re.fullmatch(r"[a-z][a-z0-9_ ]*", field) for field in fields)
            if words and len(fields) > 1 and set(fields) & {*NAME_COLUMNS}:
                return separator, tuple(fields)
        return None

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line, values by column) of a table with a header, or of a list of JSON objects, whose lines are counted from 1.

        Raises:
            DataError: a row with another number of columns, or a record that is no object.
        """
        if self.kind == "text" and self.header is not None:
            separator, names = self.header
            for number, line in self.lines[1:]:
                fields = next(csv.reader([line], delimiter=separator))
                if len(fields) != len(names):
                    raise self.bad(number, line, f"{len(names)} columns ({', '.join(names)})")
                yield number, dict(zip(names, fields, strict=True))
            return
        for number, record in enumerate(self.tree, 1):
            if not isinstance(record, dict):
                raise DataError(
                    f"{self.path}: record {number} is {_short(json.dumps(record))}, expected an object like the others; correct it"
                )
            yield number, record

    def bad(self, number: int, line: str, expected: str) -> DataError:
        """The error of one line."""
        first, text = self.lines[0] if self.lines else (0, "")
        like = f" like line {first} ({_short(text)})" if number != first and self.header is None else ""
        return DataError(
            f"{self.path}: line {number}: found {_short(line)}, expected {expected}{like}; correct the line, or force another "
            "format with format=NAME (docs/data.md lists them)"
        )


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}), expected an annotation file; check the path and its permissions"
        ) from error
    if not data.strip():
        raise DataError(f"{path}: is empty, expected a line for each video; write it again")
    return data


def _decode(path: Path, data: bytes) -> str:
    """Names that are no UTF-8 keep their bytes, as Python's own paths do."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: is UTF-16 text, expected UTF-8; save it as UTF-8")
    if data[:1] == b"\x80" and path.suffix in (".pkl", ".pickle", ".pk"):
        raise DataError(
            f"{path}: is a pickle, which can run code when it is read; expected text: write it as 'path label' lines"
        )
    if b"\0" in data[:4096]:
        raise DataError(f"{path}: is no text, expected an annotation file; docs/data.md lists the formats")
    return data.decode("utf-8-sig", "surrogateescape")


def _array_lines(path: Path) -> list[str]:
    """The rows of a NumPy array of text, each as `path` or `path<tab>label`."""
    try:
        array = np.load(path, allow_pickle=False)
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise DataError(
                f"{path}: is an array of Python objects, which NumPy keeps as a pickle: reading it can run code; expected an array "
                "of text, or 'path label' lines: write it again with numpy.savetxt(..., fmt='%s')"
            ) from error
        raise DataError(
            f"{path}: cannot be read as an array ({error}), expected one of text; write it again"
        ) from error
    if array.dtype.kind not in "US" or array.ndim not in (1, 2):
        raise DataError(
            f"{path}: is an array of {array.dtype} with {array.ndim} dimensions, expected text: (n,) paths, or (n, 2) with labels"
        )
    text = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    return ["\t".join(row) if text.ndim == 2 else str(row) for row in text.tolist()]
