"""Find the videos below folders."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mgm.errors import VideoError

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".3gp",
        ".flv",
        ".wmv",
        ".asf",
        ".ogv",
        ".h264",
        ".264",
        ".hevc",
        ".h265",
        ".rm",
        ".rmvb",
        ".vob",
    ]
)


def find_videos(paths: Iterable[str | Path], *, unreadable: Callable[[Path], None] | None = None) -> list[Path]:
    """Files given by name, and every file with a video's suffix below the folders given, sorted within each.

    Links to folders are followed, but each folder is searched once: a file that is reached in two ways has the name without links.

    Args:
        unreadable: called with each folder that cannot be listed; None leaves them out.

    Raises:
        VideoError: a path does not exist or cannot be opened; or no video was found, and `unreadable` was not called.
    """
    given = [Path(path) for path in paths]
    found: list[Path] = []
    closed: list[Path] = []
    for path in given:
        if _is_folder(path):
            found.extend(sorted(_videos_below(path, closed)))
        else:
            found.append(path)
    closed = list(dict.fromkeys(closed))
    if unreadable is not None:
        for folder in closed:
            unreadable(folder)
    if not found and (unreadable is None or not closed):
        advice = f"check the permissions of {closed[0]}, which cannot be listed" if closed else "check the path"
        expected = f"files ending in {' '.join(sorted(VIDEO_SUFFIXES))}"
        raise VideoError(", ".join(map(str, given)), "no video found", expected, advice, reason="not_found")
    return list(dict.fromkeys(found))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(path, "no such file or folder", advice="check the path", reason="not_found") from error
    except OSError as error:
        found = f"cannot be opened ({error.strerror})"
        raise VideoError(path, found, advice="check its permissions", reason="unreadable") from error


def _videos_below(root: Path, closed: list[Path]) -> Iterator[Path]:
    """Every file with a video's suffix; folders that cannot be listed are added to `closed`."""
    seen: set[str] = set()
    linked = deque([root])
    while linked:
        folders = [linked.popleft()]  # links wait, so that a folder that is also reached without them gets that name
        while folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            try:
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                closed.append(folder)
                continue
            for entry in listed:
                path = folder / entry.name
                video = path.suffix.lower() in VIDEO_SUFFIXES
                try:
                    inner = entry.is_dir()
                except OSError as error:  # a link to itself, or into a folder without permission
                    inner = False
                    if not video and error.errno != errno.ELOOP:
                        closed.append(path)
                if inner:
                    (linked if entry.is_symlink() else folders).append(path)
                elif video:
                    yield path
