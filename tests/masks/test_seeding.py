import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks import make_mask, mask_rng
from tests.errors import raises


def test_same_key_same_mask_and_each_number_counts():
    keys = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (2**32, 0, 0, 0), (0, 1, 2**40, 1)]
    flat = [make_mask("tube", grid=(1, 14, 14), ratio=0.75, rng=mask_rng(*key)).flat for key in keys]
    again = [make_mask("tube", grid=(1, 14, 14), ratio=0.75, rng=mask_rng(*key)).flat for key in keys]
    np.testing.assert_array_equal(flat, again)
    assert len({one.tobytes() for one in flat}) == len(keys)


def test_numpy_integers_are_integers():
    plain, numpy = mask_rng(0, 1, 2, 3), mask_rng(0, 1, np.int64(2), np.uint8(3))
    assert plain.bit_generator.state == numpy.bit_generator.state


@pytest.mark.parametrize("key", [(-1, 0, 0, 0), (0, 0.5, 0, 0), (0, 0, None, 0), (0, 0, 0, "1")])
def test_refuses_invalid_keys(key):
    with raises(MaskError, "invalid_value", subject="mask_rng"):
        mask_rng(*key)
