"""Frame rates that encoders and players take: a file may declare any other."""

from __future__ import annotations

from fractions import Fraction

_MOST = 90_000
"""Frames per second, and seconds per frame: the ticks of a second in MPEG streams."""


def encodable_rate(rate: float | Fraction) -> Fraction:
    """The rate that is nearest to a positive one and can be encoded, in frames per second."""
    return min(max(Fraction(rate).limit_denominator(_MOST), Fraction(1, _MOST)), Fraction(_MOST))
