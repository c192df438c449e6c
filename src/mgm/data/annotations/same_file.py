"""Finds the items of a set that are one file: a path may be spelt in several ways, or be a link."""

# Names stay text here: making a Path for each of 240,000 lines takes seconds.
# ruff: noqa: PTH118

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from mgm.data.items import VideoItems
from mgm.data.shards.members import parse_member
from mgm.files.path_column import PathColumn


class RealPaths:
    """Path -> the path without links, `.` and `..` of the file that it names; URLs and members of shards stay as they are.

    Each folder is listed once; nothing else is kept.
    """

    def __init__(self) -> None:
        self._folders: dict[str, tuple[str, frozenset[str]]] = {}

    def __getitem__(self, path: str) -> str:
        if "://" in path or ("#" in path and parse_member(path) is not None):
            return path
        folder, name = os.path.split(path)
        real, links = self._folder(folder)
        return _real_path(path) if name in links else os.path.join(real, name)

    def each(self, paths: PathColumn) -> Iterator[str]:
        """`self[path]` of each path."""
        starts: dict[str, tuple[str, frozenset[str]]] = {}
        for folder, name in paths.parts():
            found = starts.get(folder)
            if found is None:
                found = starts[folder] = self._start(folder)
            start, links = found
            yield self[folder + name] if not start or name in links else start + name

    def _start(self, folder: str) -> tuple[str, frozenset[str]]:
        """The start of the real paths of a folder of `PathColumn.parts`, and the links in it; "" if it is not a folder."""
        if folder.endswith("#") or "://" in folder:
            return "", frozenset()
        real, links = self._folder(os.path.split(folder)[0])
        return os.path.join(real, ""), links

    def _folder(self, folder: str) -> tuple[str, frozenset[str]]:
        """The real path of a folder, and the links in it."""
        found = self._folders.get(folder)
        if found is None:
            found = self._folders[folder] = _real_path(folder or "."), _links(folder or ".")
        return found


def conflicting_labels(items: VideoItems, real: RealPaths) -> dict[str, tuple[int, ...]]:
    """Path -> labels, for each file that has several labels for the same part."""
    labels: dict[tuple[str, int, int | None], dict[int, str]] = {}
    for item in of_repeated_files(items, real):
        if item.label is not None:
            labels.setdefault((real[item.path], item.start, item.end), {}).setdefault(item.label, item.path)
    return {next(iter(paths.values())): tuple(paths) for paths in labels.values() if len(paths) > 1}


def of_repeated_files(items: VideoItems, real: RealPaths) -> VideoItems:
    """The items whose file has several, and rarely others: the hashes of all files fit in memory where their names would not."""
    hashes = np.fromiter(map(hash, real.each(items.paths)), np.int64, len(items))
    order = np.argsort(hashes)
    same = hashes[order[1:]] == hashes[order[:-1]]
    repeated = np.zeros(len(items), np.bool_)
    repeated[order[1:][same]] = repeated[order[:-1][same]] = True
    return items.where(repeated)


def _real_path(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a name that no file can have
        return path


def _links(folder: str) -> frozenset[str]:
    """The names in a folder that have to be resolved one by one."""
    try:
        with os.scandir(folder) as entries:
            return frozenset((".", "..", *(entry.name for entry in entries if entry.is_symlink())))
    except (OSError, ValueError):
        return frozenset()
