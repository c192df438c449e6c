"""A manifest: one record per video as JSON lines, CSV or parquet, brought up to date in steps that survive kill -9."""

from __future__ import annotations

import csv
import os
import reprlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from mgm.errors import FileError, VideoError
from mgm.files.atomic import atomic_write
from mgm.files.journal import Journal, read_journal, read_records
from mgm.files.json_text import read_json
from mgm.files.lock import locked
from mgm.files.name_index import NameIndex
from mgm.files.parquet import parquet_rows
from mgm.files.path_column import PathList
from mgm.files.regular import open_regular
from mgm.files.table import check_table_suffix, write_table
from mgm.printable import from_table_cell
from mgm.video.scan.record import COLUMNS, Row, Status, VideoRecord, from_row, path_name, to_row
from mgm.workers.map_files import TIMEOUT_SECONDS, map_files

_RETRIED = frozenset({"unreadable", "crashed"})
"""Statuses that another run may not find again in an unchanged file: permissions, the network and memory change."""
_KEPT = frozenset(get_args(Status)) - _RETRIED
_NUMBERS = (bool, int, float)
"""Types of a number: other programs write whole numbers and truth values as floats."""


def read_manifest(path: str | Path) -> Iterator[VideoRecord]:
    """Yield the records of a manifest one by one, in constant memory. Columns that others have added are left out.

    Raises:
        FileError: no such file or no permission, a suffix other than .jsonl, .csv and .parquet, or not a manifest.
    """
    return map(from_row, _read_checked(Path(path)))


def read_statuses(path: str | Path) -> Iterator[tuple[str, Status]]:
    """Yield path and status of each record of a manifest. Raises as `read_manifest`."""
    return ((row["path"], row["status"]) for row in _read_checked(Path(path), ("path", "bytes", "status")))


def _read_checked(path: Path, columns: Collection[str] | None = None) -> Iterator[Row]:
    """The rows of a manifest, with these columns at least; None: with all."""
    _check_suffix(path)
    if not _exists(path):
        raise FileError(path, "no such file", advice=f"make it with 'mgm scan VIDEOS --out {path}'", reason="not_found")
    statuses = get_args(Status)
    for row in _read_rows(path, columns):
        if row.get("status") not in statuses:
            raise FileError(
                path,
                f"the status of {row['path']} is {row.get('status')!r}",
                f"one of {', '.join(get_args(Status))}",
                f"bring it up to date with 'mgm scan VIDEOS --out {path}'",
                reason="unknown_name",
            )
        yield row


def write_manifest(path: str | Path, records: Iterable[VideoRecord]) -> None:
    """Write records to a manifest as they come. The file appears under its name when it is complete.

    Raises:
        FileError: a suffix other than .jsonl, .csv and .parquet; the file cannot be written; another process writes it.
    """
    path = Path(path)
    _check_suffix(path)
    with locked(path):
        _write(path, map(to_row, records))


class FileState(NamedTuple):
    """What differs once a file has changed: its size, and the time of its last change in seconds since 1970."""

    bytes: int
    modified: float


def file_state(path: str) -> FileState:
    """Of a file. Raises OSError if there is none."""
    found = os.stat(path)  # noqa: PTH116  # a Path of each of a million files takes seconds
    return FileState(found.st_size, found.st_mtime)


def update_manifest(
    path: str | Path,
    files: Sequence[Path],
    inspect: Callable[[Path], VideoRecord],
    *,
    on_death: Callable[[Path, VideoError], VideoRecord],
    state: Callable[[str], FileState] = file_state,
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    ray: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make the manifest of `files`, one row each in their order. Rows whose file has kept its size and time are kept; where nothing
    has changed, the manifest is not written.

    Records are kept in `<path>.journal` as they are made; an interrupted run, kill -9 included, is continued by the same call.
    Files that could not be opened, or crashed their process, are tried again.

    Args:
        inspect, on_death, processes, timeout_seconds, ray: see `map_files`.
        state: returns what a record has of the bytes and the time of a file; raises OSError if it is gone.
        progress: called with (files done, all files), first with those that were known.

    Raises:
        FileError: as `write_manifest`; `path` is another kind of file, or cannot be read.
    """
    path = Path(path)
    _check_suffix(path)
    if _exists(path):
        next(_read_rows(path), None)  # before anything is written beside it
    wanted = _Files(files)
    journal = path.with_name(f"{path.name}.journal")
    with locked(path), Journal(journal) as written:
        offsets, complete = _known(path, journal, written, wanted, state)
        count = sum(offset != _UNKNOWN for offset in offsets)
        if progress is not None:
            progress(count, len(wanted))
        left = (wanted.files[number] for number in range(len(wanted)) if offsets[number] == _UNKNOWN)
        for file, record in map_files(
            inspect, left, processes=processes, on_death=on_death, timeout_seconds=timeout_seconds, ray=ray
        ):
            offset, number = written.append(to_row(record)), wanted.find(path_name(str(file)))
            assert number is not None
            offsets[number], complete = offset, False
            count += 1
            if progress is not None:
                progress(count, len(wanted))
        if not complete:
            _write(path, _rows_at(path, journal, offsets))
        written.remove()


class _Files:
    """The files of a manifest, found by their names.

    Attributes:
        files: each once.
        paths: of the files.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.paths: Sequence[str] = files.names if isinstance(files, PathList) else list(map(str, files))
        self._index = NameIndex((path_name(path), number) for number, path in enumerate(self.paths))
        repeats = set(self._index.repeats(self._name))
        if repeats:
            self.files = [file for number, file in enumerate(files) if number not in repeats]
            self.paths = list(map(str, self.files))
            self._index = NameIndex((self._name(number), number) for number in range(len(self.files)))

    def __len__(self) -> int:
        return len(self.files)

    def find(self, name: str, guess: int = -1) -> int | None:
        """The number of the file whose row has this path; None if there is none. It is found sooner if it is the guess."""
        if 0 <= guess < len(self) and self._name(guess) == name:
            return guess
        return next((row for row in self._index.rows(name) if self._name(row) == name), None)

    def _name(self, number: int) -> str:
        return path_name(self.paths[number])


_UNKNOWN: Final = -1
"""In place of the offset of a record that does not exist."""


def _in_manifest(row: int) -> int:
    """In place of the offset of a record that is a row of the manifest."""
    return -2 - row


def _known(
    manifest: Path, journal: Path, written: Journal, wanted: _Files, state: Callable[[str], FileState]
) -> tuple[array[int], bool]:
    """For each file the place of its record that is up to date; and whether the manifest consists of them.

    A place is an offset in the journal, or `_in_manifest`. Rows of the manifest in another order than the files are added to the
    journal; so the others can be read one after the other.
    """
    offsets = array("q", [_UNKNOWN]) * len(wanted)
    for offset, row in read_journal(journal):  # of two lines about one file, the later one counts
        if (number := wanted.find(row.get("path", ""))) is not None:
            offsets[number] = offset if _current(row, wanted.paths[number], state) else _UNKNOWN
    if not _exists(manifest):
        return offsets, False
    last, rows, complete = -1, 0, True
    for place, row in enumerate(_read_rows(manifest)):
        rows = place + 1
        complete = complete and (*row,) == (*COLUMNS,)
        number = wanted.find(row["path"], last + 1)
        if number is None or offsets[number] != _UNKNOWN or not _current(row, wanted.paths[number], state):
            continue
        if number > last:
            offsets[number], last = _in_manifest(place), number
        elif all(map(_can_be_written, row.values())):
            offsets[number] = written.append({name: row[name] for name in COLUMNS})
    complete = complete and rows == len(offsets)
    return offsets, complete and all(offset == _in_manifest(place) for place, offset in enumerate(offsets))


def _rows_at(manifest: Path, journal: Path, places: Sequence[int]) -> Iterator[Row]:
    """The rows at places of `_known`."""
    rows = enumerate(_read_rows(manifest))
    records = read_records(journal, (place for place in places if place >= 0))
    for place in places:
        if place >= 0:
            yield next(records)
        else:
            found = next(row for number, row in rows if _in_manifest(number) == place)
            yield {name: found[name] for name in COLUMNS}


def _current(row: Row, file: str, state: Callable[[str], FileState]) -> bool:
    """Whether a row equals the result of a new inspection of its file."""
    if not row.keys() >= COLUMNS.keys() or row["status"] not in _KEPT:
        return False
    try:
        return bool((row["bytes"], row["modified"]) == state(file))
    except OSError:
        return False


def _write(path: Path, rows: Iterable[Row]) -> None:
    with atomic_write(
        path, advice="free some space or check the folder, and run it again: finished records are kept"
    ) as file:
        write_table(file, path.suffix, COLUMNS, rows)


def _check_suffix(path: Path) -> None:
    """Raise FileError for a folder, a suffix that is not a manifest's, and if the package that writes it is missing."""
    check_table_suffix(path)
    if _exists(path) and path.is_dir():
        raise FileError(path, "is a folder", "the name of a file", "choose another name", reason="exists")


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error
    return True


def _unreadable(path: Path, error: OSError) -> FileError:
    return FileError.cannot_read(path, error, "a manifest", advice="check its permissions, or choose another name")


def _read_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[Row]:
    """Yield the rows of a file, with these columns at least; None: with all. Raises FileError for another kind of file, or one that
    cannot be read."""
    readers: dict[str, Callable[[Path], Iterator[Any]]] = {
        ".jsonl": _read_jsonl,
        ".csv": _read_csv,
        ".parquet": partial(parquet_rows, columns=columns),
    }
    read = readers[path.suffix]
    number = 0
    try:
        for row in read(path):
            if not (isinstance(row, dict) and isinstance(row.get("path"), str) and isinstance(row.get("bytes"), int)):
                raise ValueError("without path and bytes")
            if (wrong := _wrong_column((*row,), (*map(type, row.values()),))) is not None:
                raise ValueError(f"{wrong} is {reprlib.repr(row[wrong])}")
            yield row
            number += 1
    except (ValueError, csv.Error, OSError) as error:  # the errors of the readers of JSON, CSV and parquet
        if isinstance(error, OSError) and error.errno is not None:
            raise _unreadable(path, error) from error
        raise FileError(
            path,
            f"row {number + 1} is not a row of a manifest ({error})",
            "a file that 'mgm scan --out' writes",
            "choose another name, or delete it",
            reason="malformed",
        ) from error


@lru_cache(maxsize=256)  # the rows of a manifest have few combinations of types
def _wrong_column(names: tuple[str, ...], types: tuple[type, ...]) -> str | None:
    """The first column of `COLUMNS` with a value of another type; None if there is none."""
    of_columns = ((name, COLUMNS[name], found) for name, found in zip(names, types, strict=True) if name in COLUMNS)
    return next(
        (name for name, kind, found in of_columns if found not in (type(None), *((str,) if kind is str else _NUMBERS))),
        None,
    )


def _read_jsonl(path: Path) -> Iterator[Any]:
    with TextIOWrapper(open_regular(path), encoding="utf-8") as file:
        for row in map(read_json, file):
            for name, value in row.items() if isinstance(row, dict) else ():
                if not _can_be_written(value):
                    raise ValueError(f"{name} is {reprlib.repr(value)}")
            yield row


def _can_be_written(value: object) -> bool:
    """Whether a table can hold a value: JSON may have half a character, numbers of any size, and such as NaN."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    return not isinstance(value, int | float) or -(2**63) <= value < 2**63


def _read_csv(path: Path) -> Iterator[Any]:
    parse: dict[type, Callable[[str], Any]] = {bool: "true".__eq__, int: int, float: float, str: from_table_cell}
    with TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            yield {name: parse[COLUMNS[name]](text) if text else None for name, text in row.items() if name in COLUMNS}
