import math

import numpy as np
import pytest

from mgm.masks.ratio_schedule import RatioSchedule, progress_of


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ("constant", [0.5, 0.5, 0.5, 0.5, 0.5]),
        ("linear", [0.5, 0.6, 0.7, 0.8, 0.9]),
        ("cosine", [0.5, 0.7 - 0.2 * math.cos(math.pi / 4), 0.7, 0.7 + 0.2 * math.cos(math.pi / 4), 0.9]),
    ],
)
def test_curves(curve, expected):
    rising, falling = RatioSchedule(0.5, 0.9, curve), RatioSchedule(0.9, 0.5, curve)
    np.testing.assert_allclose([rising.at(progress_of(step, 5)) for step in range(5)], expected, rtol=1e-12)
    if curve != "constant":
        np.testing.assert_allclose([falling.at(1 - step / 4) for step in range(5)], expected, rtol=1e-12)
        assert (rising.at(0), rising.at(1)) == (0.5, 0.9)
        assert np.mean([rising.at(progress_of(step, 100)) for step in range(100)]) == pytest.approx(0.7)
    assert rising.is_constant == (curve == "constant")


def test_the_only_step_of_a_run_has_the_first_ratio():
    assert progress_of(0, 1) == 0
    assert RatioSchedule(0.5, 0.9, "linear").at(progress_of(0, 1)) == 0.5


def test_words():
    assert str(RatioSchedule(0.75, 0.75)) == "0.75"
    assert str(RatioSchedule(0.5, 0.9, "cosine")) == "0.5 to 0.9, cosine"
