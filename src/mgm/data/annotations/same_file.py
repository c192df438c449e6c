"""Finds the items of a set that are one file: a path may be spelt in several ways, or be a link."""

# Names stay text here: making a Path for each of 240,000 lines takes seconds.
# ruff: noqa: PTH118

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from mgm.data.items import VideoItem
from mgm.data.shards.members import parse_member


def real_paths(paths: Iterable[str]) -> dict[str, str]:
    """Path -> the path without links, `.` and `..` of the file that it names. Each folder is listed once; URLs stay as they are."""
    folders: dict[str, tuple[str, frozenset[str]]] = {}
    found: dict[str, str] = {}
    for path in paths:
        if path in found:
            continue
        if "://" in path or parse_member(path) is not None:
            found[path] = path
            continue
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _real_path(folder or "."), _links(folder or ".")
        real, links = folders[folder]
        found[path] = os.path.join(real, name) if name not in links else _real_path(path)
    return found


def conflicting_labels(items: Iterable[VideoItem], real: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Path -> labels, for each file that has several labels for the same part. `real`: see `real_paths`."""
    labels: dict[tuple[str, int, int | None], dict[int, str]] = {}
    for item in items:
        if item.label is not None:
            labels.setdefault((real[item.path], item.start, item.end), {}).setdefault(item.label, item.path)
    return {next(iter(paths.values())): tuple(paths) for paths in labels.values() if len(paths) > 1}


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
