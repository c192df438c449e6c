"""Groups of videos that are alike, such as those cut from one recording: figures vary by group, not by video."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from mgm.data.items import VideoItem
from mgm.errors import DataError
from mgm.files.table import read_csv


def read_groups(spec: str, items: Sequence[VideoItem]) -> tuple[str, ...]:
    """The group of every item.

    Args:
        spec: a csv file with a header, whose first column has paths or their ends; the group is in the column `group`, or that of
            `FILE:COLUMN`. Or a regular expression that is searched in the path, with the group in parentheses: `/(g[0-9]+)_`.

    Raises:
        DataError: an item has no group, the file lacks the column, or the expression is not valid.
    """
    path, column = _place(spec)
    groups = _by_pattern(spec, items) if path is None else _by_table(path, column, items)
    ungrouped = [item.path for item, group in zip(items, groups, strict=True) if not group]
    if ungrouped:
        found = f"{len(ungrouped):,} of {len(items):,} videos have no group, such as {ungrouped[0]}"
        raise DataError(spec, found, advice="add them, or correct the expression", reason="missing_value")
    return tuple(groups)


def _place(spec: str) -> tuple[Path | None, str]:
    """The file and its column, if the specification names a file."""
    whole, (name, _, column) = Path(spec), spec.rpartition(":")
    if whole.suffix == ".csv":
        return whole, "group"
    return (Path(name), column) if Path(name).suffix == ".csv" else (None, "")


def _by_pattern(spec: str, items: Sequence[VideoItem]) -> list[str]:
    try:
        pattern = re.compile(spec)
    except re.error as error:
        raise _not_a_pattern(spec, f"is not a regular expression ({error})") from error
    if pattern.groups != 1:
        raise _not_a_pattern(spec, f"has {pattern.groups} parts in parentheses")
    found = (pattern.search(PurePath(item.path).as_posix()) for item in items)
    return [match[1] or "" if match is not None else "" for match in found]


def _not_a_pattern(spec: str, found: str) -> DataError:
    expected = "an expression with the group in parentheses, or a .csv file"
    return DataError(spec, found, expected, "such as /(g[0-9]+)_", reason="malformed")


def _by_table(path: Path, column: str, items: Sequence[VideoItem]) -> list[str]:
    rows = read_csv(path, "a csv file of groups")
    header = rows[0] if rows else []
    if column not in header[1:]:
        expected = f"a column {column} after that of the paths"
        advice = "name the column as FILE:COLUMN"
        raise DataError(path, f"columns {', '.join(header) or 'none'}", expected, advice, reason="missing_value")
    place = header.index(column)
    group_of = {row[0]: row[place] for row in rows[1:] if len(row) > place}
    return [_longest_end(PurePath(item.path).parts, group_of) for item in items]


def _longest_end(parts: Sequence[str], group_of: dict[str, str]) -> str:
    """The group of the longest end of a path that the table has."""
    ends = ("/".join(parts[first:]) for first in range(len(parts)))
    return next((group_of[end] for end in ends if end in group_of), "")
