"""The videos that one annotation file or folder lists, before they are looked up on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TestSplit = Literal["test", "val"]
Split = Literal["train", TestSplit]


@dataclass(frozen=True, slots=True)
class ListedVideo:
    """One entry of an annotation.

    Attributes:
        name: a path, absolute or relative to some root, or a bare id without a suffix.
        label: a number as written, a name, or None.
        start, end: frames start to end - 1 of the file; end None: to the end of the file.
        split: split that the entry itself gives; None if it gives none.
        line: line number from 1; 0 for files without lines.
    """

    name: str
    label: int | str | None = None
    start: int = 0
    end: int | None = None
    split: Split | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class VideoList:
    """The entries of one annotation file or folder.

    Attributes:
        file: path of the annotation file or folder.
        format: name of its format.
        why: content by which the format was recognised.
        entries: in the order of the file.
        labels: where the labels come from; "none" without labels.
        notes: entries that were left out, and why.
        split: split of all entries, from the key that the list was given under or from its file's name; None if neither gives one.
        located: whether names are paths of existing files, or of members of shards, and need not be looked up.
        split_rule: one sentence on how the list itself separates train from test; empty if it does not.
    """

    file: Path
    format: str
    why: str
    entries: tuple[ListedVideo, ...]
    labels: str
    notes: tuple[str, ...] = ()
    split: Split | None = None
    located: bool = False
    split_rule: str = ""
