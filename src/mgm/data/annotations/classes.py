"""Resolves labels as written in annotations - numbers, names, folders - to the classes of a set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import PurePosixPath

from mgm.data.annotations.class_names import ClassNames
from mgm.data.annotations.folders import TEST_FOLDERS, TRAIN_FOLDERS
from mgm.data.annotations.locate import YOUTUBE_ID_LENGTH, strip_suffix
from mgm.data.annotations.video_list import ListedVideo, ListedVideos, Split, VideoList
from mgm.errors import DataError
from mgm.files.path_column import PathColumn

_MOST_CLASSES_PER_LABEL = 10
"""Classes for each distinct label; if numbers imply more, they are taken for something other than labels."""


@dataclass(frozen=True, slots=True)
class ResolvedClasses:
    """The classes of a set.

    Attributes:
        classes: their names, in the order of their numbers; empty without labels.
        labels: for each list, the index into `classes` of each of its entries, or None.
        names_from: source of the names, in words.
    """

    classes: tuple[str, ...]
    labels: tuple[Sequence[int | None], ...]
    names_from: str


@dataclass(frozen=True, slots=True)
class _ClassIndex:
    """Class names, the index of each label as written, and the source of the names."""

    classes: tuple[str, ...]
    index: dict[int | str, int]
    names_from: str


def resolve_classes(lists: Sequence[VideoList], class_names: ClassNames | None) -> ResolvedClasses:
    """Resolve the labels of all annotations of a set to one list of classes.

    Numbers keep their meaning. Their names come from a file of class names, else from the folders of the videos if each number has
    one of its own, else they are the numbers themselves. Names are sorted. Entries without a label get that of a folder named like
    a class.

    Raises:
        DataError: a number is below 0, has no name or is too large for a label, or numbers are mixed with names.
    """
    labels = dict.fromkeys(label for listed in lists for label in dict.fromkeys(listed.entries.labels or ()))
    numbers = [label for label in labels if isinstance(label, int)]
    names = [label for label in labels if isinstance(label, str)]
    if numbers == [-1]:
        numbers = []
    if numbers and min(numbers) < 0:
        raise _bad_label(lists, min(numbers), "a label of 0 or more, or -1 in every line of a list without labels")
    if not numbers and not names:
        return _unlabelled(lists, "none")
    if class_names is not None:
        found = _index_by_file(lists, numbers, names, class_names)
    elif numbers:
        found = _index_by_number(lists, numbers, names)
    else:
        found = _index_by_name(names)
    if len(found.classes) == 1 and class_names is None and any(listed.split != "test" for listed in lists):
        return _unlabelled(lists, f"none: every label is {found.classes[0]!r}; training needs two classes")
    resolved = tuple(_numbers_of_classes(listed.entries, found) for listed in lists)
    return ResolvedClasses(found.classes, resolved, found.names_from)


def _numbers_of_classes(entries: ListedVideos, found: _ClassIndex) -> Sequence[int | None]:
    """The number of each video's class; of one without a label, that of the class of its folder."""
    of_folder = {name: number for number, name in enumerate(found.classes)}
    by_folder = entries.names.by_folder(lambda name: of_folder.get(_folder_of(name)))
    if entries.labels is None:
        return list(by_folder)
    return [
        other if label is None or label == -1 else found.index[label]
        for label, other in zip(entries.labels, by_folder, strict=True)
    ]


def _unlabelled(lists: Sequence[VideoList], names_from: str) -> ResolvedClasses:
    return ResolvedClasses((), tuple([None] * len(listed.entries) for listed in lists), names_from)


def _index_by_file(
    lists: Sequence[VideoList], numbers: Sequence[int], names: Sequence[str], class_names: ClassNames
) -> _ClassIndex:
    """Classes of a file of class names. Without a base of its own, numbers from 1 to the number of classes are counted from 1."""
    count, base = len(class_names.names), class_names.base
    if base is None:
        base = int(bool(numbers) and min(numbers) >= 1 and max(numbers) == count)
    index: dict[int | str, int] = {}
    for number in numbers:
        if not base <= number < base + count:
            raise _bad_label(lists, number, f"{base} to {base + count - 1}, the classes of {class_names.file}")
        index[number] = number - base
    of_name = {name: number for number, name in enumerate(class_names.names)}
    of_name |= {name.replace("_", " "): number for name, number in of_name.items()}
    for name in names:
        position = of_name.get(name, of_name.get(name.replace("_", " ")))
        if position is None:
            raise _bad_label(lists, name, f"a class of {class_names.file}")
        index[name] = position
    return _ClassIndex(class_names.names, index, f"names from {class_names.file}")


def _index_by_number(lists: Sequence[VideoList], numbers: Sequence[int], names: Sequence[str]) -> _ClassIndex:
    """Numbered classes, named by folders if those of the training videos correspond one to one to the numbers."""
    base = 1 if min(numbers) == 1 else 0
    count = max(numbers) + 1 - base
    if count > _MOST_CLASSES_PER_LABEL * len(numbers) + 100:
        listed, entry = _first_with(lists, max(numbers))
        raise DataError(
            listed.file,
            f"{_position(listed, entry)}: label {entry.label}: found {len(numbers)} distinct labels",
            f"{count:,}",
            "check the columns",
            reason="malformed",
        )
    numbered = {number: str(number) for number in range(base, base + count)}
    texts = numbered | (_folder_names(lists) or {})
    by_folder = texts != numbered and len(set(texts.values())) == count
    if not by_folder:  # also where a folder is named like the number of another class
        texts = numbered
    classes = tuple(texts.values())
    index: dict[int | str, int] = {number: number - base for number in texts}
    of_name = {text: number - base for number, text in texts.items()}
    for name in names:  # one annotation names the classes, another numbers them
        if name not in of_name:
            raise _bad_label(lists, name, "a number as in the other annotations", "name the classes with classes=FILE")
        index[name] = of_name[name]
    names_from = "names of the folders, one for each number" if by_folder else "numbers without names"
    return _ClassIndex(classes, index, names_from + (", counted from 1" if base else ""))


def _folder_names(lists: Sequence[VideoList]) -> dict[int, str] | None:
    """Number -> folder, if each number has videos in one folder only and each folder belongs to one number; None otherwise.

    Those of the training videos count, and those of the test videos for numbers that only these have.
    """
    training, testing = (
        {
            pair
            for listed in lists
            if (listed.split == "test") is test and listed.entries.labels is not None
            for pair in set(zip(listed.entries.labels, listed.entries.names.by_folder(_folder_of), strict=True))
        }
        for test in (False, True)
    )
    trained = {label for label, _ in training}
    folders: dict[int, set[str]] = {}
    for label, folder in chain(training, (pair for pair in testing if pair[0] not in trained)):
        if isinstance(label, int):
            folders.setdefault(label, set()).add(folder)
    single = {number: next(iter(names)) for number, names in folders.items() if len(names) == 1}
    distinct = set(single.values())
    one_to_one = len(single) == len(folders) > 1 and len(distinct) == len(single) and "" not in distinct
    return single if one_to_one else None


def _index_by_name(names: Sequence[str]) -> _ClassIndex:
    classes = tuple(sorted(names))
    return _ClassIndex(classes, {name: number for number, name in enumerate(classes)}, "names, sorted")


def join_labels(listed: VideoList, labelled: VideoList) -> VideoList:
    """The entries of a list with the labels that another list has for their ids, and with its longer names if they are bare ids.

    Raises:
        DataError: none of the entries is in the other list.
    """
    by_id: dict[str, list[ListedVideo]] = {}
    for entry in labelled.entries:
        stem = strip_suffix(PurePosixPath(entry.name).name)
        keys = {stem, entry.name}
        if labelled.format == "kinetics":
            keys.add(stem[:YOUTUBE_ID_LENGTH])
        for key in keys:
            by_id.setdefault(key, []).append(entry)
    joined: list[ListedVideo] = []
    unknown = []
    for entry in listed.entries:
        matches = by_id.get(entry.name) or by_id.get(strip_suffix(PurePosixPath(entry.name).name)) or []
        if not matches:
            unknown.append(entry.name)
        named = [
            entry._replace(label=other.label, name=other.name if listed.format == "ids" else entry.name)
            for other in matches
        ]
        joined += dict.fromkeys(named)
    if not joined:
        raise DataError(
            listed.file,
            f"none of its entries, such as {unknown[0]!r}, is in {labelled.file}",
            "labels of these ids",
            "check labels=",
            reason="mismatch",
        )
    lost: tuple[str, ...] = ()
    if unknown:
        lost = (
            f"{len(unknown):,} entries of {listed.file} without a label in {labelled.file} were left out, such as {unknown[0]}",
        )
    return replace(
        listed,
        entries=ListedVideos.of(joined),
        labels=f"{labelled.file} ({labelled.labels})",
        notes=listed.notes + labelled.notes + lost,
    )


def label_by_folders(listed: VideoList) -> VideoList:
    """Take labels from class folders in the names, and splits from train/ and test/; otherwise return the list unchanged:

    <class>/x.mp4                              labels
    train/<class>/x.mp4, test/<class>/y.mp4    labels and a split (test, val or validation)
    """
    entries = listed.entries
    of_entries = list(_folders_of(entries.names))
    distinct = set(of_entries)
    shared = 0
    while (
        all(len(folders) > shared + 1 for folders in distinct) and len({folders[shared] for folders in distinct}) == 1
    ):
        shared += 1
    below = {folders: folders[shared:] for folders in distinct}
    if not all(below.values()):
        return listed
    splits: Sequence[Split | None] | None = entries.splits
    test = next((name for name in TEST_FOLDERS if any(inner[0] == name for inner in below.values())), None)
    train = next((name for name in TRAIN_FOLDERS if any(inner[0] == name for inner in below.values())), None)
    if test and train and all(inner[0] in (test, train) for inner in below.values()):
        of_folders: dict[tuple[str, ...], Split] = {
            folders: "train" if inner[0] == train else "test" for folders, inner in below.items()
        }
        given = splits or [None] * len(entries)
        splits = [split or of_folders[folders] for split, folders in zip(given, of_entries, strict=True)]
        below = {folders: inner[1:] for folders, inner in below.items()}
    if any(len(inner) != 1 for inner in below.values()) or len(set(below.values())) < 2:
        return listed
    labels = [below[folders][0] for folders in of_entries]
    return replace(listed, entries=replace(entries, labels=labels, splits=splits), labels="class folders in the paths")


def _folders_of(names: PathColumn) -> Iterator[tuple[str, ...]]:
    """The folders in each name, from the first."""
    known: dict[str, tuple[str, ...]] = {}
    for folder, name in names.parts():
        if name in ("", ".") or folder.endswith("#"):
            yield PurePosixPath(folder + name).parts[:-1]
            continue
        found = known.get(folder)
        if found is None:
            found = known[folder] = PurePosixPath(folder).parts
        yield found


def _folder_of(name: str) -> str:
    """`Class` of `a/Class/video.mp4`; empty if the name has no folder."""
    return name.rpartition("/")[0].rpartition("/")[2]


def _first_with(lists: Sequence[VideoList], label: int | str) -> tuple[VideoList, ListedVideo]:
    """The first entry with a label, and its list."""
    return next((listed, entry) for listed in lists for entry in listed.entries if entry.label == label)


def _position(listed: VideoList, entry: ListedVideo) -> str:
    return f"{'record' if listed.file.suffix.lower() == '.json' else 'line'} {entry.line}"


def _bad_label(
    lists: Sequence[VideoList], label: int | str, expected: str, advice: str = "correct the label"
) -> DataError:
    listed, entry = _first_with(lists, label)
    return DataError(
        listed.file, f"{_position(listed, entry)}: label {label!r}", expected, advice, reason="invalid_value"
    )
