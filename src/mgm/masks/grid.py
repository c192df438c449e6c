"""The token grid of a clip."""

import operator
from typing import TypeAlias

from mgm.errors import MaskError

Grid: TypeAlias = tuple[int, int, int]
"""Tokens of a clip: (steps, rows, columns); (8, 14, 14) for 16 frames of 224 x 224, tubelets of 2 x 16 x 16 (Eq. 1)."""


def check_grid(name: str, grid: Grid) -> Grid:
    """The grid as three Python integers; `name` is the subject of errors.

    Raises:
        MaskError: it is not three positive integers.
    """
    try:
        steps, height, width = (operator.index(side) for side in grid)
    except (TypeError, ValueError):
        steps = height = width = 0
    if min(steps, height, width) < 1:
        raise MaskError(
            name,
            f"found grid {grid!r}",
            "three positive integers (steps, rows, columns)",
            "divide frames by the tubelet and height and width by the patch",
            reason="invalid_value",
        )
    return steps, height, width
