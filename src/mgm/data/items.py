"""A set of videos: its items, their labels and its split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from mgm.errors import DataError, VideoError
from mgm.video.container.metadata import VideoInfo

_Item = TypeVar("_Item")


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
    train: tuple[VideoItem, ...]
    test: tuple[VideoItem, ...]
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
    def items(self) -> tuple[VideoItem, ...]:
        """All videos, train first."""
        return self.train + self.test

    def only(self, paths: Iterable[str]) -> VideoSet:
        """The set, restricted to videos whose path is in `paths`."""
        keep = set(paths)
        return replace(
            self,
            train=tuple(i for i in self.train if i.path in keep),
            test=tuple(i for i in self.test if i.path in keep),
        )

    def with_few_labels(self, count: int, *, seed: int) -> VideoSet:
        """The set with at most `count` labelled training videos, drawn at random, equally many of each class."""
        rng = np.random.default_rng(seed)
        share = count // max(len(self.classes), 1)
        chosen: list[VideoItem] = []
        for label in range(len(self.classes)):
            own = [item for item in self.train if item.label == label]
            chosen += [own[i] for i in rng.permutation(len(own))[:share]]
        return replace(self, train=tuple(chosen))

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

        def move(items: tuple[VideoItem, ...]) -> tuple[VideoItem, ...]:
            return tuple(i if i.label is None else replace(i, label=moved[i.label]) for i in items)

        return replace(self, train=move(self.train), test=move(self.test), classes=classes)


def evenly_spaced(items: Sequence[_Item], count: int) -> list[_Item]:
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
