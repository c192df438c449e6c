"""Numbers and labels as annotations spell them."""

from __future__ import annotations

import re
from functools import lru_cache

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_DIGITS = re.compile(r"[+-]?[0-9]+").fullmatch
_LONGEST = 40
"""Characters of a number; Python refuses to parse thousands of digits."""
_LIMIT = 10**18
"""Integers below it fit int64."""


def whole_number(value: object) -> int | None:
    """The integer that a text or a value of JSON spells; None if it spells none.

    `1.0` and `1.000e+00` are 1, as `01` is: pandas and NumPy write integers so once their column had a gap.
    """
    if isinstance(value, str):
        return _number_in(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LIMIT else None


@lru_cache(maxsize=4096)  # the labels of millions of lines are few: each becomes one object
def _number_in(value: str) -> int | None:
    text = value.strip()
    if len(text) > _LONGEST:
        return None
    return whole_number(int(text) if _DIGITS(text) else float(text) if _NUMBER(text) else None)


def read_label(value: object) -> int | str | None:
    """A label: a whole number or a name; None for a value that is neither (1.5, an empty text, a list)."""
    number = whole_number(value)
    if number is not None or not isinstance(value, str | bool):
        return number
    return _name_in(str(value))


@lru_cache(maxsize=4096)
def _name_in(value: str) -> str | None:
    text = value.strip()
    return text if text and not _NUMBER(text) else None
