"""Labels that a mirrored clip would no longer have: those that tell left from right."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SIDES = {"left", "right", "leftward", "rightward", "leftwards", "rightwards", "lefthand", "righthand"}
_TURNS = {"clockwise", "counterclockwise", "anticlockwise", "cw", "ccw"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def directed_classes(classes: Iterable[str]) -> tuple[str, ...]:
    """The names that hold a word for a side or a sense of turning: "Pulling [something] from left to right", "turning_cw",
    "SwipeLeft". Names are all there is to go by: a class called "7" may be one, too."""
    return tuple(name for name in classes if {w.lower() for w in _WORD.findall(name)} & (_SIDES | _TURNS))
