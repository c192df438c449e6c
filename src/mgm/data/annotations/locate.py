"""Where the videos are that annotations name: roots, suffixes and bare ids, looked up without a call per file."""

# Names stay text here: a Path for each of 240,000 lines costs seconds.
# ruff: noqa: PTH117, PTH118, PTH119, PTH122, PTH208

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mgm.data.annotations.text_formats import has_suffix
from mgm.data.annotations.video_list import VideoList
from mgm.data.clips.images import IMAGE_SUFFIXES
from mgm.errors import DataError, VideoError
from mgm.video.container.locator import is_url
from mgm.video.scan.scan import VIDEO_SUFFIXES, find_videos

PARENTS = 3
"""Folders above an annotation file that its names may start from."""
TRIED = 50
"""Names by which a root is chosen."""
YOUTUBE_ID = 11


@dataclass(slots=True)
class FileLocator:
    """What is on disk below some roots. Each folder is listed once, however many names are in it.

    Args:
        root: where the names start; None tries the annotation's folder, the `PARENTS` folders above it and the working directory,
            and takes the one where most of some names are found.

    Attributes:
        renamed: (name, path) of those found under another suffix, which `mgm prepare` changes.
        several: (name, paths) of bare names that fit several files; the first is taken.
        roots: annotation file -> what its names start from.
        cut: annotation file -> how many leading folders of its names are not those of `root`.
    """

    root: Path | None
    renamed: list[tuple[str, str]] = field(default_factory=list)
    several: list[tuple[str, list[str]]] = field(default_factory=list)
    roots: dict[Path, str] = field(default_factory=dict)
    cut: dict[Path, int] = field(default_factory=dict)
    _listed: dict[str, frozenset[str]] = field(default_factory=dict)
    _stems: dict[str, dict[str, str]] = field(default_factory=dict)
    _below: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def resolve(self, listing: VideoList) -> list[str | None]:
        """The path of every entry, None for those that are not there. URLs are not looked up.

        Raises:
            DataError: there is no such root.
        """
        if self.root is not None and not self.root.is_dir():
            raise DataError(
                f"root={self.root}: no such folder, expected the one that the names in {listing.file} start from"
            )
        names = [entry.name for entry in listing.entries]
        root, cut = self._choose(listing.file, names)
        self.roots[listing.file], self.cut[listing.file] = root, cut
        return [self.find(name, root, cut) for name in names]

    def find(self, name: str, root: str, cut: int = 0) -> str | None:
        """Where a name is whose `cut` leading folders are left out; None where it is not below the root."""
        if "://" in name and is_url(name):
            return name
        path = _joined(root, name, cut)
        if self._is_there(path):
            return path
        found = self._other_suffix(path)
        if found is None and "/" not in name:
            found = self._anywhere(name, root)
        elif found is not None and has_suffix(name):
            self.renamed.append((name, found))
        return found

    def _is_there(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return name in self._names(folder)

    def _names(self, folder: str) -> frozenset[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder or "."))
            except OSError:
                self._listed[folder] = frozenset()
        return self._listed[folder]

    def _other_suffix(self, path: str) -> str | None:
        folder, name = os.path.split(path)
        if folder not in self._stems:
            names = sorted(n for n in self._names(folder) if has_suffix(n))
            self._stems[folder] = {stem_of(n): n for n in reversed(names)}
        found = self._stems[folder].get(stem_of(name))
        return None if found is None else os.path.join(folder, found)

    def _anywhere(self, name: str, root: str) -> str | None:
        """A bare name in any folder below the root: with its suffix, without it, or by its YouTube id."""
        below = self.below(root)
        found = below.get(name) or below.get(stem_of(name)) or []
        if len(found) > 1:
            self.several.append((name, found))
        return found[0] if found else None

    def below(self, root: str) -> dict[str, list[str]]:
        """Every name below a root -> its paths: with its suffix, without it, and by its YouTube id where it is `id_start_end`."""
        if root not in self._below:
            index: dict[str, list[str]] = {}
            try:
                videos = find_videos([root])
            except VideoError:
                videos = []
            for video in videos:
                path, stem = str(video), stem_of(video.name)
                keys = {video.name, stem}
                if len(stem) == YOUTUBE_ID + 14 and stem[YOUTUBE_ID] == "_":
                    keys.add(stem[:YOUTUBE_ID])
                for key in keys:
                    index.setdefault(key, []).append(path)
            self._below[root] = index
        return self._below[root]

    def _choose(self, file: Path, names: Sequence[str]) -> tuple[str, int]:
        """(root, leading folders of the names to leave out), by what is there of some names."""
        tried = names[:: max(len(names) // TRIED, 1)][:TRIED]
        if self.root is not None:
            return str(self.root), self._cut(tried, str(self.root), names)
        if all(os.path.isabs(name) for name in tried):
            return "", 0
        here = file.parent
        roots = [here]
        while len(roots) <= PARENTS and (above := _above(roots[-1])) is not None:
            roots.append(above)
        roots.append(Path())
        best, most = here, 0
        for root in roots:
            hits = sum(1 for name in tried if self._hit(_joined(str(root), name, 0)))
            if hits > most:
                best, most = root, hits
        return str(best), 0

    def _cut(self, tried: Sequence[str], root: str, names: Sequence[str]) -> int:
        """Lists name videos as they lay on their author's machine: as many leading folders are left out as gives most hits. Down to
        the bare file name only where no two of the list share one."""
        deepest = max(len(_parts(name)) for name in tried)
        best, most = 0, 0
        for cut in range(deepest):
            hits = sum(1 for name in tried if self._hit(_joined(root, name, cut)))
            bare = cut > 0 and all(len(_parts(name)) - cut <= 1 for name in tried)
            if hits > most and not (bare and len({os.path.basename(n) for n in names}) < len(set(names))):
                best, most = cut, hits
        return best

    def _hit(self, path: str) -> bool:
        return self._is_there(path) or self._other_suffix(path) is not None


def stem_of(name: str) -> str:
    """Without a suffix of videos or pictures: ids and names of folders may hold dots."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES else name


def _joined(root: str, name: str, cut: int) -> str:
    if cut:
        name = "/".join(_parts(name)[cut:]) or os.path.basename(name)
    path = os.path.join("" if root == "." else root, name)
    return str(Path(path)) if "//" in path or "./" in path or path.endswith("/") else path


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part]


def _above(folder: Path) -> Path | None:
    """The parent, of a relative folder too; None at the top."""
    if folder.name in ("", ".."):
        above = folder / ".."
        return None if above.resolve() == folder.resolve() else above
    return folder.parent


LOOKED_UP = 200
"""Missing names that a hint is made from."""
NEIGHBOURS = 200
"""Folders beside an annotation file that are tried as roots."""


def where_instead(places: FileLocator, listing: VideoList, missing: Sequence[str]) -> str | None:
    """What would find missing names, or None where nobody knows. Another root is named only where this one has none of them."""
    some = list(missing[:: max(len(missing) // LOOKED_UP, 1)][:LOOKED_UP])
    if places.root is None and len(missing) == len(listing.entries):
        return _other_root(listing, some)
    root = places.roots[listing.file]
    below = places.below(root)
    elsewhere = [(name, found) for name in some if (found := _same_name(below, name))]
    if not elsewhere:
        return None
    name, found = elsewhere[0]
    first = found[0]
    better = _root_of(first, name)
    if better is not None and os.path.normpath(better) != os.path.normpath(root):
        return f"{_of(elsewhere, some)} would be found with root={better}"
    return f"{_of(elsewhere, some)} have their file name below {root}, but in another folder: {name} could be {first}"


def _same_name(below: Mapping[str, list[str]], name: str) -> list[str]:
    last = name.rpartition("/")[2]
    return below.get(last) or below.get(stem_of(last)) or []


def _of(found: Sequence[object], some: Sequence[str]) -> str:
    return f"{len(found)} of {len(some)} looked up" if len(some) > 1 else "it"


def _root_of(path: str, name: str) -> str | None:
    """What `path` has before `name`, suffixes aside; None where it does not end in it."""
    whole, end = stem_of(path), stem_of(name).lstrip("/")
    return (whole[: -len(end)].rstrip("/") or "/") if whole.endswith("/" + end) else None


def _other_root(listing: VideoList, some: Sequence[str]) -> str:
    """Folders beside the annotation file, and beside the folders above it."""
    here = listing.file.resolve().parent
    best, most = None, 0
    for above in (here, *list(here.parents)[:2]):
        try:
            inner = sorted(entry.path for entry in os.scandir(above) if entry.is_dir())[:NEIGHBOURS]
        except OSError:
            continue
        for folder in inner:
            trial = FileLocator(Path(folder))
            hits = sum(1 for name in some if trial.find(name, folder) is not None) if _promising(folder, some) else 0
            if hits > most:
                best, most = folder, hits
    if best is None:
        return "say where they are with root=FOLDER"
    return f"{most} of {len(some)} looked up would be found with root={best}"


def _promising(folder: str, some: Sequence[str]) -> bool:
    """Whether the first folder or file of some name is in it: a folder is not searched through for bare ids."""
    try:
        inside = {stem_of(path.name) for path in Path(folder).iterdir()}
    except OSError:
        return False
    return any(stem_of(name.lstrip("/").split("/")[0]) in inside for name in some)
