"""Reads a folder of videos, of folders of frames, or of pictures, as a list of videos; class folders give the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mgm.data.annotations.annotation_folder import annotation_files, split_of_name
from mgm.data.annotations.formats import PICTURE_FORMATS
from mgm.data.annotations.video_list import ListedVideo, ListedVideos, Split, VideoList
from mgm.data.clips.images import are_frames, picture_folders
from mgm.errors import DataError, VideoError
from mgm.video.scan.find import find_videos, search_videos

TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "val", "validation")
_Finder = Callable[[Path], Sequence[Path]]
"""Returns the videos below a folder, sorted; may raise VideoError if there are none."""


def videos_below(folder: Path) -> Sequence[Path]:
    """Every file with a video's suffix. Raises VideoError if there are none."""
    return find_videos([folder])


def read_folder(folder: Path, format_name: str | None) -> VideoList | None:
    """Read a folder of videos, of folders of frames, or of pictures; None if it contains none of them.

    Annotation files take precedence over pictures, videos over both.

    Args:
        format_name: "frames" or "pictures" reads only pictures, as the frames of videos or as still pictures.

    Raises:
        DataError: the folder contains both numbered frames and other pictures, or its test/ has classes that its train/ lacks.
    """
    found = search_videos([folder])
    if format_name not in PICTURE_FORMATS:
        if found.videos:
            return _with_notes(_read_layout(folder, "videos", videos_below), found.closed_note, found.kinds_note)
        if annotation_files(folder):
            return None
    listed = _read_pictures(folder, format_name)
    return None if listed is None else _with_notes(listed, found.closed_note)


def _with_notes(listed: VideoList, *notes: str) -> VideoList:
    return replace(listed, notes=(*listed.notes, *filter(None, notes)))


def _read_pictures(folder: Path, format_name: str | None) -> VideoList | None:
    folders = picture_folders(folder)
    if not folders:
        return None
    framed = [path for path, names in folders.items() if are_frames(names)]
    if format_name is None and framed and len(framed) < len(folders):
        other = next(path for path in folders if path not in set(framed))
        raise DataError(
            folder,
            f"ambiguous: {framed[0]} contains numbered frames and {other} other pictures",
            advice="choose with format=frames or format=pictures",
            reason="conflict",
        )
    if format_name == "frames" or (format_name is None and framed):
        return _read_layout(folder, "folders of frames", lambda below: [p for p in folders if p.is_relative_to(below)])
    pictures = [path / name for path, names in folders.items() for name in names]
    return _read_layout(folder, "pictures", lambda below: [p for p in pictures if p.is_relative_to(below)])


def _read_layout(folder: Path, kind: str, find: _Finder) -> VideoList:
    """Recognise the layout of a folder by its contents:

        root/train/<class>/x.mp4, root/test/<class>/y.mp4     labels and a split (test, val or validation)
        root/<class>/x.mp4                                    labels without a split: see `divide_set`
        root/x.mp4, or any other tree                         no labels

    Raises:
        DataError: test/ has classes that train/ lacks. VideoError: there are no videos.
    """
    train, test = _subfolder(folder, TRAIN_FOLDERS), _subfolder(folder, TEST_FOLDERS)
    rule, notes = "", tuple[str, ...]()
    if train and test and (classes := _classes(train, find)) and (test_classes := _class_folders(test, find)):
        if unknown := sorted(set(test_classes) - set(classes)):
            raise DataError(
                test,
                f"classes {', '.join(unknown)}",
                f"those of {train.name}/ ({', '.join(classes)})",
                "rename the folders, or remove them",
                reason="mismatch",
            )
        entries = [*_labelled(train, find, "train"), *_labelled(test, find, "test")]
        rule = f"folders {train.name}/ and {test.name}/"
    elif not (train and test) and (classes := _classes(folder, find)):  # train/ and test/ are not two classes
        entries = _labelled(folder, find, None)
    else:
        classes, rule = (), "no class folders, so no labels"
        entries = [ListedVideo(str(path)) for path in find(folder)]
        if train and test:
            notes = _without_split(train, test, find)
    return VideoList(
        folder,
        f"folder of {kind}",
        "class folders" if classes else "no class folders",
        ListedVideos.of(entries),
        "class folders" if classes else "none",
        (*notes, *_unused_annotations(folder)),
        located=True,
        split_rule=rule,
    )


def _without_split(train: Path, test: Path, find: _Finder) -> tuple[str, ...]:
    """A note that test videos are trained on, where both folders have videos but no labels."""
    try:
        find(train), find(test)
    except VideoError:  # one is empty
        return ()
    return (
        f"{test}: its videos are for training, too: {train.name}/ and {test.name}/ are a split if both have class folders, "
        f"{train.name}/ two or more; to leave them out, give train={train} alone",
    )


def _subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _classes(folder: Path, find: _Finder) -> tuple[str, ...]:
    """Names of the class folders; empty if there are fewer than two."""
    classes = _class_folders(folder, find)
    return classes if len(classes) > 1 else ()


def _class_folders(folder: Path, find: _Finder) -> tuple[str, ...]:
    """First-level folders with videos, sorted; empty if a video is outside of them or deeper."""
    try:
        names = [p.relative_to(folder).parts for p in find(folder)]
    except VideoError:
        return ()
    if any(len(parts) != 2 for parts in names):
        return ()
    return tuple(sorted({parts[0] for parts in names}))


def _labelled(folder: Path, find: _Finder, split: Split | None) -> list[ListedVideo]:
    return [ListedVideo(str(p), p.relative_to(folder).parts[0], split=split) for p in find(folder)]


def _unused_annotations(folder: Path) -> tuple[str, ...]:
    names = [p.name for p in annotation_files(folder) if split_of_name(p) is not None]
    if not names:
        return ()
    return (f"{folder}: {', '.join(names[:4])} were not read; to use them, give them as train=FILE,test=FILE",)
