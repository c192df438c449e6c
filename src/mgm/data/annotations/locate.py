"""Locates the files that annotations name - by root, suffix or bare id - without a system call per file."""

# Names stay text here: making a Path for each of 240,000 lines takes seconds.
# ruff: noqa: PTH117, PTH118, PTH119, PTH122, PTH208

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mgm.data.annotations.text_formats import NAMED_SUFFIXES, has_suffix
from mgm.data.annotations.video_list import VideoList
from mgm.errors import DataError, VideoError
from mgm.files.name_index import NameIndex
from mgm.files.path_column import PathColumn
from mgm.video.container.locator import is_url
from mgm.video.container.remote import check_url
from mgm.video.scan.find import find_videos

_PARENTS = 3
"""Folders above an annotation file that are tried as roots."""
_TRIED_NAMES = 50
"""Names by which a root is chosen."""
_SEARCHED_NAMES = 200
"""Missing names by which a location is suggested."""
_NEIGHBOURS = 200
"""Folders beside an annotation file that are tried as roots for a suggestion."""
_DEEPEST = 40
"""Leading folders that may be dropped; a name with more folders is not searched for."""
YOUTUBE_ID_LENGTH = 11
_OF_URLS = re.compile(rb"://|::")


@dataclass(frozen=True, slots=True)
class _Root:
    """A folder that names start from, without their `dropped` leading folders; folder "": names are whole paths."""

    folder: str
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class LocatedNames:
    """The names of a list on disk.

    Attributes:
        paths: of the names; missing ones stay as written.
        missing: names that are not on disk.
    """

    paths: PathColumn
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder of a list on disk: what its paths start with, and the names in it."""

    start: str
    names: frozenset[str]


@dataclass(slots=True)
class FileLocator:
    """Finds listed files below a root. Each folder is listed once, however many names are in it.

    Args:
        root: folder that names start from; None tries the annotation's folder, the `_PARENTS` folders above it and the working
            directory, and takes the one that contains most of some names.

    Attributes:
        renamed: (name, path) of files found under another suffix, which `mgm prepare` changes.
        ambiguous: (name, paths) of bare names that match several files; the first is taken.
        roots: annotation file -> root of its names.
    """

    root: Path | None
    renamed: list[tuple[str, str]] = field(default_factory=list)
    ambiguous: list[tuple[str, list[str]]] = field(default_factory=list)
    roots: dict[Path, str] = field(default_factory=dict)
    _listed: dict[str, frozenset[str]] = field(default_factory=dict)
    _stems: dict[str, dict[str, str]] = field(default_factory=dict)
    _below: dict[str, VideosBelow] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line on names that match several files; empty if there are none."""
        if not self.ambiguous:
            return ()
        name, paths = self.ambiguous[0]
        return (
            f"{len(self.ambiguous):,} names match several files, and the first is taken, such as {', '.join(paths[:3])} for "
            f"{name}; narrow it down with root=",
        )

    def locate(self, listed: VideoList) -> LocatedNames:
        """Locate the names of all entries. URLs are not looked up.

        Raises:
            DataError: the root does not exist, or a URL is not allowed.
        """
        if self.root is not None and not self.root.is_dir():
            raise DataError(
                f"root={self.root}",
                "no such folder",
                f"the one that the names in {listed.file} start from",
                "check the path",
                reason="not_found",
            )
        _check_urls(listed)
        names = listed.entries.names
        root = self._choose_root(listed.file, names)
        self.roots[listed.file] = root.folder
        places: dict[str, _Place] = {}
        missing, elsewhere, found = array("Q"), array("Q"), PathColumn()
        for row, (folder, name) in enumerate(names.parts()):
            place = places.get(folder)
            if place is None:
                place = places[folder] = self._place(folder, root)
            if name in place.names:
                continue
            path = self.find(folder + name, root.folder, root.dropped)
            if path is None:
                missing.append(row)
            else:
                elsewhere.append(row)
                found.append(path)
        moved = np.ones(len(names), np.bool_)
        moved[missing] = moved[elsewhere] = False
        paths = names.moved({folder: place.start for folder, place in places.items()}, moved)
        if found:
            rows = np.arange(len(names))
            rows[elsewhere] = np.arange(len(found)) + len(names)
            paths = PathColumn(paths.joined(found).take(rows))
        return LocatedNames(paths, tuple(names[row] for row in missing))

    def _place(self, folder: str, root: _Root) -> _Place:
        """The place of the names that start with a folder of `PathColumn.parts`."""
        if folder.endswith("#") or "://" in folder:  # not a folder, or that of a URL
            return _Place("", frozenset())
        path = _join(root.folder, f"{folder}name", root.dropped)
        return _Place(path.removesuffix("name"), self._names(os.path.split(path)[0]))

    def forget_folders(self) -> None:
        """Free the contents of the folders."""
        for kept in (self._listed, self._stems, self._below):
            kept.clear()

    def find(self, name: str, root: str, dropped: int = 0) -> str | None:
        """Return the path of a name without its `dropped` leading folders; None if it is not below the root."""
        if "://" in name and is_url(name):
            return name
        path = _join(root, name, dropped)
        if self._exists(path):
            return path
        found = self._other_suffix(path)
        if found is None and "/" not in name:
            found = self._anywhere(name, root)
        elif found is not None and has_suffix(name):
            self.renamed.append((name, found))
        return found

    def _exists(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return name in self._names(folder)

    def _names(self, folder: str) -> frozenset[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder or "."))
            except (OSError, ValueError):  # no such folder, or a name that no file can have
                self._listed[folder] = frozenset()
        return self._listed[folder]

    def _other_suffix(self, path: str) -> str | None:
        """The file beside `path` that has the same name but another suffix."""
        folder, name = os.path.split(path)
        if folder not in self._stems:
            names = sorted(filter(has_suffix, self._names(folder)), reverse=True)
            self._stems[folder] = {strip_suffix(n): n for n in names}
        found = self._stems[folder].get(strip_suffix(name))
        return None if found is None else os.path.join(folder, found)

    def _anywhere(self, name: str, root: str) -> str | None:
        """A bare name in any folder below the root: with its suffix, without it, or by its YouTube id."""
        below = self.index_below(root)
        found = below.get(name) or below.get(strip_suffix(name))
        if len(found) > 1:
            self.ambiguous.append((name, found))
        return found[0] if found else None

    def index_below(self, root: str) -> VideosBelow:
        """The videos below a root by their names."""
        if root not in self._below:
            try:
                self._below[root] = VideosBelow(find_videos([root]).names)
            except VideoError:
                self._below[root] = VideosBelow(PathColumn())
        return self._below[root]

    def _choose_root(self, file: Path, names: Sequence[str]) -> _Root:
        """The root below which most of some names exist."""
        tried = names[:: max(len(names) // _TRIED_NAMES, 1)][:_TRIED_NAMES]
        if self.root is not None:
            return _Root(str(self.root), self._choose_dropped(tried, str(self.root), names))
        if all(os.path.isabs(name) for name in tried):
            return _Root("")
        roots = [file.parent]
        while len(roots) <= _PARENTS and (parent := _parent(roots[-1])) is not None:
            roots.append(parent)
        roots.append(Path())
        best, most = file.parent, 0
        for root in roots:
            hits = sum(1 for name in tried if self.exists_below(str(root), name))
            if hits > most:
                best, most = root, hits
        return _Root(str(best))

    def _choose_dropped(self, tried: Sequence[str], root: str, names: Sequence[str]) -> int:
        """The number of leading folders without which most names exist: lists contain the paths of their author's machine. Only
        lists without repeated file names are reduced to the bare file name."""
        deepest = max(len(_parts(name)) for name in tried)
        best, most = 0, 0
        for dropped in range(min(deepest, _DEEPEST)):
            hits = sum(1 for name in tried if self.exists_below(root, name, dropped))
            bare = dropped > 0 and all(len(_parts(name)) - dropped <= 1 for name in tried)
            if hits > most and not (bare and len({os.path.basename(n) for n in names}) < len(set(names))):
                best, most = dropped, hits
        return best

    def exists_below(self, root: str, name: str, dropped: int = 0) -> bool:
        """Whether a name, without its `dropped` leading folders, is directly below a root, with any suffix."""
        path = _join(root, name, dropped)
        return self._exists(path) or self._other_suffix(path) is not None


class VideosBelow:
    """Videos by their names: with suffix, without it, and as the YouTube id of `id_start_end`.

    Args:
        paths: of the videos, in the order in which those of one name are returned.
    """

    def __init__(self, paths: PathColumn) -> None:
        self._paths = paths
        self._index = NameIndex((name, row) for row, path in enumerate(self._paths) for name in _names_of(path))

    def get(self, name: str) -> list[str]:
        """The paths of the videos of a name."""
        paths = (self._paths[row] for row in self._index.rows(name))
        return [path for path in paths if name in _names_of(path)]


def _names_of(path: str) -> set[str]:
    name = path.rpartition("/")[2]
    stem = strip_suffix(name)
    if len(stem) == YOUTUBE_ID_LENGTH + 14 and stem[YOUTUBE_ID_LENGTH] == "_":
        return {name, stem, stem[:YOUTUBE_ID_LENGTH]}
    return {name, stem}


def _check_urls(listed: VideoList) -> None:
    if not listed.entries.names.may_match(_OF_URLS):
        return
    for entry in listed.entries:
        if ("://" in entry.name or "::" in entry.name) and is_url(entry.name):
            try:
                check_url(entry.name, entry.name)
            except VideoError as error:
                found = f"line {entry.line}: {error.subject}: {error.found}"
                raise DataError(listed.file, found, error.expected, error.advice, reason=error.reason) from error


def strip_suffix(name: str) -> str:
    """Remove a suffix of videos or pictures. Other suffixes stay: ids and names of folders may contain dots."""
    dot = name.rfind(".")
    if dot < 0 or name[dot:].lower() not in NAMED_SUFFIXES:
        return name
    if name[dot - 1 : dot] not in ("", ".", "/", "\\"):
        return name[:dot]
    return os.path.splitext(name)[0]  # `.mp4` is a name, not a suffix


def _join(root: str, name: str, dropped: int) -> str:
    if dropped:
        name = "/".join(_parts(name)[dropped:]) or os.path.basename(name)
    path = os.path.join("" if root == "." else root, name)
    return str(Path(path)) if "//" in path or "./" in path or path.endswith("/") else path


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part]


def _parent(folder: Path) -> Path | None:
    """The parent folder, also of a relative path; None at the top."""
    if folder.name in ("", ".."):
        parent = folder / ".."
        return None if parent.resolve() == folder.resolve() else parent
    return folder.parent


# Missing files


def suggest_location(locator: FileLocator, listed: VideoList, missing: Sequence[str]) -> str:
    """Advice on where missing files may be: another root, another folder, or copies; "" if none is found.

    Another root is suggested only if none of the missing files is below the current one.
    """
    some = list(missing[:: max(len(missing) // _SEARCHED_NAMES, 1)][:_SEARCHED_NAMES])
    if locator.root is None and len(missing) == len(listed.entries):
        return _suggest_root(listed, some)
    root = locator.roots[listed.file]
    below = locator.index_below(root)
    elsewhere = [(name, found) for name in some if (found := _same_file_name(below, name))]
    if not elsewhere:
        return ""
    name, (first, *_) = elsewhere[0]
    better = _root_of(first, name)
    count = _count(len(elsewhere), some)
    if better is not None and os.path.normpath(better) != os.path.normpath(root):
        return f"root={better} would contain {count}"
    return f"files of the same name as {count} are in another folder below {root}: {name} could be {first}"


def _same_file_name(below: VideosBelow, name: str) -> list[str]:
    last = name.rpartition("/")[2]
    return below.get(last) or below.get(strip_suffix(last))


def _count(found: int, some: Sequence[str]) -> str:
    return f"{found} of {len(some)} searched" if len(some) > 1 else "it"


def _root_of(path: str, name: str) -> str | None:
    """The part of `path` before `name`, suffixes aside; None if it does not end in it."""
    whole, end = strip_suffix(path), strip_suffix(name).lstrip("/")
    return (whole[: -len(end)].rstrip("/") or "/") if whole.endswith("/" + end) else None


def _suggest_root(listed: VideoList, some: Sequence[str]) -> str:
    """Try the folders beside the annotation file, and beside the two folders above it."""
    here = listed.file.resolve().parent
    best, most = None, 0
    for parent in (here, *list(here.parents)[:2]):
        try:
            folders = sorted(entry.path for entry in os.scandir(parent) if entry.is_dir())[:_NEIGHBOURS]
        except OSError:
            continue
        for folder in folders:
            if not _is_promising(folder, some):
                continue
            trial = FileLocator(Path(folder))
            # Without bare ids deeper down: the folders beside a list may contain whole disks.
            hits = sum(1 for name in some if trial.exists_below(folder, name))
            if hits > most:
                best, most = folder, hits
    if best is None:
        return "set their folder with root=FOLDER"
    return f"root={best} would contain {most} of {len(some)} searched"


def _is_promising(folder: str, some: Sequence[str]) -> bool:
    """Whether a folder contains the first folder or file of some name: it is not searched for bare ids below it."""
    try:
        inside = {strip_suffix(path.name) for path in Path(folder).iterdir()}
    except OSError:
        return False
    return any(strip_suffix(name.lstrip("/").split("/")[0]) in inside for name in some)
