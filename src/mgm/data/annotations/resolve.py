"""Resolves a specification to a set: reads every place, resolves the classes, locates the files, divides into train and test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.annotation_folder import ANNOTATION_SUFFIXES
from mgm.data.annotations.class_names import read_class_names
from mgm.data.annotations.classes import ResolvedClasses, resolve_classes
from mgm.data.annotations.locate import FileLocator, LocatedNames, suggest_location
from mgm.data.annotations.read import read_pictures, read_spec
from mgm.data.annotations.same_file import RealPaths, conflicting_labels
from mgm.data.annotations.spec import SetSpec, SetSpecLike, parse_spec
from mgm.data.annotations.splits import divide_set
from mgm.data.annotations.video_list import VideoList
from mgm.data.items import VideoItem, VideoItems, VideoSet, evenly_spaced
from mgm.errors import DataError
from mgm.files.path_column import PathColumn
from mgm.video.container.locator import is_url

_MOST_MISSING = 0.5
"""Share of the listed files that may be missing. Above it, the root is more likely wrong than the copy incomplete."""


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """One file or folder of a set, resolved.

    Attributes:
        listed: its format and its entries.
        root: folder that its names start from; "" if they are whole paths.
        missing: names that are not on disk.
        advice: how the missing files could be found; "" if nothing is missing or nothing was found.
    """

    listed: VideoList
    root: str = ""
    missing: tuple[str, ...] = ()
    advice: str = ""

    @property
    def note(self) -> str | None:
        """One line on the missing files; None if nothing is missing."""
        return missing_files(self).line if self.missing else None


def missing_files(source: ResolvedSource, advice: str = "") -> DataError:
    """The error of listed files that are not on disk.

    Args:
        advice: follows the advice of the source.
    """
    below = f" below {source.root}" if source.root else ""
    return DataError(
        source.listed.file,
        f"{len(source.missing):,} of {len(source.listed.entries):,} listed files are missing{below}, such as "
        f"{source.missing[0]}",
        advice="; ".join(part for part in (source.advice, advice) if part),
        reason="not_found",
    )


@dataclass(frozen=True, slots=True)
class ResolvedSet:
    """A set, and how its specification was resolved.

    Attributes:
        spec: the specification.
        sources: the files and folders of the set, still pictures last.
        listed: the set as listed; missing files keep their names as written.
        pictures: the still pictures of `images=` that are on disk.
        absent: the paths in `listed` that are not on disk.
        names_from: source of the class names, in words.
        renamed: (listed name, path) of files found under another suffix.
        real: path of an item -> the file that it names.
        conflicting: path -> labels, of files that are listed with several.
    """

    spec: SetSpec
    sources: tuple[ResolvedSource, ...]
    listed: VideoSet
    pictures: VideoItems
    absent: frozenset[str]
    names_from: str
    renamed: tuple[tuple[str, str], ...]
    real: RealPaths
    conflicting: Mapping[str, tuple[int, ...]]

    @property
    def videos(self) -> VideoSet:
        """The set without missing files, its training items mixed with the pictures."""
        train, test = VideoItems.of(self.listed.train), VideoItems.of(self.listed.test)
        missing = tuple(test.where(test.paths.among(self.absent)).paths)
        train, test = (items.where(~items.paths.among(self.absent)) for items in (train, test))
        notes = (*self.listed.notes, *(source.note for source in self.sources if source.note is not None))
        mixed = mix_pictures(train, self.pictures, self.spec.ratio)
        return replace(self.listed, train=mixed, test=test, notes=notes, missing=missing)


def load_set(spec: SetSpecLike) -> VideoSet:
    """Load the set that a folder, an annotation file, or several of them describe.

    Args:
        spec: a path, `key=value,...` parts, a mapping of the same keys, or a YAML file of them; see `parse_spec` and
            docs/data.md. Folders are read by their layout (`mgm.data.annotations.folders`), annotation files by their content
            (`ANNOTATION_FORMATS`); shards of `mgm pack`, in a folder or at a URL, are a set too.

    Listed files that are missing are left out and counted in `VideoSet.notes`.

    Raises:
        DataError: the path does not exist, the format is unknown or ambiguous, a line does not fit it (the error has its number),
            labels are not valid, or more files are missing than `missing` allows. VideoError: a folder without videos.
    """
    found = resolve_set(spec, search_missing=False)
    if _find_incomplete(found) is not None:
        found = resolve_set(spec)
        source = _find_incomplete(found)
        if source is not None:
            partly = len(source.missing) < len(source.listed.entries) and found.spec.missing is None
            skip = "check root=, or leave them out with missing=skip; " if partly else ""
            raise missing_files(source, f"{skip}see 'mgm data show'")
    return found.videos


def load_items(given: str) -> list[VideoItem]:
    """The videos of a folder, an annotation file or a specification, sorted by path; anything else is one video.

    Raises:
        DataError, VideoError: as `load_set`.
    """
    place, parts = Path(given), "=" in given and not is_url(given)  # which may have a query
    described = place.is_dir() or parts or place.suffix.lower() in (*ANNOTATION_SUFFIXES, ".yaml", ".yml")
    return sorted(load_set(given).items, key=lambda item: item.path) if described else [VideoItem(given)]


def resolve_set(given: SetSpecLike, *, search_missing: bool = True) -> ResolvedSet:
    """As `load_set`, with the way in which the set was resolved; missing files are not an error.

    Args:
        search_missing: search all folders below the root for missing files, for advice.
    """
    spec = parse_spec(given)
    read = read_spec(spec)
    class_names = read.class_names if spec.classes is None else read_class_names(AnnotationFile(Path(spec.classes)))
    resolved = resolve_classes(read.lists, class_names)
    locator = FileLocator(None if spec.root is None else Path(spec.root))
    sources, items = _locate_items(read.lists, resolved, locator, search_missing=search_missing)
    splits = [
        split or listed.split
        for listed in read.lists
        for split in listed.entries.splits or repeat(None, len(listed.entries))
    ]
    listed = divide_set(spec.text, read.lists, items, splits, resolved.classes, spec.test_split)
    pictures, picture_sources = _locate_pictures(spec, locator, search_missing=search_missing)
    sources += picture_sources
    locator.forget_folders()
    real = RealPaths()
    conflicting = conflicting_labels(listed.items, real)
    notes = (
        *listed.notes,
        *(note for source in sources for note in source.listed.notes),
        *locator.notes,
        *_describe_conflicts(conflicting, listed.classes),
    )
    return ResolvedSet(
        spec=spec,
        sources=tuple(sources),
        listed=replace(listed, notes=notes),
        pictures=pictures,
        absent=frozenset(name for source in sources for name in source.missing),
        names_from=resolved.names_from,
        renamed=tuple(locator.renamed),
        real=real,
        conflicting=conflicting,
    )


def _describe_conflicts(conflicting: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> tuple[str, ...]:
    """One line on files with several labels; empty if there are none."""
    if not conflicting:
        return ()
    path, labels = next(iter(conflicting.items()))
    names = " and ".join(classes[label] for label in labels[:3])
    files = "1 file is" if len(conflicting) == 1 else f"{len(conflicting):,} files are"
    return (f"{files} listed with more than one label, such as {path} as {names}: correct them",)


def _locate_items(
    lists: Sequence[VideoList], resolved: ResolvedClasses, locator: FileLocator, *, search_missing: bool
) -> tuple[list[ResolvedSource], VideoItems]:
    sources, paths = _locate(lists, locator, search_missing=search_missing)
    starts = chain.from_iterable(listed.entries.starts or repeat(0, len(listed.entries)) for listed in lists)
    ends = chain.from_iterable(listed.entries.ends or repeat(None, len(listed.entries)) for listed in lists)
    return sources, VideoItems(paths, chain.from_iterable(resolved.labels), starts, ends)


def _locate_pictures(
    spec: SetSpec, locator: FileLocator, *, search_missing: bool
) -> tuple[VideoItems, list[ResolvedSource]]:
    """The still pictures beside the videos, without labels."""
    sources, paths = _locate([read_pictures(place) for place in spec.images], locator, search_missing=search_missing)
    missing = {name for source in sources for name in source.missing}
    return VideoItems(paths, [None] * len(paths)).where(~paths.among(missing)), sources


def _locate(
    lists: Sequence[VideoList], locator: FileLocator, *, search_missing: bool
) -> tuple[list[ResolvedSource], PathColumn]:
    """Locate the entries of lists: their sources, and the path of each entry; missing ones keep their names."""
    sources, paths = [], PathColumn()
    for listed in lists:
        found = LocatedNames(listed.entries.names, ()) if listed.located else locator.locate(listed)
        root = "" if listed.located else locator.roots[listed.file]
        advice = suggest_location(locator, listed, found.missing) if found.missing and search_missing else ""
        sources.append(ResolvedSource(listed, root, found.missing, advice))
        paths = paths.joined(found.paths) if paths else found.paths
    return sources, paths


def _find_incomplete(found: ResolvedSet) -> ResolvedSource | None:
    """The first source with more missing files than the specification allows, or with all files missing."""
    allowed = {"skip": 1.0, "error": 0.0, None: _MOST_MISSING}[found.spec.missing]
    for source in found.sources:
        missing, listed = len(source.missing), len(source.listed.entries)
        if missing and (missing > allowed * listed or missing == listed):
            return source
    return None


def mix_pictures(videos: Iterable[VideoItem], pictures: Iterable[VideoItem], ratio: float | None) -> VideoItems:
    """Mix still pictures with videos, as in joint training (OmniMAE, Girdhar et al. 2023): videos first, then pictures.

    With a ratio, pictures are that share of all items: the kind that would be too few is repeated, the last time in part, at even
    distances; an epoch contains every item of the other kind once. Each repetition is a sample of its own: another clip, another
    crop.
    """
    moving, still = VideoItems.of(videos), VideoItems.of(pictures)
    if ratio is None or not moving or not still:
        return moving + still
    if len(still) < ratio * (len(moving) + len(still)):
        return moving + _repeated(still, round(len(moving) * ratio / (1 - ratio)))
    return _repeated(moving, round(len(still) * (1 - ratio) / ratio)) + still


def _repeated(items: VideoItems, count: int) -> VideoItems:
    """`count` items: all of them as often as possible, then a part."""
    whole, rest = divmod(max(count, 1), len(items))
    return items * whole + items.take(evenly_spaced(range(len(items)), rest))
