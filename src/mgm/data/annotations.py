"""Which videos there are, and their labels: class folders, with or without splits, or a tree without labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mgm.errors import DataError, VideoError
from mgm.video.scan import find_videos

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "val", "validation")
HELD_OUT = 0.25
"""Share of the source groups (or files) that a folder without a split of its own keeps for testing."""

GROUP = re.compile(r"(?:^|_)g(\d+)_")
"""How UCF101 and its descendants name the source video of a clip: v_Archery_g01_c02.avi, g012_fi064.mp4."""


@dataclass(frozen=True, slots=True)
class VideoItem:
    """One video, or the part of it that an annotation speaks of.

    Attributes:
        path: the file.
        label: indexes `VideoSet.classes`; None where it has none.
        start, end: the part, frames start to end - 1 of the file; None: to the end of the file.
    """

    path: str
    label: int | None = None
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class VideoSet:
    """The videos of one folder.

    Attributes:
        root: the folder.
        train: videos to learn from. Without labels, all of them.
        test: videos kept for judging; empty without labels.
        classes: names of the labels, sorted; empty without labels.
        split: one sentence on how train and test were told apart.
    """

    root: str
    train: tuple[VideoItem, ...]
    test: tuple[VideoItem, ...]
    classes: tuple[str, ...]
    split: str

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


def find_set(root: str | Path) -> VideoSet:
    """Recognise the layout of a folder by its contents::

        root/train/<class>/x.mp4, root/test/<class>/y.mp4     labels and a split (test, val or validation)
        root/<class>/x.mp4                                    labels; a quarter is held out for testing
        root/x.mp4, or any other tree                         no labels
        root/shards.json                                      what `mgm pack` wrote; root may be a URL

    Held-out videos are chosen by a checksum of class and name, so the split does not depend on the machine or on what else is in
    the folder. Clips of one source video, where names tell (`GROUP`), all go to the same side: otherwise recognising the source
    passes for recognising the class.

    Raises:
        DataError: not a folder, or its test/ has classes that its train/ lacks. VideoError: no video in it.
    """
    from mgm.data.shards import is_shards, shard_set  # which knows what a set is

    if is_shards(root):
        return shard_set(root)
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"{root}: is not a folder, expected a folder of videos; check the path")
    train, test = _sub(folder, TRAIN_NAMES), _sub(folder, TEST_NAMES)
    if train and test:
        classes, tested = _classes(train), _class_folders(test)
        if classes and tested:
            unknown = sorted(set(tested) - set(classes))
            if unknown:
                raise DataError(
                    f"{test}: has the classes {', '.join(unknown)}, expected those of {train.name}/ "
                    f"({', '.join(classes)}); rename the folders, or take them out"
                )
            return VideoSet(
                str(root),
                _labelled(train, classes),
                _labelled(test, classes),
                classes,
                f"folders {train.name}/ and {test.name}/",
            )
    classes = () if train and test else _classes(folder)  # a split is no pair of classes
    if not classes:
        items = tuple(VideoItem(str(p)) for p in find_videos([folder]))
        return VideoSet(str(root), items, (), (), "no class folders, so no labels")
    items = _labelled(folder, classes)
    scores = {i.path: _score(Path(i.path).relative_to(folder)) for i in items}
    limit = max(HELD_OUT, min(scores.values()))  # a small set keeps at least one source for testing
    held = {path for path, score in scores.items() if score < HELD_OUT or score == limit}
    grouped = any(GROUP.search(Path(i.path).name) for i in items)
    how = "source videos (from the g<number> in the names)" if grouped else "files"
    return VideoSet(
        str(root),
        tuple(i for i in items if i.path not in held),
        tuple(i for i in items if i.path in held),
        classes,
        f"{HELD_OUT:.0%} of the {how} held out by a checksum of class and name",
    )


def _sub(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _classes(folder: Path) -> tuple[str, ...]:
    """Names of the class folders, at least two: one says nothing."""
    classes = _class_folders(folder)
    return classes if len(classes) > 1 else ()


def _class_folders(folder: Path) -> tuple[str, ...]:
    """First-level folders with videos, sorted; none where a video lies outside of them or deeper."""
    try:
        names = [p.relative_to(folder).parts for p in find_videos([folder])]
    except VideoError:
        return ()
    if any(len(parts) != 2 for parts in names):
        return ()
    return tuple(sorted({parts[0] for parts in names}))


def _labelled(folder: Path, classes: tuple[str, ...]) -> tuple[VideoItem, ...]:
    number = {name: label for label, name in enumerate(classes)}
    return tuple(VideoItem(str(p), number[p.relative_to(folder).parts[0]]) for p in find_videos([folder]))


def _score(path: Path) -> float:
    """In [0, 1): a checksum of the source video, else of class and name (classes often number their files alike)."""
    match = GROUP.search(path.name)
    key = match.group(1) if match else path.as_posix()
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest()) / 2**48
