"""Ticks are round, few, and around or within the values."""

import pytest

from mgm.show.ticks import ticks_around, ticks_within


def test_ticks_around_enclose_the_values():
    assert ticks_around(69.2, 72.1) == [69, 69.5, 70, 70.5, 71, 71.5, 72, 72.5]
    assert ticks_around(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks_around(67.3, 67.3)[0] < 67.3 < ticks_around(67.3, 67.3)[-1]
    assert ticks_around(-30, 410) == [-100, 0, 100, 200, 300, 400, 500]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.66, 1.01), (0, 499), (-3, 12345), (1e-5, 2e-5)])
def test_ticks_within_are_round_few_and_inside(low, high):
    ticks = ticks_within(low, high, 5)
    assert 2 <= len(ticks) <= 11
    assert low <= ticks[0]
    assert ticks[-1] <= high
    assert all(len(f"{tick:g}") <= 7 for tick in ticks)


def test_a_flat_range_has_one_tick():
    assert ticks_within(2.0, 2.0, 5) == [2.0]
