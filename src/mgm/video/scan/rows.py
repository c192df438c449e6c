"""The files of a manifest: rows as JSON lines, CSV or parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from mgm.errors import VideoError
from mgm.video.scan.record import COLUMNS, Row

SUFFIXES = (".jsonl", ".csv", ".parquet")
ROW_GROUP = 2000


def check_suffix(path: Path) -> None:
    """Raises VideoError for a suffix that no manifest has, and where the package that writes it is missing."""
    if path.suffix not in SUFFIXES:
        raise VideoError(f"{path}: the suffix is {path.suffix!r}, expected one of {', '.join(SUFFIXES)}; rename it")
    if exists(path) and path.is_dir():
        raise VideoError(f"{path}: is a folder, expected the name of a file; choose another name")
    if path.suffix == ".parquet":
        _parquet()


def exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    return True


def unreadable(path: Path, error: OSError) -> VideoError:
    return VideoError(
        f"{path}: cannot be read ({error.strerror}), expected a manifest; check its permissions, or choose another name"
    )


def _write_jsonl(file: BinaryIO, rows: Iterable[Row]) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _write_csv(file: BinaryIO, rows: Iterable[Row]) -> None:
    file.write(",".join(COLUMNS).encode() + b"\n")
    for row in rows:
        file.write(",".join(_cell(row[name]) for name in COLUMNS).encode() + b"\n")


def _cell(value: bool | int | float | str | None) -> str:
    """Text always in quotes: csv.writer leaves them out around a carriage return, which no reader takes then."""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value).lower()


def _write_parquet(file: BinaryIO, rows: Iterable[Row]) -> None:
    arrow, parquet = _parquet()
    types = {bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    schema = arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    rows = iter(rows)
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, ROW_GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema))


WRITERS: dict[str, Callable[[BinaryIO, Iterable[Row]], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}


def read_rows(path: Path) -> Iterator[Row]:
    """Raises VideoError where it is another kind of file, or cannot be read."""
    read = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}[path.suffix]
    number = 0
    try:
        for row in read(path):
            if not (isinstance(row, dict) and isinstance(row.get("path"), str) and isinstance(row.get("bytes"), int)):
                raise ValueError("without path and bytes")
            yield row
            number += 1
    except (ValueError, csv.Error, OSError) as error:  # what JSON, CSV and pyarrow's readers complain with
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        raise VideoError(
            f"{path}: row {number + 1} is no row of a manifest ({error}), expected what 'mgm scan --out' writes; "
            "choose another name, or delete it"
        ) from error


def _read_jsonl(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _read_csv(path: Path) -> Iterator[Any]:
    parse: dict[type, Callable[[str], Any]] = {bool: "true".__eq__, int: int, float: float, str: str}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            yield {name: parse[COLUMNS[name]](text) if text else None for name, text in row.items() if name in COLUMNS}


def _read_parquet(path: Path) -> Iterator[Any]:
    _, parquet = _parquet()
    with path.open("rb") as raw, parquet.ParquetFile(raw) as file:
        for batch in file.iter_batches(ROW_GROUP):
            yield from batch.to_pylist()


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise VideoError(
            "a manifest in parquet needs the package pyarrow: pip install 'motion-guided-masking[parquet]', or '.[parquet]' in a "
            "checkout"
        ) from error
    return pyarrow, pyarrow.parquet
