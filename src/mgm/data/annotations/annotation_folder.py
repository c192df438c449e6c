"""Folders of annotation files: which file is for training, which for testing, which names the classes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.class_names import ClassNames, are_class_names, read_class_names
from mgm.data.annotations.formats import read_annotation
from mgm.data.annotations.text_formats import HMDB51_SPLIT
from mgm.data.annotations.video_list import Split, VideoList
from mgm.errors import DataError

SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".npy", ".list")


@dataclass(frozen=True, slots=True)
class SplitFolder:
    """What a folder of annotation files holds.

    Attributes:
        listings: with the side that the name of each file tells.
        names: the classes, where a file names them.
    """

    listings: tuple[tuple[VideoList, Split | None], ...]
    names: ClassNames | None


def side_of(path: Path) -> Split | None:
    """What the words of a file's name say: train_list.csv, trainlist01.txt, Diving48_V2_test.json, validate.csv."""
    found: set[Split] = set()
    for word in re.findall(r"[a-z]+", path.stem.lower()):
        if word.startswith("train"):
            found.add("train")
        elif word.startswith("valid") or word in ("val", "vallist", "dev"):
            found.add("val")
        elif word.startswith("test"):
            found.add("test")
    return next(iter(found)) if len(found) == 1 else None


def annotation_files(folder: Path) -> list[Path]:
    """The files of a folder that have a suffix of annotations, sorted."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != ".")


def read_split_folder(folder: Path, *, split: int, forced: str | None) -> SplitFolder | None:
    """Understand the annotation files of a folder::

        train.csv, val.csv (or test.csv)                         a file per side
        trainlist01.txt, testlist01.txt, ..., classInd.txt       numbered splits, of which `split` is read (UCF101)
        <class>_test_split1.txt, ...                             a file per class (HMDB51)
        labels.json, train.json, validation.json, test.json      names of the classes beside them

    Returns None where no file of it tells a side.

    Raises:
        DataError: several files for one side, no such split, or one that cannot be read.
    """
    files = annotation_files(folder)
    by_class = [file for file in files if HMDB51_SPLIT(file.stem)]
    if len(by_class) > 1:
        return SplitFolder(((_class_files(folder, by_class, split), None),), None)
    sided: dict[Split, list[Path]] = {}
    others = []
    for file in files:
        side = side_of(file)
        if side is None:
            others.append(file)
        elif "answers" not in file.stem.lower():
            sided.setdefault(side, []).append(file)
    if not sided:
        return None
    order: tuple[Split, ...] = ("train", "val", "test")
    chosen = [(_one_of(sided[side], folder, side, split), side) for side in order if side in sided]
    names = None
    for file in others:
        content = AnnotationFile(file)
        if are_class_names(content):
            if names is not None:
                raise DataError(
                    f"{folder}: {names.file.name} and {file.name} both name classes; say which with classes=FILE"
                )
            names = read_class_names(content)
    listings = [(read_annotation(AnnotationFile(file), forced), side) for file, side in chosen]
    return SplitFolder(tuple(listings), names)


def _one_of(files: list[Path], folder: Path, side: Split, split: int) -> Path:
    """The one file of a side, or that of the numbered split."""
    if len(files) == 1:
        return files[0]
    numbered = {file: re.search(r"([0-9]+)$", file.stem) for file in files}
    stems = {file.stem[: match.start()] if match else file.stem for file, match in numbered.items()}
    if len(stems) == 1 and all(numbered.values()):
        found = [file for file, match in numbered.items() if match and int(match.group(1)) == split]
        if len(found) == 1:
            return found[0]
        known = sorted(int(match.group(1)) for match in numbered.values() if match)
        raise DataError(f"{folder}: split={split}: no such split, expected one of {', '.join(map(str, known))}")
    listed = ", ".join(file.name for file in files[:6])
    raise DataError(
        f"{folder}: {len(files)} files for {side} ({listed}), expected one; say which with {side if side != 'val' else 'test'}=FILE"
    )


def _class_files(folder: Path, files: list[Path], split: int) -> VideoList:
    chosen = [file for file in files if (m := HMDB51_SPLIT(file.stem)) and int(m.group(2)) == split]
    if not chosen:
        known = sorted({m.group(2) for file in files if (m := HMDB51_SPLIT(file.stem))})
        raise DataError(f"{folder}: split={split}: no such split, expected one of {', '.join(known)}")
    listings = [read_annotation(AnnotationFile(file), "class-split") for file in chosen]
    unused = sum(int(note.split()[0]) for listing in listings for note in listing.notes)
    notes = (f"{unused:,} videos are in neither side of split {split}",) if unused else ()
    why = f"{len(chosen)} files named <class>_test_split{split}, lines that end in 0, 1 or 2"
    entries = tuple(entry for listing in listings for entry in listing.entries)
    return replace(listings[0], file=folder, why=why, entries=entries, notes=notes)
