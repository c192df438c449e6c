"""Tables: CSV with named columns, and lists of JSON objects."""

from __future__ import annotations

from typing import Any

from mgm.data.annotations.annotation_file import (
    END_COLUMNS,
    IS_NUMBER,
    LABEL_COLUMNS,
    NAME_COLUMNS,
    SIDE_COLUMNS,
    START_COLUMNS,
    AnnotationFile,
)
from mgm.data.annotations.video_list import ListedVideo, Split, VideoList
from mgm.errors import DataError
from mgm.video.scan.manifest import read_manifest

SIDES: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def columns(content: AnnotationFile) -> tuple[str, ...]:
    """Names of the columns, or the keys of the first JSON object; none where it is no table."""
    if content.header is not None:
        return content.header[1]
    tree = content.tree
    return tuple(tree[0]) if isinstance(tree, list) and tree and isinstance(tree[0], dict) else ()


# Kinetics


def is_kinetics(content: AnnotationFile) -> bool:
    """A table with youtube_id, time_start and time_end."""
    return {"youtube_id", "time_start", "time_end"} <= set(columns(content))


def read_kinetics(content: AnnotationFile) -> VideoList:
    """`label,youtube_id,time_start,time_end,split`: the video is called id_start_end, the seconds in six digits (Kinetics)."""
    entries = []
    for number, row in content.rows():
        try:
            begin, end = (round(float(row[key])) for key in ("time_start", "time_end"))
            name = f"{row['youtube_id']}_{begin:06d}_{end:06d}"
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise content.bad(number, ",".join(map(str, row.values())), "seconds in time_start and time_end") from error
        entries.append(ListedVideo(name, row.get("label") or None, side=_side(content, number, row), line=number))
    labels = "column label" if "label" in columns(content) else "none"
    return VideoList(
        content.path, "kinetics", "a table with youtube_id, time_start and time_end", tuple(entries), labels
    )


# Something-Something


def is_templates(content: AnnotationFile) -> bool:
    """JSON objects with an id and a template, or an id alone."""
    keys = set(columns(content))
    return content.tree is not None and "id" in keys and ("template" in keys or keys == {"id"})


def read_templates(content: AnnotationFile) -> VideoList:
    """`[{"id", "label", "template", "placeholders"}]`: the class is the template without its brackets (Something-Something V2)."""
    entries = []
    for number, row in content.rows():
        if "id" not in row:
            raise DataError(f"{content.path}: record {number} has the keys {', '.join(row)}, expected id; correct it")
        template = row.get("template")
        label = template.replace("[", "").replace("]", "") if isinstance(template, str) else None
        entries.append(ListedVideo(str(row["id"]), label, line=number))
    labelled = any(entry.label is not None for entry in entries)
    why = "JSON objects with an id and a template" if labelled else "JSON objects with an id alone"
    return VideoList(
        content.path, "templates", why, tuple(entries), "templates, without their brackets" if labelled else "none"
    )


# Other tables


def is_table(content: AnnotationFile) -> bool:
    """A column that names the video, with or without a label; none of the tables above, nor a manifest."""
    names = set(columns(content))
    special = is_kinetics(content) or is_templates(content) or {"bytes", "status"} <= names
    return not special and bool(names & set(NAME_COLUMNS))


def read_table(content: AnnotationFile) -> VideoList:
    """Columns or keys that name the video (`path`, `video`, `vid_name`, ...), and where there are any its label, its side of the
    split and its part `start_frame`, `end_frame` (Diving48's JSON, tables of your own)."""
    given = columns(content)
    name_key = next(key for key in NAME_COLUMNS if key in given)
    label_key = next((key for key in LABEL_COLUMNS if key in given), None)
    start_key, end_key = (next((k for k in keys if k in given), None) for keys in (START_COLUMNS, END_COLUMNS))
    entries = []
    for number, row in content.rows():
        missing = [key for key in (name_key, label_key) if key is not None and row.get(key) in (None, "")]
        if missing:
            raise DataError(
                f"{content.path}: {content.unit} {number}: no {' nor '.join(missing)}, expected one as in the others; correct it"
            )
        start = _frame(content, number, row, start_key) or 0
        end = _frame(content, number, row, end_key)
        if end is not None and end <= start:
            raise DataError(
                f"{content.path}: {content.unit} {number}: frames {start} to {end}, expected an end above the start; correct it"
            )
        label = None if label_key is None else _label(row[label_key])
        entries.append(ListedVideo(str(row[name_key]), label, start, end, _side(content, number, row), number))
    what = "columns" if content.kind == "text" else "JSON objects with the keys"
    why = f"{what} {', '.join(key for key in (name_key, label_key, start_key, end_key) if key is not None)}"
    return VideoList(
        content.path, "table", why, tuple(entries), "none" if label_key is None else f"{label_key} of each row"
    )


def _label(value: Any) -> int | str:
    text = str(value).strip()
    return int(text) if IS_NUMBER(text) else text


def _frame(content: AnnotationFile, number: int, row: dict[str, Any], key: str | None) -> int | None:
    if key is None or row.get(key) in (None, ""):
        return None
    text = str(row[key]).strip()
    if not IS_NUMBER(text) or int(text) < 0:
        raise DataError(
            f"{content.path}: {content.unit} {number}: {key} is {text!r}, expected the number of a frame, from 0; correct it"
        )
    return int(text)


def _side(content: AnnotationFile, number: int, row: dict[str, Any]) -> Split | None:
    key = next((key for key in SIDE_COLUMNS if key in row), None)
    if key is None or row[key] in (None, ""):
        return None
    text = str(row[key]).strip().lower()
    if text not in SIDES:
        raise DataError(
            f"{content.path}: {content.unit} {number}: {key} is {row[key]!r}, expected one of {', '.join(SIDES)}; correct it"
        )
    return SIDES[text]


# The manifest of `mgm scan`


def is_manifest(content: AnnotationFile) -> bool:
    """Parquet, or rows with path, bytes and status."""
    return content.kind == "parquet" or {"path", "bytes", "status"} <= set(columns(content))


def read_scan_manifest(content: AnnotationFile) -> VideoList:
    """Rows of `mgm scan --out`; files that do not decode are left out and counted. Folders named in the paths may give labels."""
    entries = []
    broken: dict[str, int] = {}
    for record in read_manifest(content.path):
        if record.readable:
            entries.append(ListedVideo(record.path))
        else:
            broken[record.status] = broken.get(record.status, 0) + 1
    notes: tuple[str, ...] = ()
    if broken:
        counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in sorted(broken.items()))
        notes = (f"{content.path}: {sum(broken.values())} broken files were left out ({counts})",)
    why = "parquet" if content.kind == "parquet" else "rows with path, bytes and status"
    return VideoList(content.path, "manifest", f"{why}, as 'mgm scan' writes them", tuple(entries), "none", notes)
