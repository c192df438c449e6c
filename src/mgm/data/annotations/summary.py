"""Summarises a set for `mgm data show`, before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from mgm.data.annotations.resolve import ResolvedSet, ResolvedSource, resolve_set
from mgm.data.annotations.same_file import of_repeated_files
from mgm.data.annotations.spec import SetSpecLike
from mgm.data.annotations.splits import SOURCE_NUMBER
from mgm.data.clips.images import is_picture
from mgm.data.items import VideoItem, VideoItems
from mgm.data.judging import unprobeable, untestable
from mgm.data.shards.members import ShardMember, parse_member
from mgm.errors import DataError
from mgm.video.scan.suffixes import VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Counts of one split of a set.

    Attributes:
        items: all items, as listed. `missing`: those that are not on disk.
        videos, frames, pictures: items by kind; `frames` are folders of frames.
        spans: items that are a part of their file.
        labelled: items with a label.
        repeated: items that occur more than once, same file and part.
        source_videos: distinct source videos by the number in the names (`g012_`); 0 if names have none.
    """

    items: int
    missing: int
    videos: int
    frames: int
    pictures: int
    spans: int
    labelled: int
    repeated: int
    source_videos: int


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class and its items in both splits, as listed; `missing` of them are not on disk."""

    name: str
    train: int
    test: int
    missing: int


@dataclass(frozen=True, slots=True)
class DataSummary:
    """A set and how its specification was resolved.

    Attributes:
        spec: the specification.
        sources: its files and folders, each with its format and its missing files.
        split_rule: one sentence on how train and test are separated.
        names_from: source of the class names, in words.
        train, test: counts, before pictures are mixed in.
        pictures: still pictures beside the videos; `picture_samples` of the `samples` of an epoch show one, at the given ratio.
        classes: in the order of their numbers.
        examples: first items of train and test.
        renamed: number of listed files found under another suffix. renamed_example: (name, path) of the first.
        in_both_splits: paths of files that are in both splits.
        conflicting: paths of files with more than one label.
        sources_in_both_splits: source videos, by the number in the names, with clips in both splits.
        untestable, unprobeable: why `mgm evaluate` or `mgm probe` refuses the set; None if it does not.
        notes: entries that were left out, and why.
    """

    spec: str
    sources: tuple[ResolvedSource, ...]
    split_rule: str
    names_from: str
    train: SplitCounts
    test: SplitCounts
    pictures: int
    picture_samples: int
    samples: int
    classes: tuple[ClassCount, ...]
    examples: tuple[VideoItem, ...]
    renamed: int
    renamed_example: tuple[str, str] | None
    in_both_splits: tuple[str, ...]
    conflicting: tuple[str, ...]
    sources_in_both_splits: tuple[str, ...]
    untestable: DataError | None
    unprobeable: DataError | None
    notes: tuple[str, ...]

    @property
    def missing(self) -> int:
        """Listed files that are not on disk."""
        return sum(len(source.missing) for source in self.sources)

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes without a training item; empty if the training items have no labels."""
        return tuple(c.name for c in self.classes if not c.train) if self.train.labelled else ()

    def to_dict(self) -> dict[str, Any]:
        """All fields but the names of missing files, for JSON."""
        return {
            "spec": self.spec,
            "sources": [
                {
                    "file": str(source.listed.file),
                    "format": source.listed.format,
                    "why": source.listed.why,
                    "split": source.listed.split,
                    "root": source.root,
                    "entries": len(source.listed.entries),
                    "labels": source.listed.labels,
                    "missing": len(source.missing),
                    "advice": source.advice,
                }
                for source in self.sources
            ],
            "split rule": self.split_rule,
            "names from": self.names_from,
            "train": {key: getattr(self.train, key) for key in SplitCounts.__slots__},
            "test": {key: getattr(self.test, key) for key in SplitCounts.__slots__},
            "pictures": self.pictures,
            "picture samples": self.picture_samples,
            "samples": self.samples,
            "classes": {c.name: {"train": c.train, "test": c.test, "missing": c.missing} for c in self.classes},
            "in both splits": list(self.in_both_splits),
            "more than one label": list(self.conflicting),
            "sources in both splits": list(self.sources_in_both_splits),
            "untestable": self.untestable and self.untestable.line,
            "unprobeable": self.unprobeable and self.unprobeable.line,
            "notes": list(self.notes),
        }


def summarise_set(spec: SetSpecLike) -> DataSummary:
    """Load the set of a specification and count it. Missing files are counted, not an error; nothing is decoded.

    Args:
        spec: as for `load_set`.

    Raises:
        DataError, VideoError: as `load_set`, except for missing files.
    """
    found = resolve_set(spec)
    train, test = VideoItems.of(found.listed.train), VideoItems.of(found.listed.test)
    videos = found.videos
    pictures = {item.path for item in found.pictures}
    train_counts, test_counts = (Counter(items.labels) for items in (train, test))
    absent_counts = Counter(
        label for items in (train, test) for label in items.where(items.paths.among(found.absent)).labels
    )
    tested = set(found.real.each(test.paths))
    trained = zip(train.paths, found.real.each(train.paths), strict=True)
    train_sources, test_sources = _source_videos(train), _source_videos(test)
    return DataSummary(
        spec=found.spec.text,
        sources=found.sources,
        split_rule=found.listed.split_rule,
        names_from=found.names_from,
        train=_count(train, found, len(train_sources)),
        test=_count(test, found, len(test_sources)),
        pictures=len(found.pictures),
        picture_samples=sum(1 for item in videos.train if item.path in pictures) if pictures else 0,
        samples=len(videos.train),
        classes=tuple(
            ClassCount(name, train_counts[label], test_counts[label], absent_counts[label])
            for label, name in enumerate(found.listed.classes)
        ),
        examples=(*train[:3], *test[:2], *found.pictures[:1]),
        renamed=len(found.renamed),
        renamed_example=next(iter(found.renamed), None),
        in_both_splits=tuple(sorted({path for path, real in trained if real in tested})),
        conflicting=tuple(found.conflicting),
        sources_in_both_splits=tuple(sorted(train_sources & test_sources)),
        untestable=untestable(videos),
        unprobeable=unprobeable(videos),
        notes=found.listed.notes,
    )


def _count(items: VideoItems, found: ResolvedSet, source_videos: int) -> SplitCounts:
    kinds = Counter(map(_kind, items.paths))
    several = of_repeated_files(items, found.real)
    return SplitCounts(
        items=len(items),
        missing=int(items.paths.among(found.absent).sum()),
        videos=kinds["video"],
        frames=kinds["frames"],
        pictures=kinds["picture"],
        spans=0 if items.whole else sum(1 for item in items if item.start or item.end is not None),
        labelled=int(items.labelled.sum()),
        repeated=len(several) - len({(found.real[item.path], item.start, item.end) for item in several}),
        source_videos=source_videos,
    )


def _kind(path: str) -> str:
    """Kind of an item by its name; opening every file would take longer than the rest."""
    if is_picture(path):
        return "picture"
    known = path[path.rfind(".") :].lower() in VIDEO_SUFFIXES or "://" in path or _member(path) is not None
    return "video" if known else "frames"


def _member(path: str) -> ShardMember | None:
    return parse_member(path) if "#" in path else None


def _file_name(path: str) -> str:
    member = _member(path)
    return (path if member is None else member.name).rpartition("/")[2]


def _source_videos(items: VideoItems) -> set[str]:
    """Source videos, each as its name up to the number: UCF101 restarts the numbers in each class."""
    names = map(_file_name, items.paths)
    return {match.string[: match.end()].rstrip("_") for name in names if (match := SOURCE_NUMBER.search(name))}
