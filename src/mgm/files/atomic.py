"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mgm.errors import VideoError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name only when all of it is written. Its folder is made if missing.

    Raises:
        VideoError: it cannot be written.
    """
    part = path.with_name(
        f".{path.name[:100]}.{uuid.uuid4().hex[:12]}.part"
    )  # a name of 255 bytes has no room for more
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("xb")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with file:
            yield file
        part.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def refuse_to_replace(out: Path, video: str | Path) -> None:
    """Raise VideoError where a result would be written over the video that it is made of."""
    source = Path(video)
    if out.exists() and source.exists() and out.samefile(source):
        raise VideoError(f"{out}: is the video itself, expected another file to write; choose another name")


def cannot_write(path: Path, error: OSError) -> VideoError:
    """The error of a result that has no place."""
    return VideoError(
        f"{path}: cannot be written ({error.strerror}); make room, or choose a folder that you may write to"
    )
