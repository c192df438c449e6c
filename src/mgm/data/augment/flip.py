"""Classes whose labels a horizontal flip would make wrong: those that distinguish left from right."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SIDES = {"left", "right", "leftward", "rightward", "leftwards", "rightwards", "lefthand", "righthand"}
_TURNS = {"clockwise", "counterclockwise", "anticlockwise", "cw", "ccw"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def directed_classes(classes: Iterable[str]) -> tuple[str, ...]:
    """Names that contain a word for a side or for a sense of rotation: "Pulling [something] from left to right", "turning_cw",
    "SwipeLeft". Only the names are examined, so a class named "7" may be directed, too."""
    return tuple(name for name in classes if {w.lower() for w in _WORD.findall(name)} & (_SIDES | _TURNS))
