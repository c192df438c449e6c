"""Names of classes by their number: classInd.txt, labels.json, a vocabulary, one name per line."""

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
    """The names, in the order of their numbers.

    Attributes:
        file: where they are from.
        base: the number of the first one, 0 or 1; None where the file does not number them.
    """

    file: Path
    names: tuple[str, ...]
    base: int | None


def are_class_names(content: AnnotationFile) -> bool:
    """Whether some content can only be names of classes: numbered lines, or JSON that maps names to numbers or lists words."""
    tree = content.tree
    if isinstance(tree, dict):
        return bool(tree) and (all(map(_is_number, tree.values())) or all(map(IS_NUMBER, tree)))
    if isinstance(tree, list):
        return bool(tree) and all(isinstance(row, list) and all(isinstance(w, str) for w in row) for row in tree)
    numbers = [number for number, _ in _numbered(content)]
    return bool(numbers) and numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def read_class_names(content: AnnotationFile) -> ClassNames:
    """The names of a file.

    Raises:
        DataError: numbers with gaps, names twice, or JSON of another shape.
    """
    path, tree = content.path, content.tree
    if content.kind == "text":
        pairs = _numbered(content)
        if not pairs:
            return ClassNames(path, _distinct(path, [line for _, line in content.lines]), None)
    elif isinstance(tree, dict) and tree and all(map(_is_number, tree.values())):
        pairs = [(int(number), name) for name, number in tree.items()]
    elif isinstance(tree, dict) and tree and all(map(IS_NUMBER, tree)):
        pairs = [(int(number), str(name)) for number, name in tree.items()]
    elif isinstance(tree, list) and tree:
        names = [" ".join(row) if isinstance(row, list) else str(row) for row in tree]
        return ClassNames(path, _distinct(path, names), None)
    else:
        raise DataError(
            f"{path}: holds no names of classes, expected lines '1 Name', one name per line, JSON {{name: number}} or a list"
        )
    pairs.sort()
    numbers = [number for number, _ in pairs]
    base = numbers[0]
    if base not in (0, 1) or numbers != list(range(base, base + len(numbers))):
        gap = next((n for n, found in enumerate(numbers, base) if found != n), base)
        raise DataError(
            f"{path}: numbers {numbers[0]} to {numbers[-1]} without {gap}, expected every number from 0 or 1 on once"
        )
    return ClassNames(path, _distinct(path, [name for _, name in pairs]), base)


def _numbered(content: AnnotationFile) -> list[tuple[int, str]]:
    """(number, name) of lines such as `1 Name`, behind a header such as `id,name`; none where not all lines are such."""
    if content.kind != "text":
        return []
    lines = content.lines[1:] if re.fullmatch(r"(id|index),\w+", content.lines[0][1]) else content.lines
    found = [_NUMBERED(line) for _, line in lines]
    return [(int(match.group(1)), match.group(2)) for match in found if match] if all(found) else []


def _distinct(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{path}: has the class {twice[0]!r} twice, expected each name once; rename one")
    return tuple(names)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, str) and bool(IS_NUMBER(value)))
    )
