from typing import Literal

import pytest

from mgm.errors import MaskError
from mgm.masks import build_mask
from mgm.masks.options import check_choice, is_count, is_range
from tests.errors import raises


def test_a_choice_lists_the_values_of_its_literal():
    mask = build_mask("mgm", boundary="wrap")
    check_choice(mask, "boundary", Literal["clip", "wrap"])
    with raises(MaskError, "invalid_value", subject="mgm") as caught:
        check_choice(mask, "boundary", Literal["clip", "shift", "grow"])
    assert caught.value.expected == "clip, shift or grow"


@pytest.mark.parametrize(("value", "valid"), [(1, True), (0, False), (True, False), (2.0, False)])
def test_a_count_is_a_positive_integer(value, valid):
    assert is_count(value) == valid


@pytest.mark.parametrize(
    ("values", "valid"), [((1, 1), True), ((0.5, 2), True), ((2, 1), False), ((0, 1), False), ((1,), False), (1, False)]
)
def test_a_range_is_two_positive_numbers_in_order(values, valid):
    assert is_range(values) == valid
