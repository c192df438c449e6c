"""Which steps are skipped, and with how many of them a run goes on."""

import math

import pytest

from mgm.training.guard import WINDOW, StepGuard


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(value):
    guard = StepGuard(5, None)
    assert guard.judge(0, value, 1.0) == f"its loss is {value}"
    assert guard.judge(1, 1.0, value) == f"the norm of its gradient is {value}"
    assert guard.skipped == [0, 1]


def test_an_overflow_belongs_to_the_scaler_while_it_has_room():
    guard = StepGuard(0, None)
    assert guard.judge(0, 1.0, math.inf, overflows=True) is None
    assert guard.judge(1, math.nan, math.inf, overflows=True) is not None
    assert guard.exceeded


def test_a_gradient_explodes_beside_those_of_the_latest_steps():
    guard = StepGuard(5, 10)
    for step in range(WINDOW):
        assert guard.judge(step, 1.0, 1.0 + step % 2) is None
    assert guard.judge(WINDOW, 1.0, 20.0) is None
    assert "201" in guard.judge(WINDOW + 1, 1.0, 201.0)
    assert guard.norms[-1] == 20.0
    for step in range(WINDOW):
        guard.judge(WINDOW + 2 + step, 1.0, 1.0)
    assert guard.judge(3 * WINDOW, 1.0, 20.0) is not None, "the large norm has left the window"


def test_nothing_explodes_in_the_first_steps_nor_beside_zeros():
    guard = StepGuard(5, 10)
    assert [guard.judge(step, 1.0, 0.0) for step in range(30)] == [None] * 30
    assert guard.judge(30, 1.0, 1.0) is None
    early = StepGuard(5, 10)
    assert [early.judge(step, 1.0, 100.0**step) for step in range(10)] == [None] * 10


def test_the_limit_counts_the_latest_steps():
    guard = StepGuard(2, None)
    for step in (0, 40, WINDOW, 141):
        guard.judge(step, math.nan, 1.0)
        assert not guard.exceeded
    guard.judge(142, math.nan, 1.0)
    assert guard.exceeded


def test_a_restored_guard_judges_alike():
    first = StepGuard(2, 10)
    for step in range(30):
        first.judge(step, 1.0, 1.0)
    first.judge(30, math.nan, 1.0)
    second = StepGuard(2, 10)
    second.restore(first.state())
    assert second == first
    second.restore({})
    assert second == StepGuard(2, 10)
