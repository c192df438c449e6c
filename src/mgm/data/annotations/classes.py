"""From labels as they are written - numbers, names, folders - to the classes of a set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mgm.data.annotations.class_names import ClassNames
from mgm.data.annotations.folders import TEST_NAMES, TRAIN_NAMES
from mgm.data.annotations.locate import YOUTUBE_ID, stem_of
from mgm.data.annotations.video_list import ListedVideo, Split, VideoList
from mgm.errors import DataError

MOST_GAPS = 10
"""Classes for each one that has a video; above that, numbers are taken for something else than labels."""


@dataclass(frozen=True, slots=True)
class ResolvedClasses:
    """The classes of a set.

    Attributes:
        classes: their names, in the order of their numbers; empty without labels.
        numbers: for each listing the index into `classes` of each of its entries, or None.
        names: where the names are from.
    """

    classes: tuple[str, ...]
    numbers: tuple[tuple[int | None, ...], ...]
    names: str


def resolve_classes(listings: Sequence[tuple[VideoList, Split | None]], names: ClassNames | None) -> ResolvedClasses:
    """Agree on one list of classes over all annotations of a set.

    Numbers keep their meaning; their names are those of a file of names, else of the folders that the videos lie in, where each
    number has one of its own, else the numbers. Names are sorted. Entries without a label get that of a folder named like a class.

    Raises:
        DataError: numbers below 0, without a name, or too large to be labels; numbers mixed with names.
    """
    every = [(listing, entry) for listing, _ in listings for entry in listing.entries]
    numbers = {entry.label for _, entry in every if isinstance(entry.label, int)}
    texts = {entry.label for _, entry in every if isinstance(entry.label, str)}
    if numbers == {-1}:
        numbers = set()
    if numbers and min(numbers) < 0:
        raise _bad(every, min(numbers), "a label from 0 on, or -1 in every line of a list without labels")
    if not numbers and not texts:
        return ResolvedClasses((), tuple((None,) * len(listing.entries) for listing, _ in listings), "none")
    if names is not None:
        index, how = _by_file(every, numbers, texts, names), f"names from {names.file}"
        classes = names.names
    elif numbers:
        learned = [entry for listing, side in listings if side != "test" for entry in listing.entries]
        classes, index, how = _by_number(every, numbers, learned or [entry for _, entry in every])
        for text in texts:  # the other annotation names what this one numbers
            if text not in classes:
                raise _bad(every, text, "a number as in the other annotations; name the classes with classes=FILE")
            index[text] = classes.index(text)
    else:
        classes = tuple(sorted(texts))
        index, how = {name: number for number, name in enumerate(classes)}, "names, sorted"
    if len(classes) == 1 and names is None and any(side != "test" for _, side in listings):
        none = tuple((None,) * len(listing.entries) for listing, _ in listings)
        return ResolvedClasses((), none, f"none: every label is {classes[0]!r}, and one class says nothing")
    folders = {name: number for number, name in enumerate(classes)}
    found = tuple(tuple(_number(entry, index, folders) for entry in listing.entries) for listing, _ in listings)
    return ResolvedClasses(tuple(classes), found, how)


def join_labels(listing: VideoList, labelled: VideoList) -> VideoList:
    """The entries of a listing with the labels, and where they are longer the names, that another one has for their ids.

    Raises:
        DataError: none of them is in it.
    """
    by_id: dict[str, list[ListedVideo]] = {}
    for entry in labelled.entries:
        stem = stem_of(PurePosixPath(entry.name).name)
        keys = {stem, entry.name}
        if labelled.format == "kinetics":
            keys.add(stem[:YOUTUBE_ID])
        for key in keys:
            by_id.setdefault(key, []).append(entry)
    joined: list[ListedVideo] = []
    unknown = []
    for entry in listing.entries:
        found = by_id.get(entry.name) or by_id.get(stem_of(PurePosixPath(entry.name).name)) or []
        if not found:
            unknown.append(entry.name)
        named = [
            replace(entry, label=other.label, name=other.name if listing.format == "ids" else entry.name)
            for other in found
        ]
        joined += dict.fromkeys(named)
    if not joined:
        raise DataError(
            f"{listing.file}: {unknown[0]!r} is not in {labelled.file}, nor is any other, expected the labels of these ids; "
            "check labels="
        )
    lost: tuple[str, ...] = ()
    if unknown:
        lost = (
            f"{len(unknown):,} entries of {listing.file} have no label in {labelled.file}, such as {unknown[0]}: left out",
        )
    return replace(
        listing,
        entries=tuple(joined),
        labels=f"{labelled.file} ({labelled.labels})",
        notes=listing.notes + labelled.notes + lost,
    )


def label_by_folders(listing: VideoList) -> VideoList:
    """Of a list without labels whose names are those of class folders: the folders as labels, and train/ and test/ as sides::

    <class>/x.mp4                              labels
    train/<class>/x.mp4, test/<class>/y.mp4    labels and a split (test, val or validation)
    """
    parts = [PurePosixPath(entry.name).parts for entry in listing.entries]
    shared = 0
    while all(len(p) > shared + 2 for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    below = [p[shared:] for p in parts]
    sides: list[Split | None] = [None] * len(below)
    tests = next((name for name in TEST_NAMES if any(p[0] == name for p in below)), None)
    trains = next((name for name in TRAIN_NAMES if any(p[0] == name for p in below)), None)
    if tests and trains and all(p[0] in (tests, trains) for p in below):
        sides = ["train" if p[0] == trains else "test" for p in below]
        below = [p[1:] for p in below]
    if any(len(p) != 2 for p in below) or len({p[0] for p in below}) < 2:
        return listing
    entries = tuple(
        replace(entry, label=p[0], side=entry.side or side)
        for entry, p, side in zip(listing.entries, below, sides, strict=True)
    )
    return replace(listing, entries=entries, labels="class folders in the paths")


def _number(entry: ListedVideo, index: dict[int | str, int], folders: dict[str, int]) -> int | None:
    if entry.label is None or entry.label == -1:
        return folders.get(folder_of(entry.name))
    return index[entry.label]


def folder_of(name: str) -> str:
    """Of `a/Class/video.mp4`: Class; empty where the name has no folder."""
    return name.rpartition("/")[0].rpartition("/")[2]


def _by_file(
    every: Sequence[tuple[VideoList, ListedVideo]], numbers: set[int], texts: set[str], names: ClassNames
) -> dict[int | str, int]:
    count = len(names.names)
    base = names.base if names.base is not None else int(bool(numbers) and min(numbers) >= 1 and max(numbers) == count)
    index: dict[int | str, int] = {}
    known = {name: number for number, name in enumerate(names.names)}
    known |= {name.replace("_", " "): number for name, number in known.items()}
    for number in numbers:
        if not base <= number < base + count:
            raise _bad(every, number, f"{base} to {base + count - 1}, the classes of {names.file}")
        index[number] = number - base
    for text in texts:
        found = known.get(text, known.get(text.replace("_", " ")))
        if found is None:
            raise _bad(every, text, f"a class of {names.file}")
        index[text] = found
    return index


def _by_number(
    every: Sequence[tuple[VideoList, ListedVideo]], numbers: set[int], learned: Iterable[ListedVideo]
) -> tuple[tuple[str, ...], dict[int | str, int], str]:
    base = 1 if min(numbers) == 1 else 0
    count = max(numbers) + 1 - base
    if count > MOST_GAPS * len(numbers) + 100:
        raise _bad(
            every,
            max(numbers),
            f"a label: {len(numbers)} different numbers are no {count:,} classes; check the columns",
        )
    folders: dict[int, set[str]] = {}
    for entry in learned:
        if isinstance(entry.label, int):
            folders.setdefault(entry.label, set()).add(folder_of(entry.name))
    single = {number: next(iter(found)) for number, found in folders.items() if len(found) == 1}
    named = len(single) == len(folders) > 1 and len(set(single.values())) == len(single) and "" not in single.values()
    texts = {number: single.get(number, str(number)) if named else str(number) for number in range(base, base + count)}
    index: dict[int | str, int] = {number: number - base for number in texts}
    how = "names of the folders, one for each number" if named else "numbers, which nothing names"
    return tuple(texts.values()), index, how + (", counted from 1" if base else "")


def _bad(every: Sequence[tuple[VideoList, ListedVideo]], label: int | str, expected: str) -> DataError:
    listing, entry = next((listing, entry) for listing, entry in every if entry.label == label)
    unit = "record" if listing.file.suffix.lower() == ".json" else "line"
    return DataError(f"{listing.file}: {unit} {entry.line}: label {label!r}, expected {expected}; correct it")
