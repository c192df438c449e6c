"""Exclusive use of a file or a folder by one process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mgm.errors import FileError
from mgm.files.atomic import cannot_write, check_expanded

BRIEF_WAIT_SECONDS = 60.0
"""For another holder that only writes a file: a disk across a network may be slow."""


@contextmanager
def locked(
    path: str | Path,
    *,
    advice: str = "wait for it to end, or choose another name",
    replaces: bool = False,
    wait_seconds: float = 0.2,
) -> Iterator[None]:
    """Hold the lock of a file or a folder for the length of the block; it ends with the process, even one that is killed.

    The lock is a hidden file that is removed at the end of the block: `.mgm.lock` in a folder, `.NAME.lock` beside a file. File
    systems without locks hold none; there the user has to run one process at a time.

    Args:
        path: an existing folder, or a file, which need not exist. The folder of the file is made if missing.
        advice: of the error.
        replaces: the block makes the folder, or puts another one in its place. Its lock is beside it, as that of a file.
        wait_seconds: time to wait for another holder; by default none, since most hold it for hours.

    Raises:
        FileError: another process, or another part of this one, holds the lock; or the lock cannot be written; or the folder was
            moved or removed during the block, which may have failed for that reason, or have written to two folders.
    """
    from filelock import FileLock, Timeout  # slow to import

    path = Path(path)
    place = path / ".mgm.lock" if path.is_dir() and not replaces else path.with_name(f".{path.name[:200]}.lock")
    # A second attempt, as the owner may remove the file between its opening and its locking. Without the fallback to lock files
    # that must be removed: a killed process would leave one behind.
    lock = FileLock(place, timeout=wait_seconds, poll_interval=0.1, fallback_to_soft=False, thread_local=False)
    check_expanded(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise FileError(
            path, f"is in use by another process{_holder(place)}", advice=advice, reason="locked"
        ) from error
    except OSError as error:
        if not place.exists():
            raise cannot_write(path, error) from error
        # Some network file systems have no locks.
    folder = _identity(place.parent)
    try:
        with suppress(OSError):  # a full disk; the lock holds without it
            place.write_text(f"\nprocess {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    except (OSError, FileError) as error:
        if _is_gone(place, folder):
            raise _moved(path) from error
        raise
    else:
        if _is_gone(place, folder):
            raise _moved(path)
    finally:
        with suppress(OSError):
            place.unlink()  # before the release: a process that opened it meanwhile sees that the name is gone, and makes a new one
        lock.release()


def _moved(path: Path) -> FileError:
    """The error of a file or folder that was moved or removed, itself or with its folder, while this process wrote to it."""
    found = "was moved or removed while it was written to"
    advice = "move it back, or repeat the command with its new place; what was written since may be at the old one"
    return FileError(path, found, "its folder to stay", advice, reason="not_found")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_gone(place: Path, folder: tuple[int, int] | None) -> bool:
    """Whether the lock and its folder are gone. A lock alone may be removed by hand, and some file systems renumber folders."""
    return not os.path.lexists(place) and _identity(place.parent) != folder


def _holder(place: Path) -> str:
    """The process that holds a lock, for a message; empty if the lock file does not name it."""
    try:
        with place.open(encoding="utf-8") as file:
            file.seek(1)  # Windows locks the first byte for reading, too
            name = file.read().strip()
    except (OSError, ValueError):
        return ""
    return f" ({name})" if name else ""
