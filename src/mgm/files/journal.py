"""A file of records that survives kill -9: one line of JSON per record, appended as it is made."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mgm.errors import FileError
from mgm.files.atomic import cannot_write
from mgm.files.json_text import read_json
from mgm.files.regular import open_regular

_ADVICE = "free some space, or check the folder and its permissions, and run it again: finished records are kept"
_CHECK_SECONDS = 1.0


class Journal:
    """Appends records to a file. Opening it cuts off the record that a killed process left unfinished.

    One process at a time: the caller holds the lock of the file or folder that the records describe, see `mgm.files.lock`.

    Args:
        path: the file; made if missing, in a folder that exists.

    Raises:
        FileError: the file cannot be written, or was moved away.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._next_check = path, 0.0
        try:
            self._size = _complete_bytes(path) if path.exists() else 0
            self._file = path.open("ab")
            self._file.truncate(self._size)
        except OSError as error:
            raise cannot_write(path, error, _ADVICE) from error

    def append(self, record: Mapping[str, Any]) -> int:
        """Write one record and hand it to the operating system, so that it outlives this process. Returns its byte offset."""
        line, offset = json.dumps(record, allow_nan=False).encode() + b"\n", self._size
        try:
            self._check_place()
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error, _ADVICE) from error
        self._size += len(line)
        return offset

    def _check_place(self) -> None:
        """Raise OSError if the file is not at its path, once a second: records of hours would be at none that a repeat reads."""
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + _CHECK_SECONDS
            found = self.path.stat()
            same = os.path.samestat(found, os.fstat(self._file.fileno()))
            if not same and found.st_size != self._size:  # some file systems renumber their files
                raise FileNotFoundError(errno.ENOENT, "another file took its place")

    def remove(self) -> None:
        """Delete the file."""
        self._file.close()
        self.path.unlink()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk, which `append` has reported
            self._file.close()


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (byte offset, record) of every complete line, one at a time; none if the file does not exist.

    Raises:
        FileError: a line other than the last is not a record.
    """
    if not path.exists():
        return
    end = _complete_bytes(path)
    with open_regular(path) as file:
        offset = 0
        for number, line in enumerate(file):
            if offset >= end:
                break
            yield offset, _parse(path, line, number)
            offset += len(line)


def read_records(path: Path, offsets: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Yield the records at byte offsets of `read_journal` or `Journal.append`."""
    with open_regular(path) as file:
        for offset in offsets:
            file.seek(offset)
            yield _parse(path, file.readline(), None)


def _parse(path: Path, line: bytes, number: int | None) -> dict[str, Any]:
    try:
        record = read_json(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        where = "" if number is None else f" in line {number + 1}"
        raise FileError(
            path, f"found {line[:60]!r}{where}", "a JSON record", "delete the file to start again", reason="malformed"
        )
    return record


def _complete_bytes(path: Path) -> int:
    """Bytes up to and including the last line break."""
    size = path.stat().st_size
    with open_regular(path) as file:
        while size:
            start = max(size - 65536, 0)
            file.seek(start)
            found = file.read(size - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            size = start
    return 0
