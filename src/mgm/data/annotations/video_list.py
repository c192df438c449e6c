"""What every reader of annotations makes of its file: entries, before anything is looked up on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class ListedVideo:
    """One line of an annotation.

    Attributes:
        name: a path, absolute or relative to some root, or a bare id without a suffix.
        label: a number as it is written, a name, or None.
        start, end: frames start to end - 1 of the file; None: to its end.
        side: of the split, where the annotation itself tells.
        line: where it stands, from 1; 0 where the file has no lines.
    """

    name: str
    label: int | str | None = None
    start: int = 0
    end: int | None = None
    side: Split | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class VideoList:
    """One annotation file, understood.

    Attributes:
        file: where it is.
        format: name of its format.
        why: what of its content told the format.
        entries: in the order of the file.
        labels: where the labels are from; "none".
        notes: what was left out of it.
        split: one sentence on how it tells train from test by itself; empty where it does not.
    """

    file: Path
    format: str
    why: str
    entries: tuple[ListedVideo, ...]
    labels: str
    notes: tuple[str, ...] = ()
    split: str = ""
