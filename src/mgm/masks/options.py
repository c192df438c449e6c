"""What the options of masks may be."""

import math

from mgm.errors import MaskError


def check_option(name: str, option: str, valid: bool, found: object, expected: str) -> None:
    """Raise MaskError unless `valid`: what was found for an option of the mask `name`, and what was expected."""
    if not valid:
        raise MaskError(f"{name}: found option {option} = {found!r}, expected {expected}; correct it or leave it out")


def is_real(value: object) -> bool:
    """Whether it is a finite number and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
