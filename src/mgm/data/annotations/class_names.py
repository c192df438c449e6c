"""Files of class names: classInd.txt, labels.json, a vocabulary, or one name per line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgm.data.annotations.annotation_file import AnnotationFile, Records
from mgm.data.labels import whole_number
from mgm.errors import DataError

_NUMBERED = re.compile(r"([0-9]{1,9})[\s,]+(.+)").fullmatch


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Class names in the order of their numbers.

    Attributes:
        file: the file that they come from.
        base: number of the first one, 0 or 1; None if the file does not number them.
    """

    file: Path
    names: tuple[str, ...]
    base: int | None


def contains_class_names(file: AnnotationFile) -> bool:
    """Whether a file can only contain class names: numbered lines, or JSON that maps names to numbers or lists words."""
    tree = file.tree
    if isinstance(tree, dict):
        return bool(_whole_numbers(tree.values()) or _whole_numbers(tree))
    if isinstance(tree, list | Records):
        return bool(tree) and all(map(_is_words, tree))
    numbers = [number for number, _ in _numbered_lines(file)]
    return bool(numbers) and numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def read_class_names(file: AnnotationFile) -> ClassNames:
    """Read the class names of a file.

    Raises:
        DataError: numbers have gaps, a name occurs twice, or the JSON has another structure.
    """
    path, tree = file.path, file.tree
    if file.kind == "text":
        pairs = _numbered_lines(file)
        if not pairs:
            return ClassNames(path, _distinct(path, [line for _, line in file.lines]), None)
    elif isinstance(tree, dict) and (found := _whole_numbers(tree.values())):
        pairs = list(zip(found, tree, strict=True))
    elif isinstance(tree, dict) and _is_words([*tree.values()]) and (found := _whole_numbers(tree)):
        pairs = list(zip(found, tree.values(), strict=True))
    elif isinstance(tree, list | Records) and tree and all(isinstance(row, str) or _is_words(row) for row in tree):
        names = [row if isinstance(row, str) else " ".join(row) for row in tree]
        return ClassNames(path, _distinct(path, names), None)
    else:
        raise DataError(
            path,
            "no class names found",
            "lines '1 Name', one name per line, JSON {name: number} or a list",
            reason="malformed",
        )
    pairs.sort()
    numbers = [number for number, _ in pairs]
    base = numbers[0]
    if base not in (0, 1) or numbers != list(range(base, base + len(numbers))):
        gap = next((n for n, found in enumerate(numbers, base) if found != n), base)
        raise DataError(
            path,
            f"numbers {numbers[0]} to {numbers[-1]} without {gap}",
            "every number once, from 0 or 1",
            reason="malformed",
        )
    return ClassNames(path, _distinct(path, [name for _, name in pairs]), base)


def read_labels(path: str | Path | None) -> tuple[str, ...] | None:
    """The class names of a file, in the order of their numbers or of its lines; None without a file.

    Raises:
        DataError: as `read_class_names`.
    """
    return None if path is None else read_class_names(AnnotationFile(Path(path))).names


def _numbered_lines(file: AnnotationFile) -> list[tuple[int, str]]:
    """(number, name) of lines such as `1 Name`, after a header such as `id,name`; empty unless all lines are of this form."""
    if file.kind != "text":
        return []
    lines = file.lines[1:] if re.fullmatch(r"(id|index),\w+", file.lines[0][1]) else file.lines
    matches = [_NUMBERED(line) for _, line in lines]
    return [(int(match.group(1)), match.group(2)) for match in matches if match] if all(matches) else []


def _distinct(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    name, count = max(Counter(names).items(), key=lambda item: item[1])
    if count > 1:
        raise DataError(path, f"class {name!r} occurs twice", "each name once", "rename one", reason="malformed")
    return tuple(names)


def _is_words(row: object) -> bool:
    return isinstance(row, list) and all(isinstance(word, str) for word in row)


def _whole_numbers(values: Iterable[object]) -> list[int]:
    """The numbers that values spell; empty unless all of them spell one."""
    numbers = [whole_number(value) for value in values]
    return [] if None in numbers else [number for number in numbers if number is not None]
