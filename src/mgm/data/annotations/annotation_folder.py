"""Reads a folder of annotation files: one for training, one for testing, and possibly one of class names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.class_names import ClassNames, contains_class_names, read_class_names
from mgm.data.annotations.formats import read_annotation
from mgm.data.annotations.text_formats import HMDB51_SPLIT
from mgm.data.annotations.video_list import ListedVideos, Split, VideoList
from mgm.errors import DataError
from mgm.files.system_names import is_system_name

ANNOTATION_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".npy", ".list")


@dataclass(frozen=True, slots=True)
class AnnotationFolder:
    """The annotations of a folder.

    Attributes:
        lists: each with the split that its file's name gives.
        class_names: None if no file contains class names.
    """

    lists: tuple[VideoList, ...]
    class_names: ClassNames | None


def split_of_name(path: Path) -> Split | None:
    """The split in a file's name (train_list.csv, trainlist01.txt, Diving48_V2_test.json, validate.csv); None unless it is one."""
    splits: set[Split] = set()
    for word in re.findall(r"[a-z]+", path.stem.lower()):
        if word.startswith("train"):
            splits.add("train")
        elif word.startswith("valid") or word in ("val", "vallist", "dev"):
            splits.add("val")
        elif word.startswith("test"):
            splits.add("test")
    return next(iter(splits)) if len(splits) == 1 else None


def annotation_files(folder: Path) -> list[Path]:
    """The files of a folder with a suffix of annotations, sorted."""
    return sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in ANNOTATION_SUFFIXES and p.is_file() and not is_system_name(p.name)
    )


def read_annotation_folder(folder: Path, *, split_number: int, format_name: str | None) -> AnnotationFolder | None:
    """Read the annotations of a folder:

        train.csv, val.csv (or test.csv)                         a file per split
        trainlist01.txt, testlist01.txt, ..., classInd.txt       numbered splits; `split_number` chooses (UCF101)
        <class>_test_split1.txt, ...                             a file per class (HMDB51)
        labels.json, train.json, validation.json, test.json      class names beside the splits

    Returns None if no file name gives a split.

    Raises:
        DataError: several files for one split, an unknown split number, or a file that cannot be read.
    """
    files = annotation_files(folder)
    if sum(1 for file in files if HMDB51_SPLIT(file.stem)) > 1:
        return AnnotationFolder((_read_class_files(folder, files, split_number),), None)
    by_split: dict[Split, list[Path]] = {}
    others = []
    for file in files:
        split = split_of_name(file)
        if split is None:
            others.append(file)
        elif "answers" not in file.stem.lower():
            by_split.setdefault(split, []).append(file)
    if not by_split:
        return None
    order: tuple[Split, ...] = ("train", "val", "test")
    chosen = [
        (_file_of_split(by_split[split], folder, split, split_number), split) for split in order if split in by_split
    ]
    class_names = _find_class_names(folder, others)
    lists = tuple(replace(read_annotation(AnnotationFile(file), format_name), split=split) for file, split in chosen)
    return AnnotationFolder(lists, class_names)


def _find_class_names(folder: Path, files: Sequence[Path]) -> ClassNames | None:
    contents = [content for file in files if contains_class_names(content := AnnotationFile(file))]
    if len(contents) > 1:
        first, second = (content.path.name for content in contents[:2])
        raise DataError(
            folder,
            f"{first} and {second} both contain class names",
            "one such file",
            "choose with classes=FILE",
            reason="conflict",
        )
    return read_class_names(contents[0]) if contents else None


def _file_of_split(files: list[Path], folder: Path, split: Split, split_number: int) -> Path:
    """The one file of a split, or the one with the split number in its name."""
    if len(files) == 1:
        return files[0]
    numbered = {file: re.search(r"([0-9]+)$", file.stem) for file in files}
    stems = {file.stem[: match.start()] if match else file.stem for file, match in numbered.items()}
    if len(stems) == 1 and all(numbered.values()):
        matching = [file for file, match in numbered.items() if match and int(match.group(1)) == split_number]
        if len(matching) == 1:
            return matching[0]
        raise _unknown_split(folder, split_number, {int(match.group(1)) for match in numbered.values() if match})
    key = "test" if split == "val" else split
    raise DataError(
        folder,
        f"{len(files)} files for {split} ({', '.join(file.name for file in files[:6])})",
        "one",
        f"choose with {key}=FILE",
        reason="conflict",
    )


def _read_class_files(folder: Path, files: list[Path], split_number: int) -> VideoList:
    """Join the files that HMDB51 has for each class of a numbered split."""
    named = [(file, match) for file in files if (match := HMDB51_SPLIT(file.stem))]
    chosen = [file for file, match in named if int(match.group(2)) == split_number]
    if not chosen:
        raise _unknown_split(folder, split_number, {int(match.group(2)) for _, match in named})
    contents = [AnnotationFile(file) for file in chosen]
    lists = [read_annotation(content, "class-split") for content in contents]
    entries = ListedVideos.of(entry for listed in lists for entry in listed.entries)
    unused = sum(len(content.lines) for content in contents) - len(entries)
    notes = (f"{unused:,} videos are in neither part of split {split_number}",) if unused else ()
    why = f"{len(chosen)} files named <class>_test_split{split_number}, lines that end in 0, 1 or 2"
    return replace(lists[0], file=folder, why=why, entries=entries, notes=notes)


def _unknown_split(folder: Path, number: int, known: set[int]) -> DataError:
    return DataError(
        folder,
        f"split={number}: unknown split number",
        f"one of {', '.join(map(str, sorted(known)))}",
        reason="unknown_name",
    )
