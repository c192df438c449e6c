"""Text formats: one video per line, a path and numbers beside it. Lines are split from the right: paths may contain spaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mgm.data.annotations.annotation_file import AnnotationFile, split_line
from mgm.data.annotations.video_list import ListedVideo, ListedVideos, Split, VideoList
from mgm.data.clips.images import IMAGE_SUFFIXES
from mgm.data.labels import read_label, whole_number
from mgm.video.scan.suffixes import VIDEO_SUFFIXES

NAMED_SUFFIXES = VIDEO_SUFFIXES | IMAGE_SUFFIXES
"""The suffixes of videos and pictures."""
_SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", " ": "space"}
_IS_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}").fullmatch
HMDB51_SPLIT = re.compile(r"(.+)_test_split([1-9])").fullmatch
"""The name of a file of HMDB51: the class, and the number of the split."""


def has_suffix(name: str) -> bool:
    """Whether a name ends in a suffix of videos or pictures."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in NAMED_SUFFIXES


def _unquoted(cell: str) -> str:
    """Remove the quotes that CSV puts around a cell that contains the separator, and some writers around every cell."""
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _number(cell: str) -> int | None:
    """The integer in a cell, with or without quotes."""
    number = whole_number(cell)
    return whole_number(_unquoted(cell.strip())) if number is None and '"' in cell else number


# path label


def path_label_separator(file: AnnotationFile) -> str | None:
    """The separator before the label, if most lines end in one number and no other text format fits better; None otherwise."""
    if file.kind != "text" or file.header is not None or _three_column_separator(file) or is_class_split(file):
        return None
    return _most_frequent_separator(file, _ends_in_one_number)


def _most_frequent_separator(file: AnnotationFile, match: Callable[[str, str], object]) -> str | None:
    """The separator with which most lines match; None if with none of them at least half of the lines do."""
    fractions = {s: sum(1 for line in file.sample if match(line, s)) / max(len(file.sample), 1) for s in _SEPARATORS}
    best = max(fractions, key=lambda s: fractions[s])
    return best if fractions[best] >= 0.5 else None


def _ends_in_one_number(line: str, separator: str) -> bool:
    name, _, label = line.rpartition(separator)
    return bool(name) and _number(label) is not None and _number(name) is None


def read_path_label(file: AnnotationFile) -> VideoList:
    """`path label`, separated by a space, tab, comma or semicolon (VideoMAE, MAE-ST, SlowFast, V-JEPA, TATS, mmaction2, UCF101)."""
    separator = path_label_separator(file) or " "
    word = _SEPARATORS[separator]
    expected = f"'path label' separated by a {word}, with an integer label"

    def entries() -> Iterator[ListedVideo]:
        for number, line in file.lines:
            name, _, label = line.rpartition(separator)
            name, number_of_class = name.rstrip(), _number(label)
            if not name or number_of_class is None:
                raise file.bad_line(number, line, expected)
            before, _, second = name.rpartition(separator)
            if before and has_suffix(_unquoted(before.rstrip())) and _number(second) is not None:
                raise file.bad_line(number, line, f"one label, {expected}")
            yield ListedVideo(_unquoted(name), number_of_class, 0, None, None, number)

    why = f"lines end in a {word} and one integer"
    return VideoList(file.path, "path-label", why, ListedVideos.of(entries()), "numbers at the end of the lines")


# path class


def path_class_separator(file: AnnotationFile) -> str | None:
    """The separator before the class, if most lines are a path and a name, and no format of numbers fits; None otherwise."""
    numbered = path_label_separator(file) or _three_column_separator(file)
    if file.kind != "text" or file.header is not None or numbered:
        return None
    return _most_frequent_separator(file, _split_class)


def _split_class(line: str, separator: str) -> tuple[str, str] | None:
    """(path, class) of a line; None if it is not of this form. A class with a separator in it is in quotes."""
    cells = split_line(line, separator) if '"' in line else line.rsplit(separator, 1)
    path, name = (cell.strip() for cell in (cells if len(cells) == 2 else ("", "")))
    named = isinstance(read_label(name), str) and not has_suffix(name)
    return (path, name) if named and has_suffix(path) else None


def read_path_class(file: AnnotationFile) -> VideoList:
    """`path class`, separated by a tab, comma, semicolon or space, with the name of the class."""
    separator = path_class_separator(file) or ","
    word = _SEPARATORS[separator]

    def entries() -> Iterator[ListedVideo]:
        for number, line in file.lines:
            found = _split_class(line, separator)
            if found is None:
                raise file.bad_line(number, line, f"'path class' separated by a {word}, with the name of a class")
            yield ListedVideo(*found, line=number)

    why = f"lines are a path, a {word} and the name of a class"
    return VideoList(file.path, "path-class", why, ListedVideos.of(entries()), "names at the end of the lines")


# path start total, path total label


class _Columns(NamedTuple):
    """A line of three columns."""

    name: str
    first: int
    second: int


def _three_column_separator(file: AnnotationFile) -> str | None:
    """The separator, if most lines are a path and two integers; None otherwise."""
    if file.kind != "text" or file.header is not None:
        return None
    return _most_frequent_separator(file, _parse_columns)


def _parse_columns(line: str, separator: str) -> _Columns | None:
    parts = line.rsplit(separator, 2)
    first, second = (_number(part) for part in (parts[1:] if len(parts) == 3 else ("", "")))
    if first is None or second is None or not parts[0].strip():
        return None
    return _Columns(parts[0].rstrip(), first, second)


def _fits_start_and_total(rows: list[_Columns]) -> bool:
    """Whether the integers can be a first frame and a number of frames, -1 for all.

    They can also be a number of frames and a label, unless a line contains a total of 0 or 1. If both are possible, names without
    a suffix are folders of frames with labels: a list of parts would contain a start of 0.
    """
    if not all(start >= 0 and (total == -1 or total >= 1) for _, start, total in rows):
        return False
    return not _fits_total_and_label(rows) or any(has_suffix(_unquoted(row.name)) for row in rows)


def _fits_total_and_label(rows: list[_Columns]) -> bool:
    """Whether the integers can be a number of frames and a label: no video has 0 frames, and a list of videos of 1 frame is one of
    starts."""
    return all(total >= 2 and label >= 0 for _, total, label in rows)


def _sampled_columns(file: AnnotationFile) -> list[_Columns]:
    """The sampled lines of three columns; empty if the file does not have three."""
    separator = _three_column_separator(file)
    if separator is None:
        return []
    return [row for line in file.sample if (row := _parse_columns(line, separator)) is not None]


def is_path_start_total(file: AnnotationFile) -> bool:
    """Whether lines are a path and two integers that fit a first frame and a number of frames."""
    rows = _sampled_columns(file)
    return bool(rows) and _fits_start_and_total(rows)


def is_path_total_label(file: AnnotationFile) -> bool:
    """Whether lines are a path and two integers that fit a number of frames and a label."""
    rows = _sampled_columns(file)
    return bool(rows) and _fits_total_and_label(rows)


def read_path_start_total(file: AnnotationFile) -> VideoList:
    """`path start total`, total -1 for a whole video (VideoMAE V2's pretraining lists)."""

    def entries() -> Iterator[ListedVideo]:
        for number, line, (name, start, total) in _columns(file, "'path start total', total -1 for the whole file"):
            if start < 0 or total < -1 or total == 0:
                raise file.bad_line(
                    number, line, "a start of 0 or more, and a total of 1 or more, or -1 for the whole file"
                )
            yield ListedVideo(name, None, start, None if total == -1 else start + total, line=number)

    why = "lines end in two integers that fit a first frame and a number of frames (-1: all)"
    return VideoList(file.path, "path-start-total", why, ListedVideos.of(entries()), "none")


def read_path_total_label(file: AnnotationFile) -> VideoList:
    """`path total label`, mostly folders of frames (VideoMAE V2's fine-tuning on frames, mmaction2's rawframes)."""

    def entries() -> Iterator[ListedVideo]:
        for number, line, (name, total, label) in _columns(file, "'path total label'"):
            if total < 1:
                raise file.bad_line(number, line, "a number of frames of 1 or more")
            yield ListedVideo(name, label, 0, total, line=number)

    why = "lines end in two integers that fit a number of frames and a label"
    return VideoList(file.path, "path-total-label", why, ListedVideos.of(entries()), "numbers at the end of the lines")


def _columns(file: AnnotationFile, expected: str) -> Iterator[tuple[int, str, _Columns]]:
    """(line number, line, its columns) of every line."""
    separator = _three_column_separator(file) or " "
    for number, line in file.lines:
        row = _parse_columns(line, separator)
        if row is None:
            raise file.bad_line(number, line, f"{expected}, separated by a {_SEPARATORS[separator]}")
        yield number, line, row._replace(name=_unquoted(row.name))


# index label path


def is_index_label_path(file: AnnotationFile) -> bool:
    """Whether lines are two integers, then a path, separated by tabs."""
    return file.kind == "text" and file.fraction(_is_index_label_path_line) >= 0.5


def _is_index_label_path_line(line: str) -> bool:
    parts = line.split("\t", 2)
    return len(parts) == 3 and [whole_number(part) is None for part in parts] == [False, False, True]


def read_index_label_path(file: AnnotationFile) -> VideoList:
    """`index<tab>label<tab>path` (PATAN)."""

    def entries() -> Iterator[ListedVideo]:
        for number, line in file.lines:
            if not _is_index_label_path_line(line):
                raise file.bad_line(number, line, "'index label path' separated by tabs, with integer index and label")
            _, label, name = line.split("\t", 2)
            yield ListedVideo(name, whole_number(label), line=number)

    why = "lines are two integers and a path, separated by tabs"
    return VideoList(file.path, "index-label-path", why, ListedVideos.of(entries()), "second column")


# names alone


def is_paths(file: AnnotationFile) -> bool:
    """Whether lines end in a suffix of videos or pictures, or are single words other than YouTube ids."""
    if file.kind != "text" or file.header is not None or is_ids(file):
        return False
    return file.fraction(_is_name) >= 0.5


def _is_name(line: str) -> bool:
    return "\t" not in line and (has_suffix(line) or re.search(r"[\s,;]", line) is None)


def read_paths(file: AnnotationFile) -> VideoList:
    """One path per line, without labels (UCF101's test lists); `labels=` or folders named like classes may give labels."""
    suffixed = file.fraction(has_suffix) >= 0.5

    def entries() -> Iterator[ListedVideo]:
        for number, line in file.lines:
            if suffixed and not has_suffix(line):
                raise file.bad_line(number, line, "a path that ends in the suffix of a video or picture")
            yield ListedVideo(line, line=number)

    return VideoList(file.path, "paths", "lines are one path each", ListedVideos.of(entries()), "none")


def is_ids(file: AnnotationFile) -> bool:
    """Whether lines are YouTube ids, 11 characters each."""
    return file.kind == "text" and file.fraction(_IS_YOUTUBE_ID) >= 0.5


def read_ids(file: AnnotationFile) -> VideoList:
    """One YouTube id per line (Mini-Kinetics-200)."""

    def entries() -> Iterator[ListedVideo]:
        for number, line in file.lines:
            if not _IS_YOUTUBE_ID(line):
                raise file.bad_line(number, line, "a YouTube id of 11 characters")
            yield ListedVideo(line, line=number)

    return VideoList(file.path, "ids", "lines are YouTube ids, 11 characters each", ListedVideos.of(entries()), "none")


def is_id_text(file: AnnotationFile) -> bool:
    """Whether lines are an id, a semicolon and words."""
    if file.kind != "text" or file.header is not None or path_label_separator(file) is not None:
        return False
    return file.fraction(_is_id_text_line) >= 0.5


def _is_id_text_line(line: str) -> bool:
    name, _, text = line.partition(";")
    if has_suffix(line):
        return False
    return re.fullmatch(r"[\w-]+", name) is not None and bool(text.strip()) and whole_number(text.split()[-1]) is None


def read_id_text(file: AnnotationFile) -> VideoList:
    """`id;text`, where the text is the name of the class (Something-Something V2's test answers)."""

    def entries() -> Iterator[ListedVideo]:
        for number, line in file.lines:
            name, _, text = line.partition(";")
            if not name.strip() or not text.strip():
                raise file.bad_line(number, line, "'id;name of the class'")
            yield ListedVideo(name.strip(), text.strip(), line=number)

    why = "lines are an id, a semicolon and words"
    return VideoList(file.path, "id-text", why, ListedVideos.of(entries()), "words after the semicolon")


# one file per class


def is_class_split(file: AnnotationFile) -> bool:
    """Whether the file is named `<class>_test_split<n>` and its lines are `video 0|1|2`."""
    named = file.kind == "text" and HMDB51_SPLIT(file.path.stem) is not None
    return named and file.fraction(lambda line: line.rpartition(" ")[2] in ("0", "1", "2")) >= 0.5


def read_class_split(file: AnnotationFile) -> VideoList:
    """`video 0|1|2` in a file per class: 1 for training, 2 for testing, 0 unused (HMDB51)."""
    match = HMDB51_SPLIT(file.path.stem)
    class_name = match.group(1) if match else file.path.stem
    entries = []
    unused = 0
    for number, line in file.lines:
        video, _, code = line.rpartition(" ")
        if code not in ("0", "1", "2") or not video.strip():
            raise file.bad_line(number, line, "'video n' with 1 for training, 2 for testing, 0 for neither")
        unused += code == "0"
        if code != "0":
            split: Split = "train" if code == "1" else "test"
            entries.append(ListedVideo(f"{class_name}/{video.strip()}", class_name, split=split, line=number))
    why = "the file is named <class>_test_split<n>, its lines end in 0, 1 or 2"
    notes = (f"{unused} videos are in neither part of the split",) if unused else ()
    return VideoList(file.path, "class-split", why, ListedVideos.of(entries), "names of the files", notes)
