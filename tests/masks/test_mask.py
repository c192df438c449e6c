import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks import TokenMask
from mgm.masks.mask import hide_lowest
from tests.errors import raises


def test_views_of_a_mask():
    masked = np.zeros((2, 2, 3), dtype=np.bool_)
    masked[1, 0, 2] = masked[0, 1, 1] = True
    mask = TokenMask(masked, np.zeros(2, dtype=np.bool_))
    np.testing.assert_array_equal(mask.visible, ~masked)
    assert mask.flat.shape == (12,)
    assert np.flatnonzero(mask.flat).tolist() == [4, 8]
    assert mask.ratio == pytest.approx(1 / 6)
    np.testing.assert_array_equal(np.asarray(mask), masked)
    assert np.array(mask, np.float32).sum() == 2


@pytest.mark.parametrize(
    ("masked", "fallback", "reason"),
    [
        (np.zeros((2, 2, 3)), np.zeros(2, dtype=np.bool_), "invalid_type"),
        (np.zeros((2, 6), dtype=np.bool_), np.zeros(2, dtype=np.bool_), "invalid_shape"),
        (np.zeros((2, 2, 3), dtype=np.bool_), np.zeros(3, dtype=np.bool_), "invalid_shape"),
        (np.zeros((2, 2, 3), dtype=np.bool_), np.zeros(2), "invalid_type"),
    ],
)
def test_refuses_arrays_of_another_type_or_shape(masked, fallback, reason):
    with raises(MaskError, reason, subject="TokenMask"):
        TokenMask(masked, fallback)


def test_hide_lowest_is_exact_even_where_ranks_tie():
    assert hide_lowest(np.array([[3.0, 1, 2, 0], [0, 1, 2, 3]]), count=2).tolist() == [
        [False, True, False, True],
        [True, True, False, False],
    ]
    assert (hide_lowest(np.zeros((5, 100)), count=37).sum(axis=1) == 37).all()
