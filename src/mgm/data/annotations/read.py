"""Reads each place of a specification: annotation files, folders of them, folders of videos, frames or pictures, and shards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.annotation_folder import annotation_files, read_annotation_folder, split_of_name
from mgm.data.annotations.class_names import ClassNames
from mgm.data.annotations.classes import join_labels, label_by_folders
from mgm.data.annotations.folders import read_folder, videos_below
from mgm.data.annotations.formats import PICTURE_FORMATS, check_format, read_annotation
from mgm.data.annotations.spec import SetSpec
from mgm.data.annotations.video_list import ListedVideo, ListedVideos, Split, VideoList
from mgm.data.clips.images import is_picture, picture_folders
from mgm.data.items import VideoItem
from mgm.data.shards.index import is_shards, load_shards
from mgm.errors import DataError, VideoError
from mgm.files.path_column import PathColumn
from mgm.video.scan.suffixes import VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True)
class Annotations:
    """The videos that a place or a whole specification lists.

    Attributes:
        lists: one for each annotation file or folder.
        class_names: class names from a file beside them; None if there is none.
    """

    lists: tuple[VideoList, ...]
    class_names: ClassNames | None = None


def read_spec(spec: SetSpec) -> Annotations:
    """Read all places of a specification, except its still pictures, with the labels of `labels=` or of folders in the paths."""
    check_format(spec.format)  # folders of videos have no use for it
    keys: tuple[tuple[tuple[str, ...], Split | None], ...] = (
        (spec.data, None), (spec.train, "train"), (spec.test, "test"),
    )  # fmt: skip
    lists: list[VideoList] = []
    class_names: ClassNames | None = None
    for places, split in keys:
        for place in places:
            with _permissions(place):
                found = _read_place(place, spec)
            for listed in found.lists:
                _check_entries(listed)
                lists.append(_restricted_to(listed, split) if split else listed)
            class_names = class_names or found.class_names
    return Annotations(tuple(_with_labels(lists, spec)), class_names)


def read_pictures(place: str) -> VideoList:
    """Read still pictures of `images=`: a folder, a picture, or a list of pictures. Their labels are not used.

    Raises:
        DataError: the path does not exist, or contains no pictures.
    """
    with _permissions(place):
        return _read_pictures(Path(place), f"images={place}")


def _read_pictures(path: Path, subject: str) -> VideoList:
    if not path.exists():
        raise no_such_path(subject, "pictures or a list of pictures")
    if not (path.is_dir() or is_picture(str(path))):
        return replace(read_annotation(AnnotationFile(path)), labels="not used", split="train")
    folders = {path.parent: [path.name]} if is_picture(str(path)) else picture_folders(path)
    names = [str(folder / name) for folder, names in folders.items() for name in names]
    if not names:
        raise DataError(
            subject, "no pictures found", ".jpg, .png or similar files", "check the folder", reason="not_found"
        )
    entries = ListedVideos(PathColumn(names))
    return VideoList(path, "pictures", "given as images=", entries, "not used", split="train", located=True)


@contextmanager
def _permissions(place: str) -> Iterator[None]:
    """Make a refusal of the system an error about the place."""
    try:
        yield
    except OSError as error:
        raise DataError.cannot_read(place, error) from error


def no_such_path(subject: object, expected: str) -> DataError:
    """The error of a path that does not exist."""
    return DataError(subject, "no such file or folder", expected, "check the path", reason="not_found")


def _read_place(given: str, spec: SetSpec) -> Annotations:
    """Read a file, folder or URL; each list has the split that its file's name gives."""
    place = Path(given)
    if is_shards(given):
        return _read_shards(given)
    if place.is_dir():
        return _read_directory(place, spec)
    if not place.exists():
        raise no_such_path(place, "videos or annotations")
    if place.suffix.lower() in VIDEO_SUFFIXES or is_picture(str(place)):
        entries = ListedVideos(PathColumn([str(place)]))
        return Annotations((VideoList(place, "file", "one file", entries, "none", located=True),))
    listed = read_annotation(AnnotationFile(place), spec.format)
    return Annotations((replace(listed, split=split_of_name(place)),))


def _read_directory(folder: Path, spec: SetSpec) -> Annotations:
    if (listed := read_folder(folder, spec.format)) is not None:
        return Annotations((listed,))
    format_name = None if spec.format in PICTURE_FORMATS else spec.format
    found = read_annotation_folder(folder, split_number=spec.split, format_name=format_name)
    if found is not None:
        return Annotations(found.lists, found.class_names)
    names = ", ".join(p.name for p in annotation_files(folder)[:4])
    advice = f"give one of its files: {names}" if names else ""
    try:
        videos_below(folder)
    except VideoError as error:
        raise VideoError(
            error.subject, error.found, error.expected, advice or error.advice, reason=error.reason
        ) from None
    raise DataError(folder, "no set found", "videos, pictures or annotations", advice, reason="not_found")


def _read_shards(place: str) -> Annotations:
    """Read a set in shards; its splits and classes are those of the set that was packed."""
    packed = load_shards(place)
    splits: tuple[tuple[Sequence[VideoItem], Split], ...] = ((packed.train, "train"), (packed.test, "test"))
    entries = ListedVideos.of(
        ListedVideo(item.path, None if item.label is None else packed.classes[item.label], item.start, item.end, split)
        for items, split in splits
        for item in items
    )
    labels = "those of the set that was packed" if packed.classes else "none"
    why = "shards.json, as 'mgm pack' writes it"
    path = Path(place)
    listed = VideoList(path, "folder of shards", why, entries, labels, located=True, split_rule=packed.split_rule)
    return Annotations((listed,), ClassNames(path, packed.classes, None) if packed.classes else None)


def _check_entries(listed: VideoList) -> None:
    """Raise DataError if a list has no entries, or contains text that is not valid Unicode, as JSON and NumPy allow."""
    if not listed.entries:
        found = "; ".join(("lists no videos", *listed.notes))
        raise DataError(listed.file, found, "at least one", "write it again", reason="empty")
    labels = set(listed.entries.labels or ())
    if not listed.entries.names.may_match(_NO_TEXT) and not any(_NO_TEXT.search(_bytes_of(label)) for label in labels):
        return
    for entry in listed.entries:
        if _NO_TEXT.search(_bytes_of(entry.name)) or _NO_TEXT.search(_bytes_of(entry.label)):
            found = f"entry {entry.line}: {entry.name!a}, {entry.label!a}"
            raise DataError(listed.file, found, "text in Unicode", "correct the entry", reason="malformed")


_NO_TEXT = re.compile(rb"\xed[\xa0-\xb1\xb4-\xbf]")
"""The UTF-8 of a surrogate, except those by which Python's paths have bytes that are not UTF-8."""


def _bytes_of(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _restricted_to(listed: VideoList, split: Split) -> VideoList:
    """The list of a place that was given as train= or test=: the entries of that split, or all entries of a folder, or of a list
    that has none of that split."""
    wanted = ("train",) if split == "train" else ("val", "test")
    entries = listed.entries
    own = [row for row, of_entry in enumerate(entries.splits or ()) if of_entry in wanted]
    if own and not listed.located:
        entries = entries.take(own)
    return replace(listed, entries=replace(entries, splits=None), split=split)


def _with_labels(lists: list[VideoList], spec: SetSpec) -> list[VideoList]:
    """Add labels from `labels=`, and from folders in the paths if no list has labels."""
    if spec.labels is not None:
        labelled = read_annotation(AnnotationFile(Path(spec.labels)))
        if labelled.labels == "none":
            raise DataError(
                f"labels={spec.labels}",
                f"no labels found ({labelled.why})",
                "an annotation with labels",
                reason="missing_value",
            )
        lists = [join_labels(listed, labelled) if listed.labels == "none" else listed for listed in lists]
    if any(listed.labels != "none" for listed in lists):
        return lists
    return [label_by_folders(listed) if listed.format in ("paths", "manifest") else listed for listed in lists]
