"""A set of videos: its items, their labels and its split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from mgm.errors import DataError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VideoItem:
    """One video, or the part of it that an annotation speaks of.

    Attributes:
        path: a video, a still picture, or a folder of pictures that are the frames of a video.
        label: indexes `VideoSet.classes`; None where it has none.
        start, end: the part, frames start to end - 1 of the file; None: to the end of the file.
    """

    path: str
    label: int | None = None
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class VideoSet:
    """The videos of one set.

    Attributes:
        root: the folder, the annotation file or the specification: how errors call the set.
        train: videos to learn from. Without labels, all of them. Where pictures are mixed in at a ratio, the rarer kind repeats.
        test: videos kept for judging; empty without labels.
        classes: names of the labels; empty without labels. Sorted, unless the annotations number them.
        split: one sentence on how train and test were told apart.
        notes: what a user should know before a run: files that are missing, rows that were left out.
    """

    root: str
    train: tuple[VideoItem, ...]
    test: tuple[VideoItem, ...]
    classes: tuple[str, ...]
    split: str
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[VideoItem, ...]:
        """All videos, train first."""
        return self.train + self.test

    def only(self, paths: Iterable[str]) -> VideoSet:
        """The set without the videos whose path is not in `paths`."""
        keep = set(paths)
        return replace(
            self,
            train=tuple(i for i in self.train if i.path in keep),
            test=tuple(i for i in self.test if i.path in keep),
        )

    def with_classes(self, classes: tuple[str, ...]) -> VideoSet:
        """The set with its labels counted as those of other classes, which have at least the same names; a space and an underscore
        are one.

        Raises:
            DataError: it has a class that is none of them, or no labels at all.
        """
        if self.classes == classes:
            return self
        number = {name.replace("_", " "): i for i, name in enumerate(classes)}
        unknown = [name for name in self.classes if name.replace("_", " ") not in number]
        if unknown or not self.classes:
            found = ", ".join((unknown or ["none"])[:8])
            raise DataError(
                f"{self.root}: has the classes {found}, expected those of the run: {', '.join(classes[:8])}"
                f"{', ...' if len(classes) > 8 else ''}; where annotations only number them, name them with classes=FILE"
            )
        moved = [number[name.replace("_", " ")] for name in self.classes]

        def move(items: tuple[VideoItem, ...]) -> tuple[VideoItem, ...]:
            return tuple(i if i.label is None else replace(i, label=moved[i.label]) for i in items)

        return replace(self, train=move(self.train), test=move(self.test), classes=classes)


def evenly_spaced(items: Sequence[T], count: int) -> list[T]:
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
