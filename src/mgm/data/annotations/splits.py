"""Divides the items of a set into train and test."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from mgm.data.annotations.video_list import Split, TestSplit, VideoList
from mgm.data.items import VideoItems, VideoSet

_HELD_OUT = 0.25
"""Share of the source videos (or files) that is held out for testing."""

SOURCE_NUMBER = re.compile(r"(?:^|_)g(\d+)_")
"""Number of a clip's source video in names of UCF101 and its descendants: v_Archery_g01_c02.avi, g012_fi064.mp4."""


def divide_set(
    name: str,
    lists: Sequence[VideoList],
    items: VideoItems,
    splits: Sequence[Split | None],
    classes: tuple[str, ...],
    test_split: TestSplit | None,
) -> VideoSet:
    """Divide the items of a set into train and test.

    If a set has both test and val, test is used where it has labels, else val; `test_split` overrides this. A set with labels whose
    annotations give no split holds some items out (`hold_out`); without labels all items are for training.

    Args:
        name: name of the set in errors, `VideoSet.root`.
        lists: the lists that the items come from.
        splits: of each item, as its annotation gives it; None if it gives none.
    """
    notes = []
    used, unused = _choose_test_split(items, splits, test_split)
    counts = Counter(splits)
    if counts[unused]:
        notes.append(
            f"{counts[unused]:,} videos of the {unused} split are not used, {counts[used]:,} of {used} are for testing; "
            f"to swap them: test_split={unused}"
        )
    train, test = (
        items.where(np.fromiter(map(names.__contains__, splits), np.bool_, len(items)))
        for names in ((None, "train"), (used,))
    )
    if classes and (bare := int((~test.labelled).sum())):
        notes.append(f"{bare:,} test videos without a label were left out")
        test = test.where(test.labelled)
    rule = _describe_split(lists, used)
    if classes and train and len(train) == len(items) == counts[None]:
        held, rule = hold_out(map(_class_and_name, train.paths), train.labels)
        train, test = train.where(~held), train.where(held)
    return VideoSet(name, train, test, classes, rule, tuple(notes))


def _class_and_name(path: str) -> str:
    """The last two parts of a path. Making a Path of each of millions takes minutes."""
    *_, folder, name = ("", *path.rsplit("/", 2))
    plain = folder not in ("", ".") and name not in ("", ".") and "\\" not in path
    return f"{folder}/{name}" if plain else "/".join(PurePath(path).parts[-2:])


def _choose_test_split(
    items: VideoItems, splits: Sequence[Split | None], test_split: TestSplit | None
) -> tuple[TestSplit, TestSplit]:
    """(the split that is used for testing, the other one)."""
    labelled = set(compress(splits, items.labelled.tolist()))
    if test_split == "val" or (test_split is None and "val" in set(splits) and "test" not in labelled):
        return "val", "test"
    return "test", "val"


def _describe_split(lists: Sequence[VideoList], used: Split) -> str:
    """One sentence on how train and test are separated."""
    if len(lists) == 1 and lists[0].split_rule:
        return lists[0].split_rule
    parts = []
    for split, purpose in (("train", "training"), (used, "testing")):
        whole = [listed.file.name for listed in lists if listed.split == split]
        partly = [
            listed.file.name for listed in lists if listed.split is None and split in (listed.entries.splits or ())
        ]
        if whole:
            parts.append(f"{', '.join(whole)} for {purpose}")
        if partly:
            parts.append(f"{', '.join(partly)} marks the videos for {purpose}")
    return "; ".join(parts) or "no split is given: all videos are for training"


def hold_out(names: Iterable[str], labels: Sequence[int | None]) -> tuple[npt.NDArray[np.bool_], str]:
    """Choose test videos of a set without a split, by a checksum of class and name.

    The choice does not depend on the machine, nor on the rest of the set, except for classes of which every source would be held
    out: they keep one to train on. Clips of one source video, if names contain its number (`SOURCE_NUMBER`), all go to the same
    split: otherwise a model could recognise the source instead of the class. Videos without a label are for training.

    Args:
        names: `<class>/<file>` of each video.
        labels: of each video.

    Returns:
        (bool (videos,), True = held out; one sentence on how they were chosen).
    """
    grouped = False

    def sources() -> Iterator[str]:
        """The source video of each video, else its class and name: classes often number their files alike."""
        nonlocal grouped
        for name in names:
            match = SOURCE_NUMBER.search(name.rpartition("/")[2])
            grouped = grouped or match is not None
            yield match.group(1) if match else name

    scores = list(map(_checksum, sources()))
    held = _held(scores, labels)
    units = "source videos (from the g<number> in the names)" if grouped else "files"
    rule = f"{_HELD_OUT:.0%} of the {units} held out by a checksum of class and name"
    if not held:
        rule = f"none of the {units} is held out: each is all that some class has"
    chosen = (score in held and label is not None for score, label in zip(scores, labels, strict=True))
    return np.fromiter(chosen, np.bool_, len(scores)), rule


def _held(scores: Sequence[float], labels: Sequence[int | None]) -> set[float]:
    """The checksums of the sources that are held out, at least one if some class can spare it."""
    held = {score for score in scores if score < _HELD_OUT}
    trained = {label for score, label in zip(scores, labels, strict=True) if score not in held}
    classes = set(labels) - {None}
    emptied = _sources(scores, labels, classes - trained)
    for own in sorted(emptied, key=lambda own: (len(own), sorted(own))):  # a source may have videos of several classes
        if own <= held:
            held.remove(max(own))
    if not held:
        sources = _sources(scores, labels, classes)
        only = {score for own in sources if len(own) == 1 for score in own}
        held = set(sorted(set().union(*sources) - only)[:1])
    return held


def _sources(scores: Sequence[float], labels: Sequence[int | None], classes: set[int | None]) -> list[set[float]]:
    """The checksums of the sources of each of `classes`."""
    found: dict[int | None, set[float]] = {label: set() for label in classes}
    for score, label in zip(scores, labels, strict=True):
        if label in found:
            found[label].add(score)
    return list(found.values())


def _checksum(key: str) -> float:
    """In [0, 1)."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=6).digest()) / 2**48
