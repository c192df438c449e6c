"""Lists: one line per video, a path and numbers around it. Lines are split from the right, since paths hold spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mgm.data.annotations.annotation_file import IS_NUMBER, AnnotationFile
from mgm.data.annotations.video_list import ListedVideo, VideoList
from mgm.data.clips.images import IMAGE_SUFFIXES
from mgm.video.scan.scan import VIDEO_SUFFIXES

SEPARATORS = {"\t": "tab", ",": "comma", " ": "space"}
IS_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}").fullmatch
HMDB51_SPLIT = re.compile(r"(.+)_test_split([1-9])").fullmatch
"""How HMDB51 names its files: the class, and the number of the split."""


def has_suffix(name: str) -> bool:
    """Whether a name ends in a suffix of videos or pictures."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES


def unquoted(name: str) -> str:
    """Without the quotes that writers of CSV put around a name that holds the separator."""
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


# path label


def path_label_separator(content: AnnotationFile) -> str | None:
    """The separator before the label, where most lines end in a number behind one and none of the other lists fits better."""
    if content.kind != "text" or content.header is not None or three_columns(content) or is_class_split(content):
        return None
    shares = {s: content.share(lambda line, s=s: _one_number(line, s)) for s in SEPARATORS}
    best = max(shares, key=lambda s: shares[s])
    return best if shares[best] >= 0.5 else None


def _one_number(line: str, separator: str) -> bool:
    name, _, label = line.rpartition(separator)
    return bool(name) and IS_NUMBER(label.strip()) is not None and IS_NUMBER(name.strip()) is None


def read_path_label(content: AnnotationFile) -> VideoList:
    """`path label`, split by a space, tab or comma (VideoMAE, MAE-ST, SlowFast, V-JEPA, TATS, mmaction2, UCF101)."""
    separator = path_label_separator(content) or " "
    word = SEPARATORS[separator]
    expected = f"'path label' split by a {word}, the label a whole number"
    entries = []
    for number, line in content.lines:
        name, _, label = line.rpartition(separator)
        name, label = name.rstrip(), label.lstrip()
        if not name or not IS_NUMBER(label):
            raise content.bad(number, line, expected)
        before, _, second = name.rpartition(separator)
        if before and IS_NUMBER(second.strip()) and has_suffix(before.rstrip()):
            raise content.bad(number, line, f"one label, {expected}")
        entries.append(ListedVideo(unquoted(name), int(label), line=number))
    why = f"lines end in a {word} and one whole number"
    return VideoList(content.path, "path-label", why, tuple(entries), "numbers at the end of the lines")


# path start total, path total label


def three_columns(content: AnnotationFile) -> str | None:
    """The separator, where most lines are a path and two numbers."""
    if content.kind != "text" or content.header is not None:
        return None
    shares = {s: content.share(lambda line, s=s: _two_numbers(line, s) is not None) for s in SEPARATORS}
    best = max(shares, key=lambda s: shares[s])
    return best if shares[best] >= 0.5 else None


def _two_numbers(line: str, separator: str) -> tuple[str, int, int] | None:
    parts = line.rsplit(separator, 2)
    if len(parts) < 3 or not parts[0].strip() or not IS_NUMBER(parts[1].strip()) or not IS_NUMBER(parts[2].strip()):
        return None
    return parts[0].rstrip(), int(parts[1]), int(parts[2])


def _possible(content: AnnotationFile) -> tuple[bool, bool]:
    """Whether the two numbers may be (start, total), and whether they may be (total, label).

    A start of 0 or 1 is no number of frames, a total of 0 is none either. Where both fit, names without a suffix are folders of
    frames with labels: a list of parts would have a start of 0 somewhere.
    """
    separator = three_columns(content)
    if separator is None:
        return False, False
    rows = [row for line in content.sample if (row := _two_numbers(line, separator)) is not None]
    spans = all(start >= 0 and (total == -1 or total >= 1) for _, start, total in rows)
    totals = all(total >= 2 and label >= 0 for _, total, label in rows)
    if spans and totals and not any(has_suffix(unquoted(name)) for name, _, _ in rows):
        spans = False
    return spans, totals


def is_path_start_total(content: AnnotationFile) -> bool:
    """See `_possible`."""
    return _possible(content)[0]


def is_path_total_label(content: AnnotationFile) -> bool:
    """See `_possible`."""
    return _possible(content)[1]


def read_path_start_total(content: AnnotationFile) -> VideoList:
    """`path start total`, total -1 for a whole video (VideoMAE V2's pretraining lists)."""
    entries = []
    for number, line, name, start, total in _triples(content, "'path start total', total -1 for the whole file"):
        if start < 0 or total < -1 or total == 0:
            raise content.bad(number, line, "a start of 0 or more, and a total of 1 or more, or -1 for the whole file")
        entries.append(ListedVideo(name, None, start, None if total == -1 else start + total, line=number))
    why = "lines end in two whole numbers, which fit a first frame and a number of frames (-1: all)"
    return VideoList(content.path, "path-start-total", why, tuple(entries), "none")


def read_path_total_label(content: AnnotationFile) -> VideoList:
    """`path total label`, mostly of folders of frames (VideoMAE V2's fine-tuning on frames, mmaction2's rawframes)."""
    entries = []
    for number, line, name, total, label in _triples(content, "'path total label'"):
        if total < 1:
            raise content.bad(number, line, "a number of frames of 1 or more")
        entries.append(ListedVideo(name, label, 0, total, line=number))
    why = "lines end in two whole numbers, which fit a number of frames and a label"
    return VideoList(content.path, "path-total-label", why, tuple(entries), "numbers at the end of the lines")


def _triples(content: AnnotationFile, expected: str) -> Iterator[tuple[int, str, str, int, int]]:
    separator = three_columns(content) or " "
    for number, line in content.lines:
        row = _two_numbers(line, separator)
        if row is None:
            raise content.bad(number, line, f"{expected}, split by a {SEPARATORS[separator]}")
        yield number, line, unquoted(row[0]), row[1], row[2]


# index label path


def is_index_label_path(content: AnnotationFile) -> bool:
    """Two whole numbers, then a path, split by tabs."""
    return content.kind == "text" and content.share(_triple) >= 0.5


def _triple(line: str) -> bool:
    parts = line.split("\t", 2)
    return len(parts) == 3 and all(IS_NUMBER(p) for p in parts[:2]) and not IS_NUMBER(parts[2])


def read_index_label_path(content: AnnotationFile) -> VideoList:
    """`index<tab>label<tab>path` (PATAN)."""
    entries = []
    for number, line in content.lines:
        if not _triple(line):
            raise content.bad(number, line, "'index label path' split by tabs, index and label whole numbers")
        _, label, name = line.split("\t", 2)
        entries.append(ListedVideo(name, int(label), line=number))
    why = "lines are two whole numbers and a path, split by tabs"
    return VideoList(content.path, "index-label-path", why, tuple(entries), "second column")


# names alone


def is_paths(content: AnnotationFile) -> bool:
    """Lines that end in a suffix of videos or pictures, or single words that are no YouTube ids."""
    if content.kind != "text" or content.header is not None or is_ids(content):
        return False
    return content.share(_is_name) >= 0.5


def _is_name(line: str) -> bool:
    return "\t" not in line and (has_suffix(line) or re.search(r"[\s,;]", line) is None)


def read_paths(content: AnnotationFile) -> VideoList:
    """One path per line, without labels (UCF101's test lists); `labels=` or folders named like classes may give them."""
    entries = []
    suffixed = content.share(has_suffix) >= 0.5
    for number, line in content.lines:
        if suffixed and not has_suffix(line):
            raise content.bad(
                number, line, "a path that ends in the suffix of a video or picture, and nothing behind it"
            )
        entries.append(ListedVideo(line, line=number))
    return VideoList(content.path, "paths", "lines are one path each", tuple(entries), "none")


def is_ids(content: AnnotationFile) -> bool:
    """YouTube ids, 11 characters each."""
    return content.kind == "text" and content.share(IS_YOUTUBE_ID) >= 0.5


def read_ids(content: AnnotationFile) -> VideoList:
    """One YouTube id per line (Mini-Kinetics-200)."""
    entries = []
    for number, line in content.lines:
        if not IS_YOUTUBE_ID(line):
            raise content.bad(number, line, "a YouTube id of 11 characters")
        entries.append(ListedVideo(line, line=number))
    return VideoList(content.path, "ids", "lines are YouTube ids, 11 characters each", tuple(entries), "none")


def is_id_text(content: AnnotationFile) -> bool:
    """An id, a semicolon and words."""
    if content.kind != "text" or content.header is not None or path_label_separator(content) is not None:
        return False
    return content.share(_id_text) >= 0.5


def _id_text(line: str) -> bool:
    name, _, text = line.partition(";")
    if has_suffix(line):
        return False
    return re.fullmatch(r"[\w-]+", name) is not None and bool(text.strip()) and not IS_NUMBER(text.strip().split()[-1])


def read_id_text(content: AnnotationFile) -> VideoList:
    """`id;text`, the text naming the class (Something-Something V2's test answers)."""
    entries = []
    for number, line in content.lines:
        name, _, text = line.partition(";")
        if not name.strip() or not text.strip():
            raise content.bad(number, line, "'id;name of the class'")
        entries.append(ListedVideo(name.strip(), text.strip(), line=number))
    why = "lines are an id, a semicolon and words"
    return VideoList(content.path, "id-text", why, tuple(entries), "words behind the semicolon")


# one file per class


def is_class_split(content: AnnotationFile) -> bool:
    """Named `<class>_test_split<n>`, lines `video 0|1|2`."""
    named = content.kind == "text" and HMDB51_SPLIT(content.path.stem) is not None
    return named and content.share(lambda line: line.rpartition(" ")[2] in ("0", "1", "2")) >= 0.5


def read_class_split(content: AnnotationFile) -> VideoList:
    """`video 0|1|2` in a file per class: 1 is for training, 2 for testing, 0 unused (HMDB51)."""
    found = HMDB51_SPLIT(content.path.stem)
    name = found.group(1) if found else content.path.stem
    entries = []
    unused = 0
    for number, line in content.lines:
        video, _, side = line.rpartition(" ")
        if side not in ("0", "1", "2") or not video.strip():
            raise content.bad(number, line, "'video n' with 1 for training, 2 for testing, 0 for neither")
        unused += side == "0"
        if side != "0":
            entries.append(
                ListedVideo(f"{name}/{video.strip()}", name, side="train" if side == "1" else "test", line=number)
            )
    why = "the file is named <class>_test_split<n>, its lines end in 0, 1 or 2"
    notes = (f"{unused} videos are in neither side of the split",) if unused else ()
    return VideoList(content.path, "class-split", why, tuple(entries), "names of the files", notes)
