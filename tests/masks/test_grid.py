"""The token grid is three positive integers."""

import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks.grid import check_grid
from tests.errors import raises


def test_returns_python_integers():
    grid = check_grid("tube", np.array([8, 14, 14]))
    assert grid == (8, 14, 14)
    assert all(type(side) is int for side in grid)


@pytest.mark.parametrize("grid", [(8, 14), (0, 14, 14), (8.0, 14, 14), "8", None])
def test_refuses_other_grids(grid):
    with raises(MaskError, "invalid_value", subject="tube"):
        check_grid("tube", grid)


def test_the_error_shows_the_grid():
    with raises(MaskError, "invalid_value", message="mask-grid"):
        check_grid("tube", (8, -1, 14))
