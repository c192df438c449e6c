"""What of a set can be judged: one answer for `mgm data show`, `finetune`, `probe`, `evaluate` and the demo.

Each function returns the error of a set that cannot be used, or None.
"""

from __future__ import annotations

from collections.abc import Sequence

from mgm.data.items import VideoItem, VideoSet, labels_of
from mgm.errors import DataError


def without_training(videos: VideoSet) -> DataError | None:
    """Why nothing can be trained on a set, with labels or without."""
    if videos.train:
        return None
    found = f"no training videos ({videos.split_rule})"
    return DataError(videos.root, found, advice="give them with train=FILE", reason="missing_value")


def untrainable(videos: VideoSet) -> DataError | None:
    """Why no classifier can be trained on a set: it needs labelled training videos of two classes."""
    error = _label_error(videos, videos.train, "training")
    trained = set(labels_of(videos.train))
    if error is not None or len(trained) > 1:
        return error
    only = ", ".join(videos.classes[label] for label in trained if label is not None)
    return DataError(
        videos.root,
        f"every training video is of one class, {only}",
        "two classes or more",
        "give them with train=FILE or class folders",
        reason="missing_value",
    )


def untestable(videos: VideoSet) -> DataError | None:
    """Why no trained classifier can be tested on a set: it needs test videos, each with a label."""
    return _label_error(videos, videos.test, "test")


def unprobeable(videos: VideoSet) -> DataError | None:
    """Why no accuracy can be measured after training on a set itself: some class has test videos, but none for training, so that
    every answer about them would be wrong."""
    error = untestable(videos) or untrainable(videos)
    tested, trained = (set(labels_of(items)) for items in (videos.test, videos.train))
    unknown = sorted(label for label in tested - trained if label is not None)
    if error is not None or not unknown:
        return error
    name = videos.classes[unknown[0]]
    if not tested & trained:
        found = "no class has both training and test videos"
    elif len(unknown) == 1:
        found = f"class {name} has test videos and none for training"
    else:
        found = f"{len(unknown):,} classes have test videos and none for training, such as {name}"
    return DataError(
        videos.root,
        f"{found} ({videos.split_rule})",
        "a training video of every class with test videos",
        "add videos, or give the split with train=FILE,test=FILE",
        reason="mismatch",
    )


def _label_error(videos: VideoSet, items: Sequence[VideoItem], purpose: str) -> DataError | None:
    """Why some items have no use as labelled ones."""
    if not videos.classes:
        found, expected, advice = "has no labels", "class folders or annotations", "docs/data.md lists the formats"
    elif not items:
        found, expected = f"no {purpose} videos ({videos.split_rule})", "at least one"
        advice = f"give them with {'test' if purpose == 'test' else 'train'}=FILE"
    elif unlabelled := labels_of(items).count(None):
        found, expected = f"{unlabelled:,} of {len(items):,} {purpose} videos have no label", "one for each"
        advice = "leave them out"
    else:
        return None
    return DataError(videos.root, found, expected, advice, reason="missing_value")
