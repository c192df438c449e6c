"""Which side of a set each item goes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from mgm.data.annotations.holdout import held_out
from mgm.data.annotations.listing import Side
from mgm.data.annotations.reading import Sided
from mgm.data.annotations.spec import Spec
from mgm.data.items import VideoItem, VideoSet

Placed = tuple[Side | None, VideoItem]


def divide(spec: Spec, read: Sequence[Sided], items: Sequence[Placed], classes: tuple[str, ...]) -> VideoSet:
    """The two sides of a set.

    Of two held-out sides, test is for judging where it has labels, else val; `test_split` chooses. A set with labels whose
    annotations tell no side holds some out (`held_out`); without labels all of it is for training.
    """
    notes = []
    judged, other = _judged(spec, items)
    counts = Counter(side for side, _ in items)
    if counts[other]:
        notes.append(
            f"{counts[other]:,} videos of the {other} side are not used, {counts[judged]:,} of {judged} are for judging; "
            f"the other way round: test_split={other}"
        )
    train = [item for side, item in items if side in (None, "train")]
    test = [item for side, item in items if side == judged]
    if classes and (bare := sum(1 for item in test if item.label is None)):
        notes.append(f"{bare:,} test videos have no label and are left out")
        test = [item for item in test if item.label is not None]
    split = _sentence(read, judged)
    if classes and train and len(train) == len(items) == counts[None]:
        keys = {item.path: "/".join(PurePath(item.path).parts[-2:]) for item in train}
        held, split = held_out(list(keys.values()))
        test = [item for item in train if keys[item.path] in held]
        train = [item for item in train if keys[item.path] not in held]
    return VideoSet(spec.text, tuple(train), tuple(test), classes, split, tuple(notes))


def _judged(spec: Spec, items: Sequence[Placed]) -> tuple[Side, Side]:
    """(the side that is for judging, the other one)."""
    labelled = {side for side, item in items if item.label is not None}
    there = {side for side, _ in items}
    if spec.test_split == "val" or (spec.test_split is None and "val" in there and not labelled & {"test"}):
        return "val", "test"
    return "test", "val"


def _sentence(read: Sequence[Sided], judged: Side) -> str:
    """How train and test were told apart."""
    if len(read) == 1 and read[0][0].split:
        return read[0][0].split
    parts = []
    for side, word in (("train", "training"), (judged, "testing")):
        named = [listing.file.name for listing, own in read if own == side]
        inner = [
            listing.file.name for listing, own in read if own is None and any(e.side == side for e in listing.entries)
        ]
        if named:
            parts.append(f"{', '.join(named)} for {word}")
        if inner:
            parts.append(f"{', '.join(inner)} marks what is for {word}")
    return "; ".join(parts) or "nothing tells train from test: all is for training"
