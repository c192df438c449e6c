import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import TokenMask, make_mask, mask_names, mask_statistics, object_area

from .fields import field, moving_cells, random_peaks, still


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


def test_nothing_to_grade_by_is_none():
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
    ("boxes", "message"),
    [
        ([[]] * 3, "3 frames"),
        ([], "0 frames"),
        ([[[0, 0, 8]], []], "frame 0"),
        ([[], [0, 0, 8, 8]], "frame 1"),
        ([[], [[0, 0, np.nan, 8]]], "finite"),
        ([[], [[8, 0, 4, 8]]], "x0 <= x1"),
        ([[], ["abcd"]], "frame 1"),
    ],
)
def test_boxes_that_are_none(boxes, message):
    with pytest.raises(MaskError, match=f"^object_area: found .*{message}"):
        object_area(boxes, grid=(2, 4, 4), extent=(64, 64))


def test_boxes_need_an_extent():
    with pytest.raises(MaskError, match="pass extent="):
        mask_statistics(left_half(), motion=still(2, 4, 4), boxes=[[], []])
    with pytest.raises(MaskError, match="found extent"):
        mask_statistics(left_half(), boxes=[[], []], extent=(0, 4))


@pytest.mark.parametrize("name", mask_names())
def test_grades_every_mask(name):
    rng = np.random.default_rng(0)
    motion = field(random_peaks(16, 28, 28, rng))
    drawn = make_mask(name, grid=(8, 14, 14), ratio=0.75, motion=motion, rng=rng)
    found = mask_statistics(drawn, motion=motion, boxes=[[[0, 0, 224, 224]]] * 16)
    assert found.ratio == pytest.approx(0.75)
    assert found.object_share == pytest.approx(0.75)
    assert 0 < found.motion_share < 1
    assert 0 < found.step_iou <= 1


def test_guided_masks_hide_more_motion_than_chance():
    rng = np.random.default_rng(0)
    motion = moving_cells(16, 28, 28, cells=[(6, 6), (6, 7), (7, 6), (7, 7)])
    drawn = make_mask("mgm", grid=(8, 14, 14), ratio=0.75, motion=motion, rng=rng, start="motion")
    assert mask_statistics(drawn, motion=motion).motion_share == 1
