"""From what was asked for to a set: every place read, labels agreed on, files looked up, sides chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.class_names import read_class_names
from mgm.data.annotations.classes import ResolvedClasses, resolve_classes
from mgm.data.annotations.formats import read_annotation
from mgm.data.annotations.locate import FileLocator, where_instead
from mgm.data.annotations.read import Sided, read_spec
from mgm.data.annotations.spec import Spec, SpecLike, parse_spec
from mgm.data.annotations.splits import Placed, divide
from mgm.data.annotations.video_list import ListedVideo, Split, VideoList
from mgm.data.clips.images import is_picture, picture_folders
from mgm.data.items import VideoItem, VideoSet, evenly_spaced
from mgm.errors import DataError

MOST_MISSING = 0.5
"""Share of the listed files that may be missing: above it the root is more likely wrong than the copy incomplete."""


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """One file or folder of a set, as it was understood.

    Attributes:
        listing: its format, what told it, its entries.
        side: the side that its key or its name gives to all of it.
        root: what its names start from; empty where they are whole paths.
        missing: names that are not on disk.
        hint: what would find them.
    """

    listing: VideoList
    side: Split | None
    root: str = ""
    missing: tuple[str, ...] = ()
    hint: str | None = None

    @property
    def note(self) -> str | None:
        """One line on what is missing."""
        if not self.missing:
            return None
        below = f" below {self.root}" if self.root else ""
        return (
            f"{self.listing.file}: {len(self.missing):,} of {len(self.listing.entries):,} listed files are not there{below}, "
            f"such as {self.missing[0]}" + (f"; {self.hint}" if self.hint else "")
        )


@dataclass(frozen=True, slots=True)
class ResolvedSet:
    """A set, and how it was understood.

    Attributes:
        spec: what was asked for.
        sources: the files and folders that it is made of, still pictures last.
        listed: the set as the annotations have it, with the names of missing files as they are written.
        pictures: still pictures of `images=` that are there.
        absent: the paths in `listed` that are not on disk.
        names: where the names of the classes are from.
        renamed: (listed name, path) of files found under another suffix.
    """

    spec: Spec
    sources: tuple[ResolvedSource, ...]
    listed: VideoSet
    pictures: tuple[VideoItem, ...]
    absent: frozenset[str]
    names: str
    renamed: tuple[tuple[str, str], ...]

    @property
    def videos(self) -> VideoSet:
        """The set of what is there, its train side mixed with the pictures."""
        train, test = self.listed.train, self.listed.test
        if self.absent:
            train, test = (tuple(item for item in side if item.path not in self.absent) for side in (train, test))
        notes = (*self.listed.notes, *(source.note for source in self.sources if source.note is not None))
        return replace(self.listed, train=mix(train, self.pictures, self.spec.ratio), test=test, notes=notes)


def load_set(spec: SpecLike) -> VideoSet:
    """The set that a folder, an annotation file, or several of them describe.

    Args:
        spec: a path, `key=value,...` parts, a mapping of the same keys, or a YAML file of them; see `parse_spec` and
            docs/data.md. A folder of videos is understood as `folder_set` says, an annotation file by its content (`FORMATS`);
            shards of `mgm pack` are a set, too, in a folder or at a URL.

    Files that are listed but not there are left out and counted in `VideoSet.notes`.

    Raises:
        DataError: nothing there, a format that is unknown or ambiguous, a line that does not fit it (named), labels that cannot be,
            or more missing files than `missing` allows. VideoError: a folder without videos.
    """
    found = resolve_set(spec, hints=False)
    if _too_few(found):
        _refuse_missing(resolve_set(spec))
    return found.videos


def resolve_set(given: SpecLike, *, hints: bool = True) -> ResolvedSet:
    """As `load_set`, with how the set was understood; missing files are no error here.

    Args:
        hints: look for what would find missing files, through every folder below the root.
    """
    spec = parse_spec(given)
    read, named = read_spec(spec)
    labels = resolve_classes(
        read, read_class_names(AnnotationFile(Path(spec.classes))) if spec.classes is not None else named
    )
    places = FileLocator(None if spec.root is None else Path(spec.root))
    sources, items = _look_up(read, labels, places, hints=hints)
    listed = divide(spec, read, items, labels.classes)
    pictures, picture_sources = _pictures(spec, places, hints=hints)
    read_notes = (note for source in sources for note in source.listing.notes)
    return ResolvedSet(
        spec=spec,
        sources=(*sources, *picture_sources),
        listed=replace(listed, notes=(*listed.notes, *read_notes, *_several_note(places))),
        pictures=pictures,
        absent=frozenset(name for source in sources for name in source.missing),
        names=labels.names,
        renamed=tuple(places.renamed),
    )


def _look_up(
    read: Sequence[Sided], labels: ResolvedClasses, places: FileLocator, *, hints: bool
) -> tuple[list[ResolvedSource], list[Placed]]:
    sources: list[ResolvedSource] = []
    items: list[Placed] = []
    for (listing, side), numbers in zip(read, labels.numbers, strict=True):
        known = listing.format.startswith("folder") or listing.format == "file"
        paths = [entry.name for entry in listing.entries] if known else places.resolve(listing)
        missing = []
        for entry, path, number in zip(listing.entries, paths, numbers, strict=True):
            if path is None:
                missing.append(entry.name)
            items.append((entry.side or side, VideoItem(path or entry.name, number, entry.start, entry.end)))
        hint = where_instead(places, listing, missing) if missing and hints else None
        sources.append(ResolvedSource(listing, side, places.roots.get(listing.file, ""), tuple(missing), hint))
    return sources, items


def _several_note(places: FileLocator) -> tuple[str, ...]:
    if not places.several:
        return ()
    name, paths = places.several[0]
    return (
        f"{len(places.several):,} names fit several files and the first is taken, such as {', '.join(paths[:3])} for {name}; "
        "narrow it down with root=",
    )


def _pictures(spec: Spec, places: FileLocator, *, hints: bool) -> tuple[tuple[VideoItem, ...], list[ResolvedSource]]:
    """Still pictures beside the videos, without labels."""
    items: list[VideoItem] = []
    sources = []
    for place in spec.images:
        path = Path(place)
        if not path.exists():
            raise DataError(
                f"images={place}: no such file or folder, expected pictures or a list of them; check the path"
            )
        if path.is_dir() or is_picture(place):
            folders = {path.parent: [path.name]} if is_picture(place) else picture_folders(path)
            found = [str(folder / name) for folder, names in folders.items() for name in names]
            if not found:
                raise DataError(f"images={place}: no picture found, expected .jpg, .png or the like; check the folder")
            listing = VideoList(path, "pictures", "given as images=", tuple(map(ListedVideo, found)), "not looked at")
            sources.append(ResolvedSource(listing, "train"))
            items += map(VideoItem, found)
            continue
        listing = replace(read_annotation(AnnotationFile(path), None), labels="not looked at")
        paths = places.resolve(listing)
        missing = tuple(e.name for e, p in zip(listing.entries, paths, strict=True) if p is None)
        hint = where_instead(places, listing, missing) if missing and hints else None
        sources.append(ResolvedSource(listing, "train", places.roots[path], missing, hint))
        items += [VideoItem(p) for p in paths if p is not None]
    return tuple(items), sources


def _too_few(found: ResolvedSet) -> list[ResolvedSource]:
    """The annotations of which more files are missing than the specification allows, or all."""
    allowed = {"skip": 1.0, "error": 0.0, None: MOST_MISSING}[found.spec.missing]
    return [
        source
        for source in found.sources
        if (count := len(source.missing))
        and (count > allowed * (listed := len(source.listing.entries)) or count == listed)
    ]


def _refuse_missing(found: ResolvedSet) -> NoReturn:
    source = _too_few(found)[0]
    partly = len(source.missing) < len(source.listing.entries) and found.spec.missing is None
    skip = "check root=, or leave them out with missing=skip; " if partly else ""
    raise DataError(f"{source.note}; {skip}'mgm data show' tells more")


Items = tuple[VideoItem, ...]


def mix(videos: Items, pictures: Items, ratio: float | None) -> Items:
    """Videos, then pictures. With a ratio, pictures are that share of the whole: the kind that would be too few is repeated, the
    last time around in part, evenly spread; an epoch goes once through the other kind. Each repetition is a sample of its own:
    another clip, another crop."""
    if ratio is None or not videos or not pictures:
        return videos + pictures
    if len(pictures) < ratio * (len(videos) + len(pictures)):
        return videos + repeat(pictures, round(len(videos) * ratio / (1 - ratio)))
    return repeat(videos, round(len(pictures) * (1 - ratio) / ratio)) + pictures


def repeat(items: Items, count: int) -> Items:
    """`count` items: all of them as often as they fit, then a part."""
    whole, rest = divmod(max(count, 1), len(items))
    return items * whole + tuple(evenly_spaced(items, rest))
