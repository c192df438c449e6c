"""Find the videos below folders."""

# Names stay text here: making a Path for each of a million files takes seconds.
# ruff: noqa: PTH118, PTH206

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from mgm.errors import VideoError
from mgm.files.path_column import PathColumn, PathList
from mgm.files.system_names import is_system_name
from mgm.printable import plural
from mgm.video.scan.suffixes import VIDEO_SUFFIXES

_COUNTED_ELSEWHERE = VIDEO_SUFFIXES | {".mgmv"}  # a sidecar belongs to its video
_NAMED_KINDS = 6


@dataclass(frozen=True, slots=True)
class FoundVideos:
    """The result of a search.

    Attributes:
        paths: files and folders that were searched.
        videos: files given by name, and every file with a video's suffix below the folders, sorted within each.
        closed: folders that cannot be listed.
        others: number of the other files below the folders, by suffix in lower case ("": none).
    """

    paths: tuple[Path, ...]
    videos: PathList
    closed: tuple[Path, ...]
    others: Mapping[str, int]

    @property
    def kinds_note(self) -> str:
        """One line on the files whose suffix is not that of a video; "" if there are none."""
        if not self.others:
            return ""
        return f"left out, since their suffix is not that of a video: {count_kinds(self.others)}"

    @property
    def closed_note(self) -> str:
        """One line on the folders that cannot be listed; "" if there are none."""
        if not self.closed:
            return ""
        count = plural(len(self.closed), "folder")
        return f"left out, since listing is not permitted: {count}, such as {self.closed[0]}; check the permissions"

    def require(self) -> None:
        """Raise VideoError if there is no video."""
        if self.videos:
            return
        subject = ", ".join(map(str, self.paths))
        if self.closed:
            found = f"no video found, and {self.closed[0]} cannot be listed"
            raise VideoError(subject, found, "at least one", "check the permissions", reason="unreadable")
        found = f"no video found, only {count_kinds(self.others)}" if self.others else "no video found"
        expected = "files with the suffix of a video, such as .mp4, .mkv, .avi or .webm"
        raise VideoError(subject, found, expected, "check the path", reason="not_found")


def find_videos(paths: Iterable[str | Path]) -> PathList:
    """The videos that `search_videos` finds.

    Raises:
        VideoError: a path does not exist or cannot be opened; or no video was found.
    """
    found = search_videos(paths)
    found.require()
    return found.videos


def search_videos(paths: Iterable[str | Path]) -> FoundVideos:
    """Search folders for files with a video's suffix. Files given by name count as videos, whatever their suffix.

    Links to folders are followed, but each folder is searched once: a file that is reached in two ways has the name without links.
    What systems leave in folders is passed over (`is_system_name`).

    Raises:
        VideoError: a path does not exist or cannot be opened.
    """
    given = tuple(Path(path) for path in paths)
    search = _Search()
    names = (search.below(path) if _is_folder(path) else PathColumn([str(path)]) for path in given)
    videos = next(names) if len(given) == 1 else PathColumn(chain.from_iterable(names)).without_repeats()
    others = {kind: count for kind, count in search.others.items() if kind not in _COUNTED_ELSEWHERE}
    return FoundVideos(given, PathList(videos), tuple(dict.fromkeys(search.closed)), others)


def count_kinds(counts: Mapping[str, int]) -> str:
    """The files of each suffix in words, the most first: "5 .txt, 2 .json, 1 without a suffix"."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in ordered[:_NAMED_KINDS]]
    if rest := ordered[_NAMED_KINDS:]:
        words.append(f"{sum(count for _, count in rest):,} of {len(rest)} more kinds")
    return ", ".join(words)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(path, "no such file or folder", advice="check the path", reason="not_found") from error
    except OSError as error:
        raise VideoError.cannot_read(path, error) from error


@dataclass(slots=True)
class _Search:
    """Finds videos, and collects the rest: folders that cannot be listed, and the suffixes of other files, each file once."""

    closed: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    counted: set[str] = field(default_factory=set)  # real paths of the folders whose other files are counted

    def below(self, root: Path) -> PathColumn:
        """Every file with a video's suffix, sorted by the parts of its path."""
        videos, ends = PathColumn(), [0]
        seen: set[str] = set()
        linked = deque(["" if root == Path() else str(root)])
        while linked:  # links wait, so that a folder that is also reached without them gets that name
            for video in self._walk(linked.popleft(), seen, linked):
                videos.append(video)
            ends.append(len(videos))
        if len(ends) == 2:
            return videos
        # The videos of each walk are sorted.
        walks = (range(first, last) for first, last in pairwise(ends))
        rows = merge(*walks, key=lambda row: videos[row].split(os.sep))
        return videos.take(np.fromiter(rows, np.int64, len(videos)))

    def _walk(self, root: str, seen: set[str], linked: deque[str]) -> Iterator[str]:
        """The videos below a folder in the order of their paths. Folders of `seen` are passed over; links are added to `linked`."""
        levels = [iter([_Entry(root, "folder")])]
        while levels:
            entry = next(levels[-1], None)
            if entry is None:
                levels.pop()
            elif entry.kind == "folder":
                real = os.path.realpath(entry.path or ".")
                if real not in seen:
                    seen.add(real)
                    levels.append(self._list(entry.path, real))
            elif entry.kind == "link":
                linked.append(entry.path)
            elif _suffix(entry.path) in VIDEO_SUFFIXES:
                yield entry.path

    def _list(self, folder: str, real: str) -> Iterator[_Entry]:
        """The entries of a folder, sorted by name."""
        try:
            with os.scandir(folder or ".") as entries:
                kinds = {entry.name: self._kind(entry, folder) for entry in entries if not is_system_name(entry.name)}
        except OSError:
            self.closed.append(Path(folder))
            return iter(())
        if real not in self.counted:
            self.others.update(_suffix(name) for name, kind in kinds.items() if kind == "file")
        self.counted.add(real)
        return (_Entry(os.path.join(folder, name), kind) for name in sorted(kinds) if (kind := kinds[name]) is not None)

    def _kind(self, entry: os.DirEntry[str], folder: str) -> _Kind | None:
        """Kind of an entry; None if it cannot be looked up and is not named like a video."""
        try:
            return "file" if not entry.is_dir() else "link" if entry.is_symlink() else "folder"
        except OSError as error:  # a link to itself, or into a folder without permission
            if _suffix(entry.name) in VIDEO_SUFFIXES:
                return "file"
            if error.errno != errno.ELOOP:
                self.closed.append(Path(folder, entry.name))
            return None


_Kind = Literal["file", "folder", "link"]


class _Entry(NamedTuple):
    """An entry of a folder; "link": to another folder."""

    path: str
    kind: _Kind


def _suffix(path: str) -> str:
    """The suffix of a path in lower case, as `Path.suffix` has it; making a Path of each of millions takes seconds."""
    name = path.rpartition(os.sep)[2]
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""
