"""Sets that are folders: class folders, with or without splits, or a tree without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mgm.data.items import VideoItem, VideoSet
from mgm.errors import DataError, VideoError
from mgm.video.scan.scan import find_videos

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "val", "validation")

Finder = Callable[[Path], list[Path]]
"""The files below a folder that count, sorted; VideoError where there is none."""


def videos_below(folder: Path) -> list[Path]:
    """Every file with a video's suffix."""
    return find_videos([folder])


def folder_set(folder: Path, find: Finder = videos_below) -> VideoSet:
    """Recognise the layout of a folder by its contents::

        root/train/<class>/x.mp4, root/test/<class>/y.mp4     labels and a split (test, val or validation)
        root/<class>/x.mp4                                    labels; all in `train`, and `split` is empty: see `divide`
        root/x.mp4, or any other tree                         no labels

    Raises:
        DataError: its test/ has classes that its train/ lacks. VideoError: no video in it.
    """
    train, test = _sub(folder, TRAIN_NAMES), _sub(folder, TEST_NAMES)
    if train and test:
        classes, tested = _classes(train, find), _class_folders(test, find)
        if classes and tested:
            unknown = sorted(set(tested) - set(classes))
            if unknown:
                raise DataError(
                    f"{test}: has the classes {', '.join(unknown)}, expected those of {train.name}/ "
                    f"({', '.join(classes)}); rename the folders, or take them out"
                )
            return VideoSet(
                str(folder),
                _labelled(train, classes, find),
                _labelled(test, classes, find),
                classes,
                f"folders {train.name}/ and {test.name}/",
            )
    classes = () if train and test else _classes(folder, find)  # a split is no pair of classes
    if not classes:
        items = tuple(VideoItem(str(p)) for p in find(folder))
        return VideoSet(str(folder), items, (), (), "no class folders, so no labels")
    return VideoSet(str(folder), _labelled(folder, classes, find), (), classes, "")


def _sub(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _classes(folder: Path, find: Finder) -> tuple[str, ...]:
    """Names of the class folders, at least two: one says nothing."""
    classes = _class_folders(folder, find)
    return classes if len(classes) > 1 else ()


def _class_folders(folder: Path, find: Finder) -> tuple[str, ...]:
    """First-level folders with videos, sorted; none where a video lies outside of them or deeper."""
    try:
        names = [p.relative_to(folder).parts for p in find(folder)]
    except VideoError:
        return ()
    if any(len(parts) != 2 for parts in names):
        return ()
    return tuple(sorted({parts[0] for parts in names}))


def _labelled(folder: Path, classes: tuple[str, ...], find: Finder) -> tuple[VideoItem, ...]:
    number = {name: label for label, name in enumerate(classes)}
    return tuple(VideoItem(str(p), number[p.relative_to(folder).parts[0]]) for p in find(folder))
