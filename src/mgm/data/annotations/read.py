"""What each place of a specification holds: annotation files, folders of them, folders of videos, frames or pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.annotation_folder import annotation_files, read_split_folder, side_of
from mgm.data.annotations.class_names import ClassNames
from mgm.data.annotations.classes import join_labels, label_by_folders
from mgm.data.annotations.folders import folder_set, videos_below
from mgm.data.annotations.formats import read_annotation
from mgm.data.annotations.spec import Spec
from mgm.data.annotations.video_list import ListedVideo, Split, VideoList
from mgm.data.clips.images import are_frames, is_picture, picture_folders
from mgm.data.items import VideoItem, VideoSet
from mgm.errors import DataError, VideoError
from mgm.video.scan.scan import VIDEO_SUFFIXES

FOLDER_FORMATS = ("frames", "pictures")

Sided = tuple[VideoList, Split | None]
"""An annotation, and the side that its key or its file's name gives to all of it."""


def read_spec(spec: Spec) -> tuple[list[Sided], ClassNames | None]:
    """Every annotation of a specification but its still pictures, and the names of the classes where a file beside them has any."""
    names: ClassNames | None = None
    read: list[Sided] = []
    keys: tuple[tuple[tuple[str, ...], Split | None], ...] = (
        (spec.data, None), (spec.train, "train"), (spec.test, "test"),
    )  # fmt: skip
    for places, side in keys:
        for place in places:
            for listing, own, named in _read_place(place, spec):
                names = names or named
                read.append((_of_side(listing, side) if side else listing, side or own))
    return _with_labels(read, spec), names


def _read_place(given: str, spec: Spec) -> Iterator[tuple[VideoList, Split | None, ClassNames | None]]:
    """The annotations of a file, folder or URL, each with the side that its name tells."""
    from mgm.data.shards.index import is_shards, shard_set  # which knows what a set is

    place = Path(given)
    if is_shards(given):
        packed = shard_set(given)
        yield _packed(place, packed), None, ClassNames(place, packed.classes, None) if packed.classes else None
    elif place.is_dir():
        if (listing := _folder_listing(place, spec.format)) is not None:
            yield listing, None, None
            return
        forced = None if spec.format in FOLDER_FORMATS else spec.format
        found = read_split_folder(place, split=spec.split, forced=forced)
        if found is None:
            listed = ", ".join(p.name for p in annotation_files(place)[:4])
            hint = f"; it has {listed}: give the one you mean" if listed else ""
            try:
                videos_below(place)
            except VideoError as error:
                raise VideoError(f"{error}{hint}") from None
            raise DataError(f"{place}: holds no set, expected videos, pictures or annotations{hint}")
        for listing, side in found.listings:
            yield listing, side, found.names
    elif not place.exists():
        raise DataError(f"{place}: no such file or folder, expected videos or annotations; check the path")
    elif place.suffix.lower() in VIDEO_SUFFIXES or is_picture(str(place)):
        yield VideoList(place, "file", "one file", (ListedVideo(str(place)),), "none"), None, None
    else:
        yield read_annotation(AnnotationFile(place), spec.format), side_of(place), None


def _packed(place: Path, found: VideoSet) -> VideoList:
    """A set in shards as entries: its sides and classes are those of the set that was packed."""
    sides: tuple[tuple[tuple[VideoItem, ...], Split], ...] = ((found.train, "train"), (found.test, "test"))
    entries = tuple(
        ListedVideo(item.path, None if item.label is None else found.classes[item.label], item.start, item.end, side)
        for items, side in sides
        for item in items
    )
    labels = "those of the set that was packed" if found.classes else "none"
    return VideoList(
        place, "folder of shards", "shards.json, as 'mgm pack' writes it", entries, labels, (), found.split
    )


def _folder_listing(folder: Path, forced: str | None) -> VideoList | None:
    """A folder of videos, of folders of frames, or of pictures; None where it holds none of them."""
    if forced not in FOLDER_FORMATS:
        try:
            return _as_listing(folder, folder_set(folder), "videos")
        except VideoError:
            if annotation_files(folder):
                return None
    folders = picture_folders(folder)
    if not folders:
        return None
    framed = [path for path, names in folders.items() if are_frames(names)]
    if forced is None and framed and len(framed) < len(folders):
        other = next(path for path in folders if path not in set(framed))
        raise DataError(
            f"{folder}: ambiguous: {framed[0]} holds numbered frames and {other} other pictures; say which with format=frames or "
            "format=pictures"
        )
    if forced == "frames" or (forced is None and framed):

        def find(below: Path) -> list[Path]:
            return [path for path in folders if path.is_relative_to(below)]

        return _as_listing(folder, folder_set(folder, find), "folders of frames")

    def find_pictures(below: Path) -> list[Path]:
        return [path / name for path, names in folders.items() if path.is_relative_to(below) for name in names]

    return _as_listing(folder, folder_set(folder, find_pictures), "pictures")


def _as_listing(folder: Path, found: VideoSet, what: str) -> VideoList:
    """A folder's set as entries, whose paths need no looking up."""
    sides: tuple[tuple[tuple[VideoItem, ...], Split | None], ...] = (
        (found.train, "train" if found.test else None),
        (found.test, "test"),
    )
    entries = tuple(
        ListedVideo(item.path, None if item.label is None else found.classes[item.label], side=side)
        for items, side in sides
        for item in items
    )
    labels = "class folders" if found.classes else "none"
    note = _unused_lists(folder)
    why = "class folders" if found.classes else "no class folders"
    return VideoList(folder, f"folder of {what}", why, entries, labels, note, found.split)


def _unused_lists(folder: Path) -> tuple[str, ...]:
    lists = [p.name for p in annotation_files(folder) if side_of(p) is not None]
    if not lists:
        return ()
    return (
        f"{folder}: has {', '.join(lists[:4])} too, which were not read: give them as train=FILE,test=FILE to use them",
    )


def _of_side(listing: VideoList, side: Split) -> VideoList:
    """The entries of a place that was given for one side: those that its own split puts there; all of a folder, and where it puts
    none there."""
    wanted = ("train",) if side == "train" else ("val", "test")
    own = [entry for entry in listing.entries if entry.side in wanted]
    entries = listing.entries if listing.format.startswith("folder") or not own else tuple(own)
    return replace(listing, entries=tuple(replace(e, side=None) if e.side else e for e in entries))


def _with_labels(read: list[tuple[VideoList, Split | None]], spec: Spec) -> list[tuple[VideoList, Split | None]]:
    """Labels from `labels=`, and where nothing else has any from the folders in the paths."""
    if spec.labels is not None:
        labelled = read_annotation(AnnotationFile(Path(spec.labels)), None)
        if labelled.labels == "none":
            raise DataError(
                f"labels={spec.labels}: has no labels ({labelled.why}), expected an annotation that has them"
            )
        read = [(join_labels(found, labelled) if found.labels == "none" else found, side) for found, side in read]
    if any(found.labels != "none" for found, _ in read):
        return read
    return [(label_by_folders(found) if found.format in ("paths", "manifest") else found, side) for found, side in read]
