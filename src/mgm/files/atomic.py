"""Write files and folders that appear under their names only when they are complete.

The same rules hold for both. The content is written beside its target, under a hidden name, with the permissions that the umask
leaves. It is flushed to the disk and then renamed: after a power cut the name refers to the old content or to the new. An error or
an interruption removes the unfinished file. A killed process leaves it behind: the next process that writes into the folder removes
it.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from mgm.errors import WHOLE_PATH, FileError

ADVICE = "free some space, or choose a place that you may write to"

_PARTS = ".mgm-*.part"
_PART_NAME = re.compile(r"\.mgm-[0-9a-f]{16}\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-\d+\.part")
_DAY = 86_400
"""Seconds after which an unfinished file counts as abandoned."""

_numbers = itertools.count()
_swept: set[Path] = set()
"""Folders whose leftovers this process has removed: listing a folder of 100,000 files for every file in it would cost too much."""


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, advice: str = ADVICE) -> Iterator[BinaryIO]:
    """A binary file that appears as `path`, in place of an earlier one, at the end of the block. Its folder is made if missing.

    Args:
        advice: of the error.

    Raises:
        FileError: the file cannot be written. `path` is then as it was.
    """
    with _part(Path(path), advice) as part, part.open("xb") as file:
        yield file


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """As `atomic_write`, for writers that open a file by its name: the block writes a file of the name that it receives."""
    with _part(Path(path), ADVICE) as part:
        yield part


@contextmanager
def atomic_folder(path: str | Path, *, advice: str = ADVICE) -> Iterator[Path]:
    """As `atomic_write`, for a folder: the block fills the empty folder that it receives."""
    with _part(Path(path), advice, replaces_folder=True) as part:
        part.mkdir()
        yield part


@contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """A hidden folder on the disk of `path` that is removed at the end of the block, and that no other user can open.

    For results of several files; each of them takes its name by `put_in_place`.

    Raises:
        FileError: the folder cannot be written.
    """
    path = Path(path)
    with _errors(path, part := _part_path(path), ADVICE):
        try:
            _prepare(path)
            part.mkdir(0o700)
            yield part
        finally:
            _remove(part)


def put_in_place(part: Path, path: Path) -> None:
    """Flush a finished file or folder to the disk and rename it to `path`, on the same disk. A folder replaces a folder.

    Raises:
        OSError: it cannot be renamed; `path` is then as it was.
    """
    for file in part.rglob("*") if part.is_dir() else (part,):
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())
    if not (part.is_dir() and path.is_dir()):
        part.replace(path)
        return
    old = part.with_name(f"{part.name}.old")  # a folder that has content cannot be replaced in one step
    path.rename(old)
    try:
        part.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder whose name vanishes before its content: a process that is killed meanwhile leaves no half of it.

    What cannot be removed stays.
    """
    part = _part_path(path)
    with suppress(OSError):
        path.rename(part)
        _remove(part)


def remove_parts(folder: Path, *, below: bool = True) -> None:
    """Remove all unfinished files in a folder, and `below` it. Only for a process that holds the folder's lock."""
    for path in folder.rglob(_PARTS) if below else folder.glob(_PARTS):
        if _PART_NAME.fullmatch(path.name):
            _remove(path)


def make_folder(folder: Path, *, advice: str = ADVICE) -> None:
    """Make a folder and those above it. Raises FileError if that is not possible, or as `check_expanded`."""
    check_expanded(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error, advice) from error


def check_writable(path: Path) -> None:
    """Raise FileError if no file can be written as `path`, before the work whose result it is to hold. Leaves nothing behind."""
    folder = next((parent for parent in path.parents if os.path.lexists(parent)), Path())
    with _errors(path, part := _part_path(folder / path.name), ADVICE):
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            part.touch()
        finally:
            _remove(part)


def check_expanded(path: Path) -> None:
    """Raise FileError instead of making a folder of the name ~: no shell expands the one of `--out=~/runs`."""
    if path.parts[:1] == ("~",) and not Path("~").exists():
        raise FileError(path, "begins with ~", advice=WHOLE_PATH, reason="invalid_value")


def refuse_to_replace(out: Path, video: str | Path) -> None:
    """Raise FileError if a result would be written over the video that it is made from."""
    source = Path(video)
    try:
        same = out.exists() and source.exists() and out.samefile(source)
    except OSError as error:
        raise cannot_write(out, error) from error
    if same:
        raise FileError(
            out, "is the source video itself", "another file to write", "choose another name", reason="exists"
        )


def cannot_write(path: str | Path, error: OSError, advice: str = ADVICE) -> FileError:
    """The error of a file or folder that cannot be written."""
    if error.errno == errno.ENAMETOOLONG:
        return FileError(
            path,
            f"its name of {len(os.fsencode(Path(path).name))} bytes is too long for the file system",
            "at most 255 bytes in most of them",
            "choose a shorter name",
            reason="cannot_write",
        )
    return FileError(path, f"cannot be written ({error.strerror or error})", advice=advice, reason="cannot_write")


@contextmanager
def _part(path: Path, advice: str, *, replaces_folder: bool = False) -> Iterator[Path]:
    """A free name beside `path`; the file that the block writes there is renamed to `path` at its end."""
    with _errors(path, part := _part_path(path), advice):
        try:
            _prepare(path, replaces_folder=replaces_folder)
            yield part
            put_in_place(part, path)
        finally:
            _remove(part)


@contextmanager
def _errors(path: Path, part: Path, advice: str) -> Iterator[None]:
    """Raise FileError for the operating system's errors of writing; those of other files, which a block may read, stay."""
    try:
        yield
    except OSError as error:
        name = error.filename
        if isinstance(name, str | bytes):
            other = Path(os.fsdecode(name))
            if not (other in (part, path, path.parent, *path.parents) or part in other.parents):
                raise
        raise cannot_write(path, error, advice) from error


def _prepare(path: Path, *, replaces_folder: bool = True) -> None:
    """Make the folder, and check the target before anything is written: its name may be too long or belong to a folder."""
    check_expanded(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode) and not replaces_folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _sweep(path.parent)


def _part_path(path: Path) -> Path:
    """A new name beside `path`, short because the name of `path` may be as long as the file system allows."""
    digest = blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    return path.with_name(f".mgm-{digest}.{_host()}-{os.getpid()}-{next(_numbers)}.part")


def _host() -> str:
    return blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _sweep(folder: Path) -> None:
    """Remove the leftovers of killed processes from a folder."""
    if folder in _swept:
        return
    _swept.add(folder)
    for path in folder.glob(_PARTS):
        name = _PART_NAME.fullmatch(path.name)
        if name is not None and not _is_written(path, name):
            _remove(path)


def _is_written(part: Path, name: re.Match[str]) -> bool:
    """Whether a process may still be writing an unfinished file. A process of another machine cannot be checked."""
    try:
        if time.time() - part.stat().st_mtime > _DAY:
            return False
    except OSError:
        return True
    process = int(name["process"])
    if name["host"] != _host() or process == os.getpid() or sys.platform == "win32":  # os.kill would end it on Windows
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(part: Path) -> None:
    with suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
