"""Table formats: CSV and parquet with named columns, lists of JSON objects, and manifests of `mgm scan`."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterator

from mgm.data.annotations.annotation_file import (
    END_COLUMNS,
    LABEL_COLUMNS,
    NAME_COLUMNS,
    SPLIT_COLUMNS,
    START_COLUMNS,
    AnnotationFile,
    Row,
)
from mgm.data.annotations.video_list import ListedVideo, ListedVideos, Split, VideoList
from mgm.data.labels import read_label, whole_number
from mgm.data.shards.members import parse_member
from mgm.errors import DataError
from mgm.video.scan.manifest import read_statuses
from mgm.video.scan.record import READABLE

_SPLIT_OF_WORD: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


# Kinetics


def is_kinetics(file: AnnotationFile) -> bool:
    """Whether the file is a table with youtube_id, time_start and time_end."""
    return {"youtube_id", "time_start", "time_end"} <= set(file.columns)


def read_kinetics(file: AnnotationFile) -> VideoList:
    """`label,youtube_id,time_start,time_end,split` (Kinetics). The video's name is id_start_end, seconds in six digits."""

    def entries() -> Iterator[ListedVideo]:
        for number, row in file.rows():
            begin, end = (_seconds(file, number, row, key) for key in ("time_start", "time_end"))
            name = f"{_name(file, number, row, 'youtube_id')}_{begin:06d}_{end:06d}"
            label = None if row.get("label") in (None, "") else _label(file, number, row, "label")
            yield ListedVideo(name, label, split=_split(file, number, row), line=number)

    labels = "column label" if "label" in file.columns else "none"
    why = "a table with youtube_id, time_start and time_end"
    return VideoList(file.path, "kinetics", why, ListedVideos.of(entries()), labels)


# Something-Something


def is_templates(file: AnnotationFile) -> bool:
    """Whether the file contains JSON objects with an id and a template, or an id alone."""
    keys = set(file.columns)
    return file.tree is not None and "id" in keys and ("template" in keys or keys == {"id"})


def read_templates(file: AnnotationFile) -> VideoList:
    """`[{"id", "label", "template", "placeholders"}]` (Something-Something V2). The class is the template without brackets."""

    def entries() -> Iterator[ListedVideo]:
        for number, row in file.rows():
            template = row.get("template")
            label = template.replace("[", "").replace("]", "") if isinstance(template, str) else None
            yield ListedVideo(_name(file, number, row, "id"), label, line=number)

    found = ListedVideos.of(entries())
    labelled = found.labels is not None
    why = "JSON objects with an id and a template" if labelled else "JSON objects with an id alone"
    labels = "templates, without their brackets" if labelled else "none"
    return VideoList(file.path, "templates", why, found, labels)


# Other tables


def is_table(file: AnnotationFile) -> bool:
    """Whether the file has a column that names the video, with or without a label, and is not one of the other tables."""
    names = set(file.columns)
    special = is_kinetics(file) or is_templates(file) or {"bytes", "status"} <= names
    return not special and bool(names & set(NAME_COLUMNS))


def read_table(file: AnnotationFile) -> VideoList:
    """A table whose columns or keys name the video (`path`, `video`, `vid_name`, ...) and, optionally, its label, its split and
    its part, `start_frame` and `end_frame` (Diving48's JSON, other people's tables)."""
    columns = file.columns
    name_key = next(key for key in NAME_COLUMNS if key in columns)
    label_key = next((key for key in LABEL_COLUMNS if key in columns), None)
    start_key, end_key = (next((k for k in keys if k in columns), None) for keys in (START_COLUMNS, END_COLUMNS))

    def entries() -> Iterator[ListedVideo]:
        for number, row in file.rows():
            start = _frame(file, number, row, start_key) or 0
            end = _frame(file, number, row, end_key)
            if end is not None and end <= start:
                raise file.bad_entry(number, f"frames {start} to {end}", "an end after the start")
            name = _name(file, number, row, name_key)
            label = None if label_key is None else _label(file, number, row, label_key)
            yield ListedVideo(name, label, start, end, _split(file, number, row), number)

    kind = "JSON objects with the keys" if file.tree is not None else "columns"
    why = f"{kind} {', '.join(key for key in (name_key, label_key, start_key, end_key) if key is not None)}"
    labels = "none" if label_key is None else f"{label_key} of each row"
    return VideoList(file.path, "table", why, ListedVideos.of(entries()), labels)


def _name(file: AnnotationFile, number: int, row: Row, key: str) -> str:
    value = row.get(key)
    name = value if isinstance(value, str) else whole_number(value)
    if name in (None, ""):
        raise _bad_value(file, number, row, key, "a path or an id")
    return str(name)


def _label(file: AnnotationFile, number: int, row: Row, key: str) -> int | str:
    label = read_label(row.get(key))
    if label is None:
        raise _bad_value(file, number, row, key, "a whole number or a name")
    return label


def _seconds(file: AnnotationFile, number: int, row: Row, key: str) -> int:
    try:
        return round(float(row[key]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _bad_value(file, number, row, key, "seconds") from error


def _frame(file: AnnotationFile, number: int, row: Row, key: str | None) -> int | None:
    if key is None or row.get(key) in (None, ""):
        return None
    frame = whole_number(row[key])
    if frame is None or frame < 0:
        raise _bad_value(file, number, row, key, "a frame number, 0 or more")
    return frame


def _split(file: AnnotationFile, number: int, row: Row) -> Split | None:
    key = next((key for key in SPLIT_COLUMNS if key in row), None)
    if key is None or row[key] in (None, ""):
        return None
    word = row[key].strip().lower() if isinstance(row[key], str) else ""
    if word not in _SPLIT_OF_WORD:
        raise _bad_value(file, number, row, key, f"one of {', '.join(_SPLIT_OF_WORD)}")
    return _SPLIT_OF_WORD[word]


def _bad_value(file: AnnotationFile, number: int, row: Row, key: str, expected: str) -> DataError:
    found = f"{key} is {reprlib.repr(row[key])}" if row.get(key) not in (None, "") else f"{key} is missing"
    return file.bad_entry(number, found, expected)


# Manifests of `mgm scan`


def is_scan_manifest(file: AnnotationFile) -> bool:
    """Whether the file has the columns path, bytes and status."""
    return {"path", "bytes", "status"} <= set(file.columns)


def read_scan_manifest(file: AnnotationFile) -> VideoList:
    """The manifest of `mgm scan --out`. Broken files are left out and counted. Folders in the paths may give labels."""
    broken: Counter[str] = Counter()

    def entries() -> Iterator[ListedVideo]:
        for path, status in read_statuses(file.path):
            if "#" in path and parse_member(path) is not None:  # its labels are in the shards' index
                raise DataError(
                    file.path,
                    "is the manifest of a set in shards",
                    "the set itself",
                    "give its folder; to leave broken videos out, pack the others again",
                    reason="unsupported",
                )
            if status in READABLE:
                yield ListedVideo(path)
            else:
                broken[status] += 1

    listed = ListedVideos.of(entries())
    notes: tuple[str, ...] = ()
    if broken:
        counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in sorted(broken.items()))
        notes = (f"{file.path}: {broken.total()} broken files were left out ({counts})",)
    why = "parquet" if file.kind == "parquet" else "rows with path, bytes and status"
    return VideoList(file.path, "manifest", f"{why}, as 'mgm scan' writes them", listed, "none", notes)
