"""A set of videos: its items, their labels and its split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from mgm.errors import DataError, VideoError
from mgm.files.path_column import PathColumn
from mgm.video.container.metadata import VideoInfo

_ItemT = TypeVar("_ItemT")


@dataclass(frozen=True, slots=True)
class VideoItem:
    """One video, or the annotated part of one.

    Attributes:
        path: a video, a still picture, or a folder of pictures that are the frames of a video.
        label: index into `VideoSet.classes`; None without a label.
        start, end: frames start to end - 1 of the file; end None: to the end of the file.
    """

    path: str
    label: int | None = None
    start: int = 0
    end: int | None = None


_NONE = -(2**31)
"""None in a column of numbers."""

_Column = npt.NDArray[np.int64] | npt.NDArray[np.int32]


class VideoItems(Sequence[VideoItem]):
    """Many videos in little memory: columns in place of objects, which are made as they are read.

    It equals any sequence of the same items.

    Args:
        paths: of the videos.
        labels: of each, or None.
        starts, ends: of each; None: all items are whole files.
    """

    __slots__ = ("_ends", "_labels", "_starts", "paths")

    def __init__(
        self,
        paths: PathColumn,
        labels: Iterable[int | None],
        starts: Iterable[int] | None = None,
        ends: Iterable[int | None] | None = None,
    ) -> None:
        self.paths = paths
        self._labels: _Column = _column(labels, len(paths)).astype(np.int32)
        self._starts: _Column | None = None if starts is None else _column(starts, len(paths))
        self._ends: _Column | None = None if ends is None else _column(ends, len(paths))
        if self._starts is not None and not self._starts.any():
            self._starts = None
        if self._ends is not None and (self._ends == _NONE).all():
            self._ends = None

    @classmethod
    def of(cls, items: Iterable[VideoItem]) -> VideoItems:
        """The same items; `items` itself if it has columns already."""
        if isinstance(items, VideoItems):
            return items
        given = tuple(items)
        return cls(
            PathColumn(item.path for item in given),
            (item.label for item in given),
            (item.start for item in given),
            (item.end for item in given),
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> VideoItems:
        """The items whose `arrays` these are, which it does not copy."""
        starts, ends = arrays.get("starts"), arrays.get("ends")
        return cls._with(PathColumn.of_arrays(arrays), arrays["labels"], starts, ends)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that the items consist of, by name."""
        own = {"labels": self._labels, "starts": self._starts, "ends": self._ends}
        return self.paths.arrays() | {name: column for name, column in own.items() if column is not None}

    @property
    def labels(self) -> list[int | None]:
        """The label of each item."""
        return _values(self._labels)

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Whether each item has a label, (n,)."""
        labelled: npt.NDArray[np.bool_] = self._labels != _NONE
        return labelled

    @property
    def whole(self) -> bool:
        """Whether every item is the whole of its file."""
        return self._starts is None and self._ends is None

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64] | slice) -> VideoItems:
        """The items of some rows, which share their paths with these; those of a slice, all their memory where possible."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows, np.int64)
        labels, starts, ends = (
            None if column is None else column[chosen] for column in (self._labels, self._starts, self._ends)
        )
        assert labels is not None
        return self._with(self.paths.take(chosen), labels, starts, ends)

    def where(self, chosen: Iterable[bool] | npt.NDArray[np.bool_]) -> VideoItems:
        """The items for which `chosen`, one value for each, is true."""
        kept = chosen if isinstance(chosen, np.ndarray) else np.fromiter(chosen, np.bool_, len(self))
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def with_labels(self, labels: Iterable[int | None]) -> VideoItems:
        """The items with other labels."""
        return self._with(self.paths, _column(labels, len(self)).astype(np.int32), self._starts, self._ends)

    @classmethod
    def _with(cls, paths: PathColumn, labels: _Column, starts: _Column | None, ends: _Column | None) -> VideoItems:
        made = cls.__new__(cls)
        made.paths, made._labels, made._starts, made._ends = paths, labels, starts, ends
        return made

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> VideoItem: ...
    @overload
    def __getitem__(self, index: slice) -> VideoItems: ...

    def __getitem__(self, index: int | slice) -> VideoItem | VideoItems:
        if isinstance(index, slice):
            return self if index.indices(len(self)) == (0, len(self), 1) else self.take(index)
        label, start, end = (
            _value(column, index, default)
            for column, default in ((self._labels, None), (self._starts, 0), (self._ends, None))
        )
        return VideoItem(self.paths[index], label, start or 0, end)

    def __iter__(self) -> Iterator[VideoItem]:
        count = len(self)
        starts = [0] * count if self._starts is None else self._starts.tolist()
        ends = [None] * count if self._ends is None else _values(self._ends)
        return map(VideoItem, self.paths, self.labels, starts, ends)

    def __add__(self, other: Iterable[VideoItem]) -> VideoItems:
        more = VideoItems.of(other)
        if not len(self) or not len(more):
            return more if len(more) else self
        starts, ends = (
            None
            if own is None and added is None
            else np.concatenate([_filled(own, len(self), none), _filled(added, len(more), none)])
            for own, added, none in ((self._starts, more._starts, 0), (self._ends, more._ends, _NONE))
        )
        labels = np.concatenate([self._labels, more._labels])
        return self._with(self.paths.joined(more.paths), labels, starts, ends)

    def __radd__(self, other: Iterable[VideoItem]) -> VideoItems:
        return VideoItems.of(other) + self

    def __mul__(self, times: int) -> VideoItems:
        return self.take(np.tile(np.arange(len(self)), max(times, 0)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str | bytes) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"VideoItems({len(self)}: {shown}{', ...' if len(self) > 3 else ''})"

    def __reduce__(self) -> tuple[object, tuple[tuple[VideoItem, ...]]]:
        return VideoItems.of, (tuple(self),)


def _column(values: Iterable[int | None], count: int) -> npt.NDArray[np.int64]:
    return np.fromiter((_NONE if value is None else value for value in values), np.int64, count)


def _filled(column: _Column | None, count: int, value: int) -> _Column:
    return np.full(count, value, np.int64) if column is None else column


def _values(column: _Column) -> list[int | None]:
    return [None if value == _NONE else value for value in column.tolist()]


def _value(column: _Column | None, index: int, default: int | None) -> int | None:
    found = _NONE if column is None else int(column[index])
    return default if found == _NONE else found


def paths_of(items: Sequence[VideoItem]) -> Sequence[str]:
    """The path of each item."""
    return items.paths if isinstance(items, VideoItems) else [item.path for item in items]


def labels_of(items: Sequence[VideoItem]) -> Sequence[int | None]:
    """The label of each item."""
    return items.labels if isinstance(items, VideoItems) else [item.label for item in items]


def part_length(item: VideoItem, info: VideoInfo) -> int:
    """Number of frames in the part of a video that an item refers to. Raises VideoError if the part is empty."""
    end = info.frames if item.end is None else min(item.end, info.frames)
    if end <= item.start:
        raise VideoError(
            item.path,
            f"has {info.frames} frames",
            f"the annotated frames {item.start} to {'the end' if item.end is None else item.end}",
            "correct the annotation, or remove the line",
            reason="mismatch",
        )
    return end - item.start


@dataclass(frozen=True, slots=True)
class VideoSet:
    """The videos of one set.

    Attributes:
        root: the folder, annotation file or specification; the set's name in errors.
        train: videos for training; without labels, all of them. If pictures are mixed in at a ratio, the rarer kind repeats.
        test: videos held out for testing; empty without labels.
        classes: names of the labels; empty without labels. Sorted, unless the annotations number them.
        split_rule: one sentence on how train and test are separated.
        notes: warnings for a user before a run: missing files, entries that were left out.
        missing: names of listed test videos that are not on disk.
    """

    root: str
    train: Sequence[VideoItem]
    test: Sequence[VideoItem]
    classes: tuple[str, ...]
    split_rule: str
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"VideoSet({self.root}: {len(self.train)} training and {len(self.test)} test videos, {len(self.classes)} classes; "
            f"{self.split_rule})"
        )

    @property
    def items(self) -> VideoItems:
        """All videos, train first."""
        return VideoItems.of(self.train) + self.test

    def only(self, paths: Iterable[str]) -> VideoSet:
        """The set, restricted to videos whose path is in `paths`."""
        keep = set(paths)
        train, test = (items.where(items.paths.among(keep)) for items in map(VideoItems.of, (self.train, self.test)))
        return replace(self, train=train, test=test)

    def with_few_labels(self, count: int, *, seed: int) -> VideoSet:
        """The set with at most `count` labelled training videos, drawn at random, equally many of each class."""
        rng = np.random.default_rng(seed)
        share = count // max(len(self.classes), 1)
        own: list[list[int]] = [[] for _ in self.classes]
        for row, label in enumerate(labels_of(self.train)):
            if label is not None:
                own[label].append(row)
        chosen = [rows[i] for rows in own for i in rng.permutation(len(rows))[:share]]
        return replace(self, train=VideoItems.of(self.train).take(chosen))

    def with_classes(self, classes: tuple[str, ...]) -> VideoSet:
        """The set with labels that index other classes, which must include its own names. Spaces equal underscores.

        Raises:
            DataError: a class of the set is not among them, or the set has no labels.
        """
        if self.classes == classes:
            return self
        number = {name.replace("_", " "): i for i, name in enumerate(classes)}
        unknown = [name for name in self.classes if name.replace("_", " ") not in number]
        if unknown or not self.classes:
            raise DataError(
                self.root,
                f"classes {', '.join((unknown or ['none'])[:8])}",
                f"those of the run: {', '.join(classes[:8])}{', ...' if len(classes) > 8 else ''}",
                "if annotations only number the classes, name them with classes=FILE",
                reason="mismatch",
            )
        moved = [number[name.replace("_", " ")] for name in self.classes]

        def move(items: Sequence[VideoItem]) -> VideoItems:
            """The items with their labels in the numbering of `classes`."""
            labels = (None if label is None else moved[label] for label in labels_of(items))
            return VideoItems.of(items).with_labels(labels)

        return replace(self, train=move(self.train), test=move(self.test), classes=classes)


def evenly_spaced(items: Sequence[_ItemT], count: int) -> list[_ItemT]:
    """At most `count` items at even distances, so that every part of a sorted list is represented."""
    step = max(len(items) / max(count, 1), 1.0)
    return [items[int(i * step)] for i in range(min(count, len(items)))]


def common_folder(paths: Sequence[str]) -> int:
    """Number of characters of the deepest folder that contains all paths, including its last slash."""
    if not paths:
        return 0
    low, high = min(paths), max(paths)  # a prefix of these two is a prefix of all
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low.rfind("/", 0, same) + 1
