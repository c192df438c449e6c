"""What a set turned out to be: for `mgm data show`, before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mgm.data.annotations.resolve import ResolvedSource, resolve_set
from mgm.data.annotations.spec import SpecLike
from mgm.data.annotations.splits import GROUP
from mgm.data.clips.images import is_picture
from mgm.data.items import VideoItem
from mgm.data.shards.members import parse_member
from mgm.video.scan.scan import VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True)
class SideCounts:
    """What one side of a set holds.

    Attributes:
        items: all of it, as listed; `missing`: those of them that are not on disk.
        videos, frames, pictures: by kind; frames are folders of them.
        spans: items that are a part of their file.
        labelled: items with a label.
        twice: items that are there more than once, same file and part.
        groups: source videos, where names tell them (`g012_`); 0 where they do not.
    """

    items: int
    missing: int
    videos: int
    frames: int
    pictures: int
    spans: int
    labelled: int
    twice: int
    groups: int


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class and its items on both sides, as listed; `missing` of them are not on disk."""

    name: str
    train: int
    test: int
    missing: int


@dataclass(frozen=True, slots=True)
class DataSummary:
    """A set, as it was understood.

    Attributes:
        spec: what was asked for.
        sources: its files and folders, each with its format, what told it, and what is missing.
        split: one sentence on how train and test were told apart.
        names: where the names of the classes are from.
        train, test: counts, before pictures are mixed in.
        pictures: still pictures beside the videos; `picture_samples` of the `samples` of an epoch show one, at the ratio asked for.
        classes: in the order of their numbers.
        examples: first items of train and test.
        renamed: how many listed files are there under another suffix, and the first (name, path).
        both_sides: paths that are on both sides.
        groups_on_both_sides: source videos, as their names tell, with clips on both sides.
        notes: what was left out.
    """

    spec: str
    sources: tuple[ResolvedSource, ...]
    split: str
    names: str
    train: SideCounts
    test: SideCounts
    pictures: int
    picture_samples: int
    samples: int
    classes: tuple[ClassCount, ...]
    examples: tuple[VideoItem, ...]
    renamed: tuple[int, tuple[str, str] | None]
    both_sides: tuple[str, ...]
    groups_on_both_sides: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def missing(self) -> int:
        """Listed files that are not on disk."""
        return sum(len(source.missing) for source in self.sources)

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes without a training item, where there are classes and training items."""
        return tuple(c.name for c in self.classes if not c.train) if self.train.labelled else ()

    def to_dict(self) -> dict[str, Any]:
        """Everything but the names of all missing files, for JSON."""
        return {
            "spec": self.spec,
            "sources": [
                {
                    "file": str(s.listing.file),
                    "format": s.listing.format,
                    "why": s.listing.why,
                    "side": s.side,
                    "root": s.root,
                    "entries": len(s.listing.entries),
                    "labels": s.listing.labels,
                    "missing": len(s.missing),
                    "hint": s.hint,
                }
                for s in self.sources
            ],
            "split": self.split,
            "names": self.names,
            "train": {key: getattr(self.train, key) for key in SideCounts.__slots__},
            "test": {key: getattr(self.test, key) for key in SideCounts.__slots__},
            "pictures": self.pictures,
            "picture samples": self.picture_samples,
            "samples": self.samples,
            "classes": {c.name: {"train": c.train, "test": c.test, "missing": c.missing} for c in self.classes},
            "both sides": list(self.both_sides),
            "groups on both sides": list(self.groups_on_both_sides),
            "notes": list(self.notes),
        }


def summarise_set(spec: SpecLike) -> DataSummary:
    """Read what a specification describes and count it. Files that are missing are counted, not an error; nothing is decoded.

    Args:
        spec: as for `load_set`.

    Raises:
        DataError, VideoError: as `load_set`, but for missing files.
    """
    found = resolve_set(spec)
    train, test = found.listed.train, found.listed.test
    mixed = found.videos.train
    shown = {item.path for item in found.pictures}
    sides = [Counter(item.label for item in side) for side in (train, test)]
    absent = Counter(item.label for item in train + test if item.path in found.absent)
    paths = [{item.path for item in side} for side in (train, test)]
    groups = [_groups(side) for side in (train, test)]
    return DataSummary(
        spec=found.spec.text,
        sources=found.sources,
        split=found.listed.split,
        names=found.names,
        train=_count(train, found.absent, len(groups[0])),
        test=_count(test, found.absent, len(groups[1])),
        pictures=len(found.pictures),
        picture_samples=sum(1 for item in mixed if item.path in shown) if shown else 0,
        samples=len(mixed),
        classes=tuple(
            ClassCount(name, sides[0][i], sides[1][i], absent[i]) for i, name in enumerate(found.listed.classes)
        ),
        examples=train[:3] + test[:2] + found.pictures[:1],
        renamed=(len(found.renamed), next(iter(found.renamed), None)),
        both_sides=tuple(sorted(paths[0] & paths[1])),
        groups_on_both_sides=tuple(sorted(groups[0] & groups[1])),
        notes=found.listed.notes,
    )


def _count(items: Sequence[VideoItem], absent: Container[str], groups: int) -> SideCounts:
    kinds = Counter(_kind(item.path) for item in items)
    return SideCounts(
        items=len(items),
        missing=sum(1 for item in items if item.path in absent),
        videos=kinds["video"],
        frames=kinds["frames"],
        pictures=kinds["picture"],
        spans=sum(1 for item in items if item.start or item.end is not None),
        labelled=sum(1 for item in items if item.label is not None),
        twice=len(items) - len({(item.path, item.start, item.end) for item in items}),
        groups=groups,
    )


def _kind(path: str) -> str:
    """By its name: looking at every file would take longer than everything else."""
    if is_picture(path):
        return "picture"
    known = path[path.rfind(".") :].lower() in VIDEO_SUFFIXES or "://" in path or parse_member(path) is not None
    return "video" if known else "frames"


def _name(path: str) -> str:
    member = parse_member(path)
    return (path if member is None else member.name).rpartition("/")[2]


def _groups(items: Iterable[VideoItem]) -> set[str]:
    """Source videos, each by its name up to the number: UCF101 numbers them anew in each class."""
    names = (_name(item.path) for item in items)
    return {match.string[: match.end()].rstrip("_") for name in names if (match := GROUP.search(name))}
