"""Where a video's bytes are: a file, a URL, a file object, bytes in memory."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from mgm.errors import VideoError

VideoLocator: TypeAlias = str | Path | bytes | BinaryIO
"""A path; a URL of any file system that fsspec knows (https://, s3://, memory://, zip://...); the bytes of a file; or a binary file
object that can seek, which is read from its beginning and left open."""


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """What FFmpeg is given: a path, or a file object. `name` is how errors call it."""

    name: str
    file: str | BinaryIO

    def head(self) -> bytes:
        """The first 512 bytes."""
        if isinstance(self.file, str):
            with Path(self.file).open("rb") as handle:
                return handle.read(512)
        self.file.seek(0)
        return self.file.read(512)


def describe_locator(place: VideoLocator) -> str:
    """How errors call a video: its path or URL; bytes and file objects by what they are."""
    if isinstance(place, bytes):
        return f"<{len(place)} bytes>"
    if isinstance(place, str | Path):
        return str(place)
    name = getattr(place, "name", None)
    return name if isinstance(name, str) else f"<{type(place).__name__}>"


@contextmanager
def open_locator(place: VideoLocator) -> Iterator[LocatedFile]:
    """Open what FFmpeg cannot open by itself, and say what is wrong with what cannot be read at all.

    Raises:
        VideoError: no such file, a folder, empty, an object that cannot seek, a URL that cannot be opened.
    """
    name = describe_locator(place)
    if isinstance(place, bytes):
        if not place:
            raise VideoError(f"{name}: empty, expected the bytes of a video file")
        yield LocatedFile(name, io.BytesIO(place))
    elif isinstance(place, str | Path):
        if is_url(place):
            with _remote(str(place)) as file:
                yield LocatedFile(name, file)
        else:
            _check_file(Path(place))
            yield LocatedFile(name, name)
    else:
        if not (hasattr(place, "read") and hasattr(place, "seek")):
            raise VideoError(
                f"{name}: found a {type(place).__name__}, expected a path, URL, bytes or a binary file object"
            )
        try:
            size = place.seek(0, io.SEEK_END)
            place.seek(0)
        except (OSError, ValueError) as error:  # not seekable, or closed
            raise VideoError(
                f"{name}: the file object cannot seek ({error}), expected one that can; read it into bytes first"
            ) from error
        if size == 0:
            raise VideoError(f"{name}: the file object is empty, expected a video")
        yield LocatedFile(name, place)


def is_url(place: VideoLocator) -> bool:
    """Whether fsspec is to open it. One letter before the colon is a drive of Windows."""
    if not isinstance(place, str) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://|[a-z0-9]+::", place) is None:
        return False
    return not Path(place).exists()


def _check_file(file: Path) -> None:
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(f"{file}: no such file; check the path") from error
    except (OSError, ValueError) as error:  # no permission, links in a circle, a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise VideoError(f"{file}: cannot be opened ({why}); check the path and its permissions") from error
    if stat.S_ISDIR(found.st_mode):
        raise VideoError(f"{file}: is a folder; give one video file")
    if not stat.S_ISREG(found.st_mode):  # reading it might wait for ever
        raise VideoError(f"{file}: is a pipe or a device, expected a file; write it to a file first")
    if found.st_size == 0:
        raise VideoError(f"{file}: the file is empty (0 bytes), expected a video; copy or download it again")


@contextmanager
def _remote(url: str) -> Iterator[BinaryIO]:
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise VideoError(
            f"{url}: reading a URL needs the package fsspec: "
            "pip install 'motion-guided-masking[remote]', or '.[remote]' in a checkout"
        ) from error
    try:
        file = fsspec.open(url, "rb").open()
    except (OSError, ValueError, ImportError) as error:  # missing, unknown protocol, its package not installed
        raise VideoError(
            f"{url}: cannot be opened ({error}); check the URL, and that the package of its protocol is installed"
        ) from error
    with file:
        yield file
