"""Files of class names: classInd.txt, labels.json, a vocabulary, or one name per line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgm.data.annotations.annotation_file import IS_NUMBER, AnnotationFile
from mgm.errors import DataError

_NUMBERED = re.compile(r"([0-9]+)[\s,]+(.+)").fullmatch


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
        return bool(tree) and (all(map(_is_number, tree.values())) or all(map(IS_NUMBER, tree)))
    if isinstance(tree, list):
        return bool(tree) and all(isinstance(row, list) and all(isinstance(w, str) for w in row) for row in tree)
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
    elif isinstance(tree, dict) and tree and all(map(_is_number, tree.values())):
        pairs = [(int(number), name) for name, number in tree.items()]
    elif isinstance(tree, dict) and tree and all(map(IS_NUMBER, tree)):
        pairs = [(int(number), str(name)) for number, name in tree.items()]
    elif isinstance(tree, list) and tree:
        names = [" ".join(row) if isinstance(row, list) else str(row) for row in tree]
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


def _numbered_lines(file: AnnotationFile) -> list[tuple[int, str]]:
    """(number, name) of lines such as `1 Name`, after a header such as `id,name`; empty unless all lines are of this form."""
    if file.kind != "text":
        return []
    lines = file.lines[1:] if re.fullmatch(r"(id|index),\w+", file.lines[0][1]) else file.lines
    matches = [_NUMBERED(line) for _, line in lines]
    return [(int(match.group(1)), match.group(2)) for match in matches if match] if all(matches) else []


def _distinct(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise DataError(path, f"class {repeated[0]!r} occurs twice", "each name once", "rename one", reason="malformed")
    return tuple(names)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, str) and bool(IS_NUMBER(value)))
    )
