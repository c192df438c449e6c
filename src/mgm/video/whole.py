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
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
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


def cannot_write(path: Path, error: OSError) -> VideoError:
    """The error of a result that has no place."""
    return VideoError(
        f"{path}: cannot be written ({error.strerror}); make room, or choose a folder that you may write to"
    )
