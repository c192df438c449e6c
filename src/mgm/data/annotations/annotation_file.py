"""Reads an annotation file once: as lines of text or as JSON."""

from __future__ import annotations

import csv
import json
import re
import reprlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from mgm.data.annotations.array_file import array_lines
from mgm.data.annotations.lines import Lines
from mgm.errors import DataError, Reason
from mgm.files.json_text import read_json
from mgm.files.parquet import parquet_columns, parquet_rows

_SAMPLED_LINES = 1000
"""Number of lines from which a format is recognised."""

_IS_COLUMN_NAME = re.compile(r"([a-z][a-z0-9_ ]*|unnamed: \d+)?").fullmatch
"""Of a header in lower case; pandas leaves the name of its index empty, and reads that as "Unnamed: 0"."""

Row: TypeAlias = dict[str, Any]
"""The values of a row of a table by column, or a JSON object."""

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
SPLIT_COLUMNS = ("split", "subset")
START_COLUMNS = ("start_frame", "start")
END_COLUMNS = ("end_frame", "end")


class AnnotationFile:
    """The content of one annotation file.

    Attributes:
        path: path of the file.
        kind: "text", "json" (one JSON value), "records" (JSON lines) or "parquet".
        lines: (number from 1, text without surrounding white space) of the lines that are not blank. Empty for parquet.
        tree: the JSON value of "json", the values of "records"; None otherwise.

    Raises:
        DataError: the file cannot be read, is not text, contains pickled objects, is not valid JSON, or lists no videos.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: Sequence[tuple[int, str]] = ()
        self.tree: Any = None
        data = _read(path)
        if data.startswith(b"PAR1"):
            self.kind = "parquet"
            with _parquet_errors(path):
                self._parquet_columns = parquet_columns(path)
            return
        text = "\n".join(array_lines(path)) if data.startswith(b"\x93NUMPY") else _decode(path, data)
        self.lines = Lines(text)
        if not self.lines:
            raise _empty(path)
        self.kind = "text"
        self._parse(text)
        if self.tree in ([], {}) or (self.header is not None and len(self.lines) == 1):
            raise _empty(path)

    def _parse(self, text: str) -> None:
        """Parse JSON, if the file contains JSON."""
        suffix = self.path.suffix.lower()
        declared = suffix in (".json", ".jsonl")
        if not (declared or self.lines[0][1][0] in "[{"):
            return
        try:
            self.tree = read_json(text)
            self.kind = "json"
            if suffix == ".jsonl" and isinstance(self.tree, dict):  # a single record
                self.tree, self.kind = [self.tree], "records"
        except json.JSONDecodeError as whole:
            for number, line in self.lines:
                try:
                    read_json(line)
                except json.JSONDecodeError as error:
                    if not declared:
                        return  # a path may begin with a bracket
                    at, why = (number, error.msg) if suffix == ".jsonl" else (whole.lineno, whole.msg)
                    raise not_json(
                        self.path, f"line {at}: {why}", "correct the file, or rename it if it is not JSON"
                    ) from error
            self.tree, self.kind = Records(self.lines), "records"

    @property
    def unit(self) -> str:
        """The unit in which entries are numbered: "record" or "line"."""
        return "record" if self.kind == "json" else "line"

    @cached_property
    def sample(self) -> list[str]:
        """At most about `_SAMPLED_LINES` lines at even distances, including the first."""
        step = max(len(self.lines) // _SAMPLED_LINES, 1)
        return [line for _, line in self.lines[::step]]

    def fraction(self, match: Callable[[str], object]) -> float:
        """Fraction of the sampled lines for which `match(line)` is true, 0..1."""
        return sum(1 for line in self.sample if match(line)) / max(len(self.sample), 1)

    @cached_property
    def header(self) -> tuple[str, tuple[str, ...]] | None:
        """(separator, names of the columns in lower case) if the first line names columns; None if it is data."""
        if self.kind != "text":
            return None
        first = self.lines[0][1]
        for separator in (",", "\t", ";"):
            fields = [field.strip().strip('"').lower() for field in first.split(separator)]
            words = all(map(_IS_COLUMN_NAME, fields))
            if words and len(fields) > 1 and set(fields) & {*NAME_COLUMNS}:
                return separator, tuple(fields)
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, or the keys of the first JSON object; empty if the file is not a table."""
        if self.kind == "parquet":
            return self._parquet_columns
        if self.header is not None:
            return self.header[1]
        tree = self.tree
        return tuple(tree[0]) if isinstance(tree, list | Records) and tree and isinstance(tree[0], dict) else ()

    def rows(self) -> Iterator[tuple[int, Row]]:
        """(number from 1, values by column) of each row of a table with a header or in parquet, or of each object in a list of JSON
        objects.

        Raises:
            DataError: a row has another number of columns, or a record is not an object.
        """
        if self.kind == "text" and self.header is not None:
            separator, names = self.header
            for number, line in islice(self.lines, 1, None):
                fields = split_line(line, separator)
                if len(fields) != len(names):
                    raise self.bad_line(number, line, f"{len(names)} columns ({', '.join(names)})")
                yield number, dict(zip(names, fields, strict=True))
            return
        if self.kind == "parquet":
            with _parquet_errors(self.path):
                yield from enumerate(parquet_rows(self.path), 1)
            return
        for number, record in enumerate(self.tree, 1):
            if not isinstance(record, dict):
                raise self.bad_entry(number, f"found {reprlib.repr(record)}", "an object like the others")
            yield number, record

    def bad_line(self, number: int, line: str, expected: str) -> DataError:
        """The error of a line that does not fit the format."""
        first, text = self.lines[0] if self.lines else (0, "")
        like = (
            f", as in line {first} ({_short(text)})" if number != first else ", or names of columns, such as path,label"
        )
        like = "" if self.header is not None else like
        return DataError(
            self.path,
            f"line {number}: found {_short(line)}",
            expected + like,
            "correct the line, or set another format with format=NAME (docs/data.md lists them)",
            reason="malformed",
        )

    def bad_entry(self, number: int, found: str, expected: str) -> DataError:
        """The error of a row or record with a wrong or missing value."""
        return DataError(
            self.path, f"{self.unit} {number}: {found}", expected, f"correct the {self.unit}", reason="malformed"
        )


class Records(Sequence[Any]):
    """The values of JSON lines, parsed as they are read: those of a million lines take gigabytes."""

    def __init__(self, lines: Sequence[tuple[int, str]]) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        found = self._lines[index]
        return [read_json(line) for _, line in found] if isinstance(index, slice) else read_json(found[1])

    def __iter__(self) -> Iterator[Any]:
        return (read_json(line) for _, line in self._lines)


def not_json(path: str | Path, why: object, advice: str) -> DataError:
    """The error of a file or URL that should contain JSON."""
    return DataError(path, f"not valid JSON ({why})", advice=advice, reason="malformed")


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:
        raise DataError(path, f"{error}", "a table in parquet", "write it again", reason="malformed") from error


def split_line(line: str, separator: str) -> list[str]:
    """The cells of a line of CSV without their quotes; none if one is longer than CSV allows."""
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:  # a field of more than 128 KiB
        return []


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _empty(path: Path) -> DataError:
    return DataError(path, "lists no videos", "one line per video", "check the file", reason="empty")


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError.cannot_read(path, error, "an annotation file") from error
    if not data.strip():
        raise _empty(path)
    return data


def _decode(path: Path, data: bytes) -> str:
    """Decode UTF-8. Names in other encodings keep their bytes, as in Python's own paths."""

    def refused(found: str, expected: str, advice: str, reason: Reason = "unsupported") -> DataError:
        """The error of a file that is not text in UTF-8."""
        return DataError(path, found, expected, advice, reason=reason)

    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise refused("text in UTF-16", "UTF-8", "save the file as UTF-8")
    if data[:1] == b"\x80" and path.suffix in (".pkl", ".pickle", ".pk"):
        raise refused("a pickle, which can run code when it is read", "text", "write it as 'path label' lines")
    if b"\0" in data[:4096]:
        raise refused("not a text file", "an annotation file", "docs/data.md lists the formats", "malformed")
    text = data.decode("utf-8-sig", "surrogateescape")
    # Excel's "CSV (Macintosh)" ends lines with a carriage return alone.
    return text if "\n" in text else text.replace("\r", "\n")
