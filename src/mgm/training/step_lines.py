"""The lines of a run's log, one per step, as far as they are whole: a kill or a full disk may have cut one off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mgm.files.json_text import read_json


class StepLine(NamedTuple):
    """A line of the log without its line break, and its record."""

    text: bytes
    record: Mapping[str, Any]


def finite_or_none(value: float) -> float | None:
    """A value for JSON, which has no NaN and no infinities."""
    return value if math.isfinite(value) else None


def number(value: Any) -> float:
    """The inverse of `finite_or_none`, with NaN for None."""
    return math.nan if value is None else float(value)


def read_steps(path: Path, end: float = math.inf) -> dict[int, StepLine]:
    """The lines of the steps before `end`, by step, in order; of several for one step the last. Other content is left out."""
    lines: dict[int, StepLine] = {}
    for text in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            record = read_json(text)
            step, *_ = int(record["step"]), number(record["loss"]), float(record["lr"]), float(record.get("flow", 0))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            continue
        if 0 <= step < end:
            lines[step] = StepLine(text, record)
    return dict(sorted(lines.items()))
