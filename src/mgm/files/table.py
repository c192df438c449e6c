"""Tables as JSON lines, CSV or parquet, chosen by the suffix of their file and written row by row; csv files of people, read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

from mgm.errors import DataError, FileError
from mgm.files.parquet import ROWS_PER_GROUP, import_parquet
from mgm.files.regular import open_regular
from mgm.printable import table_cell

SUFFIXES = (".jsonl", ".csv", ".parquet")

Cell: TypeAlias = bool | int | float | str | None
TableRow: TypeAlias = Mapping[str, Cell]
Columns: TypeAlias = Mapping[str, type]
"""Name -> bool, int, float or str. Every cell may also be None."""


def read_csv(path: Path, expected: str) -> list[list[str]]:
    """The rows of a small csv file that a person wrote, in UTF-8 with or without a mark of it.

    Raises:
        DataError: the file cannot be read, or is not csv; `expected` says what it should be.
    """
    try:
        with open_regular(path) as file:
            text = file.read().decode("utf-8-sig")
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise DataError.cannot_read(path, error, expected) from error
    except (UnicodeDecodeError, csv.Error) as error:
        found = f"not valid csv in UTF-8 ({error})"
        raise DataError(path, found, expected, "save it as csv in UTF-8", reason="malformed") from error


def check_table_suffix(path: Path) -> None:
    """Raise FileError for a suffix that is not a table's, and if the package that writes it is missing."""
    if path.suffix not in SUFFIXES:
        raise FileError.wrong_suffix(path, SUFFIXES)
    if path.suffix == ".parquet":
        import_parquet()


def write_table(file: BinaryIO, suffix: str, columns: Columns, rows: Iterable[TableRow]) -> None:
    """Write rows in the format of a suffix of `SUFFIXES`, in constant memory. Every row has every column."""
    _WRITERS[suffix](file, columns, rows)


def _write_jsonl(file: BinaryIO, columns: Columns, rows: Iterable[TableRow]) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _write_csv(file: BinaryIO, columns: Columns, rows: Iterable[TableRow]) -> None:
    file.write(",".join(columns).encode() + b"\n")
    for row in rows:
        file.write(",".join(_cell(row[name]) for name in columns).encode() + b"\n")


def _cell(value: Cell) -> str:
    """Text always in quotes: csv.writer leaves them out around a carriage return, and readers then refuse the row."""
    if isinstance(value, str):
        return '"' + table_cell(value).replace('"', '""') + '"'
    return "" if value is None else str(value).lower()


def _write_parquet(file: BinaryIO, columns: Columns, rows: Iterable[TableRow]) -> None:
    arrow, parquet = import_parquet()
    types = {bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])
    rows = iter(rows)
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema))


_WRITERS: dict[str, Callable[[BinaryIO, Columns, Iterable[TableRow]], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
