"""The videos that one annotation file or folder lists, before they are looked up on disk."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from mgm.files.path_column import PathColumn

TestSplit = Literal["test", "val"]
Split = Literal["train", TestSplit]


_BLOCK = 256
"""Entries that become columns at a time: of more than 700, Python would look for cycles among them."""


class ListedVideo(NamedTuple):
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


@dataclass(frozen=True, slots=True, eq=False)
class ListedVideos(Sequence[ListedVideo]):
    """Entries in little memory: columns in place of objects, which are made as they are read.

    Attributes:
        names: of the entries.
        labels, starts, ends, splits, lines: of each entry; None: those of all have their default in `ListedVideo`.
    """

    names: PathColumn
    labels: Sequence[int | str | None] | None = None
    starts: Sequence[int] | None = None
    ends: Sequence[int | None] | None = None
    splits: Sequence[Split | None] | None = None
    lines: Sequence[int] | None = None

    @classmethod
    def of(cls, entries: Iterable[ListedVideo]) -> ListedVideos:
        """The same entries; they need not be in memory at once. `entries` itself if it has columns already."""
        if isinstance(entries, ListedVideos):
            return entries
        names, labels, starts, ends, splits, lines = (
            PathColumn(),
            list[Any](),
            list[int](),
            list[Any](),
            list[Any](),
            array("Q"),
        )
        source = iter(entries)
        while block := list(islice(source, _BLOCK)):
            found, *others = zip(*block, strict=True)
            names.extend(found)
            for column, values in zip((labels, starts, ends, splits, lines), others, strict=True):
                column.extend(values)
        return cls(
            names,
            labels if set(labels) != {None} else None,
            starts if any(starts) else None,
            ends if set(ends) != {None} else None,
            splits if any(splits) else None,
            lines if any(lines) else None,
        )

    def take(self, rows: Sequence[int]) -> ListedVideos:
        """The entries of some rows, ascending or not."""
        names = self.names.take(np.asarray(rows, np.int64))
        columns = (_taken(column, rows) for column in (self.labels, self.starts, self.ends, self.splits, self.lines))
        return ListedVideos(names, *columns)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> ListedVideo: ...
    @overload
    def __getitem__(self, index: slice) -> ListedVideos: ...

    def __getitem__(self, index: int | slice) -> ListedVideo | ListedVideos:
        rows = range(len(self))[index]
        return self.take(rows) if isinstance(rows, range) else next(iter(self.take([rows])))

    def __iter__(self) -> Iterator[ListedVideo]:
        columns = zip(
            (self.labels, self.starts, self.ends, self.splits, self.lines),
            ListedVideo._field_defaults.values(),
            strict=True,
        )
        return map(
            ListedVideo, self.names, *(repeat(default) if column is None else column for column, default in columns)
        )


def _taken(column: Sequence[Any] | None, rows: Sequence[int]) -> list[Any] | None:
    return None if column is None else [column[row] for row in rows]


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
    entries: ListedVideos
    labels: str
    notes: tuple[str, ...] = ()
    split: Split | None = None
    located: bool = False
    split_rule: str = ""
