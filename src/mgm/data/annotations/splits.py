"""Which side of a set each item goes to."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from mgm.data.annotations.read import Sided
from mgm.data.annotations.spec import Spec
from mgm.data.annotations.video_list import Split
from mgm.data.items import VideoItem, VideoSet

Placed = tuple[Split | None, VideoItem]


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


def _judged(spec: Spec, items: Sequence[Placed]) -> tuple[Split, Split]:
    """(the side that is for judging, the other one)."""
    labelled = {side for side, item in items if item.label is not None}
    there = {side for side, _ in items}
    if spec.test_split == "val" or (spec.test_split is None and "val" in there and not labelled & {"test"}):
        return "val", "test"
    return "test", "val"


def _sentence(read: Sequence[Sided], judged: Split) -> str:
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


HELD_OUT = 0.25
"""Share of the source groups (or files) that is kept for testing."""

GROUP = re.compile(r"(?:^|_)g(\d+)_")
"""How UCF101 and its descendants name the source video of a clip: v_Archery_g01_c02.avi, g012_fi064.mp4."""


def held_out(names: Sequence[str]) -> tuple[set[str], str]:
    """Those of the names, each `<class>/<file>`, that are kept for testing, and the sentence that says how they were chosen.

    By a checksum of class and name, so the split does not depend on the machine or on what else is in the set. Clips of one source
    video, where names tell (`GROUP`), all go to the same side: otherwise recognising the source passes for recognising the class.
    """
    scores = {name: _score(PurePath(name)) for name in names}
    limit = max(HELD_OUT, min(scores.values()))  # a small set keeps at least one source for testing
    held = {name for name, score in scores.items() if score < HELD_OUT or score == limit}
    grouped = any(GROUP.search(PurePath(name).name) for name in names)
    how = "source videos (from the g<number> in the names)" if grouped else "files"
    return held, f"{HELD_OUT:.0%} of the {how} held out by a checksum of class and name"


def _score(name: PurePath) -> float:
    """In [0, 1): a checksum of the source video, else of class and name (classes often number their files alike)."""
    match = GROUP.search(name.name)
    key = match.group(1) if match else name.as_posix()
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=6).digest()) / 2**48
