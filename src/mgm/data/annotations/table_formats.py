"""Table formats: CSV with named columns, lists of JSON objects, and manifests of `mgm scan`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mgm.data.annotations.annotation_file import (
    END_COLUMNS,
    IS_NUMBER,
    LABEL_COLUMNS,
    NAME_COLUMNS,
    SPLIT_COLUMNS,
    START_COLUMNS,
    AnnotationFile,
)
from mgm.data.annotations.video_list import ListedVideo, Split, VideoList
from mgm.video.scan.manifest import read_manifest

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
    entries = []
    for number, row in file.rows():
        try:
            begin, end = (round(float(row[key])) for key in ("time_start", "time_end"))
            name = f"{row['youtube_id']}_{begin:06d}_{end:06d}"
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            line = ",".join(map(str, row.values()))
            raise file.bad_line(number, line, "seconds in time_start and time_end") from error
        entries.append(ListedVideo(name, row.get("label") or None, split=_split(file, number, row), line=number))
    labels = "column label" if "label" in file.columns else "none"
    return VideoList(file.path, "kinetics", "a table with youtube_id, time_start and time_end", tuple(entries), labels)


# Something-Something


def is_templates(file: AnnotationFile) -> bool:
    """Whether the file contains JSON objects with an id and a template, or an id alone."""
    keys = set(file.columns)
    return file.tree is not None and "id" in keys and ("template" in keys or keys == {"id"})


def read_templates(file: AnnotationFile) -> VideoList:
    """`[{"id", "label", "template", "placeholders"}]` (Something-Something V2). The class is the template without brackets."""
    entries = []
    for number, row in file.rows():
        if "id" not in row:
            raise file.bad_entry(number, f"found the keys {', '.join(row)}", "id among them")
        template = row.get("template")
        label = template.replace("[", "").replace("]", "") if isinstance(template, str) else None
        entries.append(ListedVideo(str(row["id"]), label, line=number))
    labelled = any(entry.label is not None for entry in entries)
    why = "JSON objects with an id and a template" if labelled else "JSON objects with an id alone"
    labels = "templates, without their brackets" if labelled else "none"
    return VideoList(file.path, "templates", why, tuple(entries), labels)


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
    entries = []
    for number, row in file.rows():
        missing = [key for key in (name_key, label_key) if key is not None and row.get(key) in (None, "")]
        if missing:
            raise file.bad_entry(number, f"{' and '.join(missing)} missing", "a value as in the other lines")
        start = _frame(file, number, row, start_key) or 0
        end = _frame(file, number, row, end_key)
        if end is not None and end <= start:
            raise file.bad_entry(number, f"frames {start} to {end}", "an end after the start")
        label = None if label_key is None else _label(row[label_key])
        entries.append(ListedVideo(str(row[name_key]), label, start, end, _split(file, number, row), number))
    kind = "columns" if file.kind == "text" else "JSON objects with the keys"
    why = f"{kind} {', '.join(key for key in (name_key, label_key, start_key, end_key) if key is not None)}"
    labels = "none" if label_key is None else f"{label_key} of each row"
    return VideoList(file.path, "table", why, tuple(entries), labels)


def _label(value: Any) -> int | str:
    text = str(value).strip()
    return int(text) if IS_NUMBER(text) else text


def _frame(file: AnnotationFile, number: int, row: dict[str, Any], key: str | None) -> int | None:
    if key is None or row.get(key) in (None, ""):
        return None
    text = str(row[key]).strip()
    if not IS_NUMBER(text) or int(text) < 0:
        raise file.bad_entry(number, f"{key} is {text!r}", "a frame number, 0 or more")
    return int(text)


def _split(file: AnnotationFile, number: int, row: dict[str, Any]) -> Split | None:
    key = next((key for key in SPLIT_COLUMNS if key in row), None)
    if key is None or row[key] in (None, ""):
        return None
    word = str(row[key]).strip().lower()
    if word not in _SPLIT_OF_WORD:
        raise file.bad_entry(number, f"{key} is {row[key]!r}", f"one of {', '.join(_SPLIT_OF_WORD)}")
    return _SPLIT_OF_WORD[word]


# Manifests of `mgm scan`


def is_scan_manifest(file: AnnotationFile) -> bool:
    """Whether the file is parquet, or has the columns path, bytes and status."""
    return file.kind == "parquet" or {"path", "bytes", "status"} <= set(file.columns)


def read_scan_manifest(file: AnnotationFile) -> VideoList:
    """The manifest of `mgm scan --out`. Broken files are left out and counted. Folders in the paths may give labels."""
    entries = []
    broken: Counter[str] = Counter()
    for record in read_manifest(file.path):
        if record.readable:
            entries.append(ListedVideo(record.path))
        else:
            broken[record.status] += 1
    notes: tuple[str, ...] = ()
    if broken:
        counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in sorted(broken.items()))
        notes = (f"{file.path}: {broken.total()} broken files were left out ({counts})",)
    why = "parquet" if file.kind == "parquet" else "rows with path, bytes and status"
    return VideoList(file.path, "manifest", f"{why}, as 'mgm scan' writes them", tuple(entries), "none", notes)
