"""The bytes of a video: a file, a URL, a file object, bytes in memory."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from mgm.errors import VideoError
from mgm.video.container.remote import open_remote

VideoLocator: TypeAlias = str | Path | bytes | BinaryIO
"""A path; a URL (`mgm.video.container.remote.SCHEMES`); the bytes of a file; or a binary file object that can seek, which is read
from its beginning and left open."""


_HEAD = 512
"""Bytes that the errors of files look at."""


class Pipe:
    """A stream that is read once, from its beginning to its end, such as standard input. FFmpeg reads it as a file object.

    Attributes:
        beginning: its first bytes, as far as they were read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)  # as soon as there are bytes: a camera sends few
        self.beginning = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the end."""
        found: bytes = self._read(size)
        if len(self.beginning) < _HEAD:
            self.beginning += found[: _HEAD - len(self.beginning)]
        return found


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """The input of FFmpeg: a path, a file object or a pipe. `name` is the subject of its errors."""

    name: str
    file: str | BinaryIO | Pipe

    def head(self) -> bytes:
        """The first 512 bytes."""
        if isinstance(self.file, Pipe):
            return self.file.beginning
        if isinstance(self.file, str):
            with Path(self.file).open("rb") as handle:
                return handle.read(_HEAD)
        self.file.seek(0)
        return self.file.read(_HEAD)


def describe_locator(locator: VideoLocator) -> str:
    """The subject of a video's errors: its path or URL; size or type for bytes and file objects."""
    if isinstance(locator, bytes):
        return f"<{len(locator)} bytes>"
    if isinstance(locator, str | Path):
        return str(locator)
    name = getattr(locator, "name", None)
    return name if isinstance(name, str) else f"<{type(locator).__name__}>"


@contextmanager
def open_locator(locator: VideoLocator) -> Iterator[LocatedFile]:
    """Open a video for FFmpeg, with the errors that FFmpeg cannot explain.

    Raises:
        VideoError: no such file, a folder, empty, an object that cannot seek, a URL that cannot be opened.
    """
    name = describe_locator(locator)
    if isinstance(locator, bytes):
        if not locator:
            raise VideoError(name, "empty", "the bytes of a video file", reason="empty")
        yield LocatedFile(name, io.BytesIO(locator))
    elif isinstance(locator, str | Path):
        if is_url(locator):
            with open_remote(str(locator), name) as file:
                yield LocatedFile(name, file)
        else:
            check_file(locator)
            yield LocatedFile(name, name)
    else:
        if not (hasattr(locator, "read") and hasattr(locator, "seek")):
            raise VideoError(
                name,
                f"found {type(locator).__name__}",
                "a path, URL, bytes or a binary file object",
                reason="invalid_type",
            )
        try:
            size = locator.seek(0, io.SEEK_END)
            locator.seek(0)
        except (OSError, ValueError) as error:  # not seekable, or closed
            raise VideoError(
                name,
                f"the file object cannot seek ({error})",
                "one that can",
                "read it into bytes first",
                reason="unsupported",
            ) from error
        if size == 0:
            raise VideoError(name, "the file object is empty", "a video", reason="empty")
        yield LocatedFile(name, locator)


def is_url(locator: VideoLocator) -> bool:
    """Whether it is a URL, allowed or not. One letter before the colon is a drive of Windows."""
    if not isinstance(locator, str) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://|[a-z0-9]+::", locator) is None:
        return False
    return not os.path.exists(locator)  # noqa: PTH110  # Path.exists raises an error for a long URL


def cannot_open(name: str, cause: object, advice: str) -> VideoError:
    """The error of a video that the operating system or the network refuses."""
    return VideoError(name, f"cannot be opened ({cause})", advice=advice, reason="unreadable")


def check_file(file: str | Path, expected: str = "a video") -> None:
    """Raise VideoError unless there is a file with content: opening a pipe might block forever."""
    try:
        found = Path(file).stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(file, "no such file", advice="check the path", reason="not_found") from error
    except (OSError, ValueError) as error:  # no permission, circular links, a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise cannot_open(str(file), why, "check the path and its permissions") from error
    if stat.S_ISDIR(found.st_mode):
        raise VideoError(file, "is a folder", advice="give one video file", reason="not_video")
    if not stat.S_ISREG(found.st_mode):
        raise VideoError(file, "is a pipe or a device", "a file", "write it to a file first", reason="not_video")
    if found.st_size == 0:
        raise VideoError(file, "the file is empty (0 bytes)", expected, "copy or download it again", reason="empty")
