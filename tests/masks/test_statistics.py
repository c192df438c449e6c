import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import (
    TokenMask,
    build_mask,
    draw_statistics,
    list_masks,
    make_mask,
    mask_statistics,
    object_area,
    pool_statistics,
)
from tests.errors import raises
from tests.masks.fields import field, moving_cells, random_peaks, still


def left_half(steps=2, side=4):
    masked = np.zeros((steps, side, side), dtype=np.bool_)
    masked[:, :, : side // 2] = True
    return TokenMask(masked, np.zeros(steps, dtype=np.bool_))


def test_shares_by_hand():
    # 64 x 64 pixels, 8 x 8 cells, 4 x 4 tokens of 16 pixels, the left half hidden.
    vectors = moving_cells(4, 8, 8, cells=[(0, 0)], vector=(3, 4)) + moving_cells(
        4, 8, 8, cells=[(7, 7)], vector=(0, 15)
    )
    boxes = [[[24.0, 0.0, 40.0, 16.0]], [], [[0, 0, 8, 8], [0, 0, 8, 8]], [[-100, -100, 4, 4], [60, 60, 100, 100]]]
    found = mask_statistics(left_half(), motion=field(vectors), boxes=boxes)
    assert found.ratio == 0.5
    assert found.motion_share == pytest.approx(5 / 20)
    assert found.object_share == pytest.approx((128 + 64 + 16) / (256 + 64 + 16 + 16))
    assert found.step_iou == 1
    assert found.fallback_share == 0


def test_step_iou_and_fallback():
    masked = np.zeros((3, 1, 4), dtype=np.bool_)
    masked[0, 0, :2] = masked[1, 0, 1:3] = masked[2, 0, 1:3] = True
    found = mask_statistics(TokenMask(masked, np.array([True, False, False])))
    assert found.step_iou == pytest.approx((1 / 3 + 1) / 2)
    assert found.fallback_share == pytest.approx(1 / 3)


def test_shares_without_motion_or_boxes_are_none():
    found = mask_statistics(left_half(1), motion=still(2, 4, 4), boxes=[[], []], extent=(64, 64))
    assert (found.motion_share, found.object_share, found.step_iou) == (None, None, None)
    assert mask_statistics(left_half()).motion_share is None


@given(data=st.data(), rows=st.integers(1, 6), columns=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_union_area_is_that_of_its_pixels(data, rows, columns):
    height, width = 6 * rows, 6 * columns
    corner = st.tuples(st.integers(-5, width + 5), st.integers(-5, height + 5))
    pairs = data.draw(st.lists(st.tuples(corner, corner), max_size=4))
    boxes = [[*np.minimum(a, b).tolist(), *np.maximum(a, b).tolist()] for a, b in pairs]
    pixels = np.zeros((height, width))
    for x0, y0, x1, y1 in boxes:
        pixels[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = 1
    expected = pixels.reshape(rows, 6, columns, 6).sum(axis=(1, 3))
    np.testing.assert_allclose(object_area([boxes], grid=(1, rows, columns), extent=(height, width))[0], expected)


def test_boxes_may_be_arrays_and_frames_share_their_step():
    boxes = [np.array([[0, 0, 8, 8]]), np.zeros((0, 4)), np.array([[0, 0, 4, 8]]), np.array([[0, 0, 8, 8.0]])]
    area = object_area(boxes, grid=(2, 1, 2), extent=(8, 16))
    np.testing.assert_allclose(area, [[[64, 0]], [[96, 0]]])


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([[]] * 3, "mismatch"),
        ([], "mismatch"),
        ([[[0, 0, 8]], []], "invalid_shape"),
        ([[], [0, 0, 8, 8]], "invalid_shape"),
        ([[], [[0, 0, np.nan, 8]]], "invalid_value"),
        ([[], [[8, 0, 4, 8]]], "invalid_value"),
        ([[], ["abcd"]], "invalid_shape"),
    ],
)
def test_refuses_invalid_boxes(boxes, reason):
    with raises(MaskError, reason, subject="object_area"):
        object_area(boxes, grid=(2, 4, 4), extent=(64, 64))


def test_boxes_need_an_extent():
    with raises(MaskError, "missing_value", message="mask-boxes-without-extent"):
        mask_statistics(left_half(), motion=still(2, 4, 4), boxes=[[], []])
    with raises(MaskError, "invalid_value", subject="object_area"):
        mask_statistics(left_half(), boxes=[[], []], extent=(0, 4))


@pytest.mark.parametrize("name", list_masks())
def test_grades_every_mask(name):
    rng = np.random.default_rng(0)
    motion = field(random_peaks(16, 28, 28, rng))
    drawn = make_mask(name, grid=(8, 14, 14), ratio=0.75, motion=motion, rng=rng)
    found = mask_statistics(drawn, motion=motion, boxes=[[[0, 0, 224, 224]]] * 16)
    assert found.ratio == pytest.approx(drawn.ratio)
    assert drawn.ratio == pytest.approx(0.75) or not build_mask(name).fixed_count
    assert found.object_share == pytest.approx(drawn.ratio)
    assert 0 < found.motion_share < 1
    assert 0 < found.step_iou <= 1


def test_guided_masks_hide_more_motion_than_chance():
    rng = np.random.default_rng(0)
    motion = moving_cells(16, 28, 28, cells=[(6, 6), (6, 7), (7, 6), (7, 7)])
    drawn = make_mask("mgm", grid=(8, 14, 14), ratio=0.75, motion=motion, rng=rng, start="motion")
    assert mask_statistics(drawn, motion=motion).motion_share == 1


def test_statistics_over_draws_by_hand():
    masked = np.zeros((3, 2, 1, 4), dtype=np.bool_)
    masked[0, :, 0, :2] = masked[1, :, 0, 1:3] = masked[2, 0, 0, 1:3] = True
    draws = [TokenMask(m, np.array([i == 0, False])) for i, m in enumerate(masked)]
    vectors = moving_cells(2, 1, 4, cells=[(0, 1)])
    found = draw_statistics(draws, motion=vectors, boxes=[[[8, 0, 24, 8]]] * 2, extent=(8, 32))
    assert (found.draws, found.count) == (3, (0, 2))
    np.testing.assert_allclose(found.visibility[:, 0], [[2 / 3, 0, 1 / 3, 1], [2 / 3, 1 / 3, 2 / 3, 1]])
    assert (found.never_visible, found.least_visible) == (0, 0.0)
    assert draw_statistics(draws[:2]).never_visible == 1
    assert found.motion_share == pytest.approx((2 + 2 + 1) / 6)
    assert found.object_share == pytest.approx((2 + 4 + 2) / 12)
    assert found.step_iou == pytest.approx((1 + 1 + 0) / 3)
    assert found.overlap == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found.fallback_share == pytest.approx(1 / 6)


@pytest.mark.parametrize("name", list_masks())
def test_draws_agree_with_each_mask_alone(name):
    rng = np.random.default_rng(0)
    motion = field(random_peaks(16, 28, 28, rng))
    boxes = [[[10, 20, 90, 100]]] * 16
    draws = [make_mask(name, grid=(8, 14, 14), ratio=0.75, motion=motion, rng=rng) for _ in range(10)]
    found = draw_statistics(draws, motion=motion, boxes=boxes)
    each = [mask_statistics(mask, motion=motion, boxes=boxes) for mask in draws]
    for value in ("ratio", "motion_share", "object_share", "step_iou", "fallback_share"):
        assert getattr(found, value) == pytest.approx(np.mean([getattr(s, value) for s in each]))
    mask = build_mask(name)
    assert found.visibility.mean() == (
        pytest.approx(0.25, abs=1e-3) if mask.fixed_count else pytest.approx(1 - found.ratio)
    )
    assert (found.count == (147, 147)) == mask.equal_steps


def test_a_visible_token_is_found_over_many_draws():
    rng = np.random.default_rng(0)
    draws = [make_mask("block", grid=(2, 14, 14), ratio=0.75, rng=rng, boundary="shift") for _ in range(200)]
    assert draw_statistics(draws).never_visible == 100
    assert (
        draw_statistics([make_mask("tube", grid=(2, 14, 14), ratio=0.75, rng=rng) for _ in range(200)]).never_visible
        == 0
    )


def test_clips_count_alike_and_only_where_they_say_something():
    one = draw_statistics([left_half()] * 3, motion=moving_cells(2, 4, 4, cells=[(0, 0)]))
    other = draw_statistics([left_half()], motion=still(2, 4, 4))
    found = pool_statistics([one, other])
    assert (found.draws, found.motion_share, found.object_share, found.overlap) == (4, 1.0, None, 1.0)
    np.testing.assert_allclose(found.visibility[0, 0], [0, 0, 1, 1])


def test_refuses_masks_of_different_grids():
    with raises(MaskError, "missing_value"):
        draw_statistics([])
    with raises(MaskError, "mismatch", message="mask-grids-differ"):
        draw_statistics([left_half(2), left_half(3)])
    with raises(MaskError, "mismatch"):
        pool_statistics([draw_statistics([left_half(steps)]) for steps in (2, 3)])
