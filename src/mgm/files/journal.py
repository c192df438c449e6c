"""A file of records that survives kill -9: one JSON line each, appended as they are made, read back without a torn last one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from mgm.errors import VideoError


class Journal:
    """Appends records to a file, alone. What a killed process had half written is cut off when the file is opened again.

    Args:
        path: the file; made if missing, in a folder that exists.
        busy: the message of the error where another process has it open; None: one that names `path`.

    Raises:
        VideoError: the file cannot be written (no such folder, no permission, a full disk), or another process writes it.
    """

    def __init__(self, path: Path, busy: str | None = None) -> None:
        self.path = path
        try:
            self._file: BinaryIO = open_alone(path, busy or f"{path}: another run is writing it; wait for it to end")
            self._file.truncate(_whole(path))
        except OSError as error:
            raise VideoError(
                f"{path}: cannot be written ({error.strerror}); check the folder and its permissions"
            ) from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record and hand it to the operating system, so that it outlives this process."""
        try:
            self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise VideoError(
                f"{self.path}: cannot be written ({error.strerror}); make room and run it again, what is written is kept"
            ) from error

    def remove(self) -> None:
        """Delete the file. Another process cannot have begun to write it."""
        _let_go(self._file)
        self.path.unlink()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk: `append` has said so already
            self._file.close()


def open_alone(path: Path, busy: str) -> BinaryIO:
    """Open a file for appending, made if missing, locked until it is closed or the process ends, however it ends.

    Without a lock on Windows and on file systems that have none: there one process at a time is up to the user.

    Raises:
        VideoError: with the message `busy`: another process, or another part of this one, has it open.
        OSError: it cannot be opened.
    """
    for _ in range(100):
        file = path.open("ab")
        try:
            _lock(file, busy)
            if sys.platform == "win32" or os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass  # as below
        except BaseException:
            file.close()
            raise
        file.close()  # its owner renamed or removed it between opening and locking: the name is free again
    raise VideoError(busy)


@contextmanager
def replacing(path: Path, part: Path, busy: str) -> Iterator[BinaryIO]:
    """Write a file under the name `part`, alone; it becomes `path` once it is whole and on the disk, and goes after an error.

    Raises:
        VideoError, OSError: as `open_alone`; OSError also when the disk is full.
    """
    with open_alone(part, busy) as file:
        try:
            file.seek(0)
            file.truncate()  # what a killed run left
            yield file
            file.flush()
            os.fsync(file.fileno())
            _let_go(file)
            part.replace(path)
        except BaseException:
            _let_go(file)
            part.unlink(missing_ok=True)
            raise


def _let_go(file: BinaryIO) -> None:
    """Before a file of `open_alone` is renamed or removed: Windows does neither with an open one; elsewhere the lock must last."""
    if sys.platform == "win32":
        file.close()


def _lock(file: BinaryIO, busy: str) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise VideoError(busy) from error
    except OSError:
        return  # some network file systems know no locks


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (byte offset, record) of every whole line, one at a time; nothing where there is no such file.

    Raises:
        VideoError: a line other than the last is no record.
    """
    if not path.exists():
        return
    end = _whole(path)
    with path.open("rb") as file:
        offset = 0
        for number, line in enumerate(file):
            if offset >= end:
                break
            yield offset, _parse(path, line, number)
            offset += len(line)


def read_record(path: Path, offset: int) -> dict[str, Any]:
    """The record at a byte offset that `read_journal` gave."""
    with path.open("rb") as file:
        file.seek(offset)
        return _parse(path, file.readline(), None)


def _parse(path: Path, line: bytes, number: int | None) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        where = "" if number is None else f" in line {number + 1}"
        raise VideoError(f"{path}: found {line[:60]!r}{where}, expected a JSON record; delete the file to begin anew")
    return record


def _whole(path: Path) -> int:
    """Bytes up to and including the last line break."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while size:
            start = max(size - 65536, 0)
            file.seek(start)
            found = file.read(size - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            size = start
    return 0
