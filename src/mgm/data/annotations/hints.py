"""Where listed files that are not there may be instead: another root, another folder, other copies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mgm.data.annotations.listing import Listing
from mgm.data.annotations.places import Places, stem_of

LOOKED_UP = 200
"""Missing names that a hint is made from."""
NEIGHBOURS = 200
"""Folders beside an annotation file that are tried as roots."""


def where_instead(places: Places, listing: Listing, missing: Sequence[str]) -> str | None:
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


def _other_root(listing: Listing, some: Sequence[str]) -> str:
    """Folders beside the annotation file, and beside the folders above it."""
    here = listing.file.resolve().parent
    best, most = None, 0
    for above in (here, *list(here.parents)[:2]):
        try:
            inner = sorted(entry.path for entry in os.scandir(above) if entry.is_dir())[:NEIGHBOURS]
        except OSError:
            continue
        for folder in inner:
            trial = Places(Path(folder))
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
