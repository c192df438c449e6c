"""Arrays that are equal bit for bit: NaN equals NaN, and minus zero is not zero."""

import numpy as np


def assert_same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    assert np.array_equal(a.view(np.uint32), b.view(np.uint32))
