import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks import build_mask
from tests.errors import raises

GRID = (8, 14, 14)


@pytest.mark.parametrize("options", [{}, {"share": 0.5}, {"softness": 2.0}, {"boundary": "wrap"}])
def test_is_the_same_at_every_step(options):
    mask = build_mask("block", **options)
    for seed in range(20):
        masked = mask.draw(GRID, 0.75, None, np.random.default_rng(seed)).masked
        assert (masked == masked[:1]).all()


def test_is_a_square_where_it_lies_inside():
    mask = build_mask("block", boundary="shift")
    for seed in range(50):
        step = mask.draw((1, 20, 20), 0.25, None, np.random.default_rng(seed)).masked[0]
        rows, columns = np.flatnonzero(step.any(axis=1)), np.flatnonzero(step.any(axis=0))
        # A square of 10 x 10 tokens between the lines of the grid touches 11 of them each way at most.
        assert np.ptp(rows) <= 10
        assert np.ptp(columns) <= 10
        assert step[rows[1] : rows[-1], columns[1] : columns[-1]].all()


def test_its_place_is_uniform():
    mask, rng = build_mask("block", boundary="wrap"), np.random.default_rng(0)
    hidden = np.mean([mask.draw((1, 7, 7), 0.5, None, rng).masked[0] for _ in range(2000)], axis=0)
    np.testing.assert_allclose(hidden, 24 / 49, atol=0.06)


def test_shows_every_token_sometimes():
    mask, rng = build_mask("block"), np.random.default_rng(0)
    visible = np.mean([mask.draw((1, 14, 14), 0.75, None, rng).visible[0] for _ in range(2000)], axis=0)
    assert visible.min() > 0.02


def test_a_share_sizes_the_square():
    step = (
        build_mask("block", share=0.5, boundary="shift")
        .draw((1, 20, 20), 0.5, None, np.random.default_rng(1))
        .masked[0]
    )
    assert step.sum() == 200
    dense = np.array([[step[y : y + 9, x : x + 9].all() for x in range(12)] for y in range(12)])
    assert dense.any()
    assert not any(step[y : y + 12, x : x + 12].all() for x in range(9) for y in range(9))


@pytest.mark.parametrize("value", [0, -0.5, 1.5, float("nan"), True, "all"])
def test_refuses_an_invalid_share(value):
    with raises(MaskError, "invalid_value", subject="block"):
        build_mask("block", share=value)
