"""Checks of the options of masks."""

from __future__ import annotations

import math
from typing import Any, get_args

from mgm.errors import MaskError
from mgm.masks.mask import Mask


def check_option(name: str, option: str, valid: bool, found: object, expected: str) -> None:
    """Raise MaskError about the option of mask `name` unless it is `valid`."""
    if not valid:
        raise MaskError(
            name, f"found option {option} = {found!r}", expected, "correct it or leave it out", reason="invalid_value"
        )


def check_choice(mask: Mask, option: str, choices: Any) -> None:
    """Raise MaskError unless the option of a mask is one of `choices`, a `Literal`."""
    *others, last = get_args(choices)
    value = getattr(mask, option)
    check_option(mask.name, option, value in (*others, last), value, f"{', '.join(others)} or {last}")


def lists_to_tuples(mask: Mask, *options: str) -> None:
    """Replace the value of options that are lists by a tuple: YAML has lists only."""
    for option in options:
        if isinstance(getattr(mask, option), list):
            object.__setattr__(mask, option, tuple(getattr(mask, option)))


def is_real(value: object) -> bool:
    """True for a finite int or float; False for bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: object) -> bool:
    """True for an integer of at least 1; False for bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_range(values: object) -> bool:
    """True for a tuple of two finite numbers above 0, the smaller one first."""
    pair = isinstance(values, tuple) and len(values) == 2 and all(is_real(value) for value in values)
    return pair and 0 < values[0] <= values[1]  # type: ignore[index]
