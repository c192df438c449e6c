"""Pixels where they belong: directions have their hues, masks lie where tokens are masked, arguments are left alone."""

import colorsys

import numpy as np
import pytest

from mgm.show.figures import (
    BOX,
    EDGE,
    HIDDEN,
    colour_motion,
    colour_wheel,
    hide_masked,
    motion_scale,
    paint_mask,
    reconstruction,
    spread_tokens,
)


def _hue(rgb) -> float:
    return colorsys.rgb_to_hsv(*(int(v) / 255 for v in rgb))[0] * 360


def _uniform(dx, dy, *, frames=2, cells=(7, 9)):
    return np.broadcast_to(np.array([dx, dy], np.float32), (frames, *cells, 2)).copy()


def _coloured(dx, dy):
    return colour_motion(_uniform(dx, dy), extent=(56, 72), full_scale=4.0)[0, 20, 20]


@pytest.mark.parametrize(("one", "other"), [((4, 0), (-4, 0)), ((0, 4), (0, -4))])
def test_opposite_directions_have_opposite_hues(one, other):
    apart = abs(_hue(_coloured(*one)) - _hue(_coloured(*other)))
    assert min(apart, 360 - apart) > 140


def test_the_four_directions_look_as_documented():
    right, down, left, up = (_hue(_coloured(*d)) for d in [(4, 0), (0, 4), (-4, 0), (0, -4)])
    assert right < 30 or right > 330
    assert 40 < down < 100
    assert 165 < left < 215
    assert 220 < up < 300


def test_no_direction_looks_brighter_than_another():
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    luma = [_coloured(4 * np.cos(a), 4 * np.sin(a)) @ np.array([0.299, 0.587, 0.114]) for a in angles]
    assert max(luma) - min(luma) < 45


def test_strength_grows_with_magnitude_and_saturates_at_full_scale():
    saturation = [int(np.ptp(_coloured(dx, 0).astype(int))) for dx in (0, 1, 2, 4, 9)]
    assert saturation[0] <= 2
    assert saturation[0] < saturation[1] < saturation[2] < saturation[3] == saturation[4]


def test_the_wheel_agrees_with_the_field():
    wheel = colour_wheel(101)
    assert wheel.shape == (101, 101, 4)
    assert wheel[0, 0, 3] == 0
    assert wheel[50, 50, 3] == 255
    assert abs(_hue(wheel[50, 98, :3]) - _hue(_coloured(4, 0))) < 5
    assert abs(_hue(wheel[98, 50, :3]) - _hue(_coloured(0, 4))) < 5


def test_cells_keep_their_place_when_the_last_one_hangs_over():
    field = np.zeros((1, 2, 3, 2), np.float32)
    field[0, 1, 2] = (5, 0)
    shown = colour_motion(field, extent=(12, 20), full_scale=5.0)[0]
    moving = np.ptp(shown.astype(int), axis=-1) > 60
    assert shown.shape == (12, 20, 3)
    assert moving[8:, 16:].all()
    assert moving.sum() == 4 * 4
    large = colour_motion(field, extent=(12, 20), size=(24, 40), full_scale=5.0)[0]
    assert (np.ptp(large.astype(int), axis=-1) > 60).sum() == 8 * 8


def test_no_vector_looks_different_from_no_motion():
    field, valid = np.zeros((1, 4, 4, 2), np.float32), np.ones((1, 4, 4), bool)
    valid[0, :, :2] = False
    shown = colour_motion(field, extent=(32, 32), valid=valid)[0]
    assert len(np.unique(shown[:, 16:].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(shown[:, :16].reshape(-1, 3), axis=0)) == 2


def test_scale_ignores_invalid_cells_and_never_amplifies_noise():
    field, valid = _uniform(3, 4), np.ones((2, 7, 9), bool)
    field[0, 0, 0], valid[0, 0, 0] = (500, 0), False
    assert motion_scale(field, valid) == pytest.approx(5)
    assert motion_scale(field * 0.01) == 1
    assert motion_scale(field, np.zeros_like(valid)) == 1


def test_cells_that_do_not_cover_the_extent_are_refused():
    with pytest.raises(ValueError, match="do not cover 64 x 72"):
        colour_motion(_uniform(1, 0), extent=(64, 72))


def test_tokens_spread_over_their_pixels_and_frames():
    masked = np.zeros((2, 2, 3), bool)
    masked[1, 0, 2] = True
    spread = spread_tokens(masked, frames=4, size=(8, 12))
    assert not spread[:2].any()
    assert spread[2:, :4, 8:].all()
    assert spread.sum() == 2 * 4 * 4
    with pytest.raises(ValueError, match="5 frames do not divide into the mask's 2 steps"):
        spread_tokens(masked, frames=5, size=(8, 12))


def test_the_veil_lies_on_masked_tokens_only(make_clip):
    clip = make_clip()
    before = clip.copy()
    masked = np.zeros((4, 7, 7), bool)
    masked[:, 2:6, 1:5] = True
    painted = paint_mask(clip, masked, thickness=1)
    hidden = spread_tokens(masked, frames=8, size=clip.shape[1:3])
    assert (painted[~hidden] == clip[~hidden]).all()
    assert (painted[hidden] != clip[hidden]).any(axis=-1).all()
    np.testing.assert_array_equal(clip, before)
    # The outline is the rim of the rectangle, rows 16-47 and columns 12-59, and nothing inside it.
    edge = (painted[0] == EDGE).all(axis=-1)
    assert edge[16, 12:60].all()
    assert edge[47, 12:60].all()
    assert edge[16:48, 12].all()
    assert edge.sum() == 2 * 48 + 2 * 30


def test_content_stays_visible_under_the_veil(make_clip):
    clip = make_clip(frames=2)
    painted = paint_mask(clip, np.ones((1, 7, 7), bool))[0]
    assert int(painted[25, 15].sum()) - int(painted[25, 60].sum()) > 60
    assert not (painted == EDGE).all(axis=-1).any()


def test_boxes_are_drawn_and_clipped(make_clip):
    clip = make_clip(frames=2)
    boxes = [np.array([[10.0, 20, 22, 32], [70, 40, 200, 90]]), np.zeros((0, 4))]
    painted = paint_mask(clip, np.zeros((1, 7, 7), bool), boxes=boxes, thickness=1)
    assert (painted[0, 20, 10:22] == BOX).all()
    assert (painted[0, 40, 70:84] == BOX).all()
    assert (painted[0, 25, 12:20] == clip[0, 25, 12:20]).all()
    assert (painted[1] == clip[1]).all()
    with pytest.raises(ValueError, match="boxes of 1 frames"):
        paint_mask(clip, np.zeros((1, 7, 7), bool), boxes=boxes[:1])


def test_reconstruction_shows_the_prediction_where_it_was_asked_for(make_clip):
    clip = make_clip()
    predicted = np.full_like(clip, 7)
    masked = np.random.default_rng(0).random((4, 7, 7)) < 0.5
    hidden = spread_tokens(masked, frames=8, size=clip.shape[1:3])
    (_, original), (_, seen), (_, filled) = reconstruction(clip, predicted, masked)
    assert (original == clip).all()
    assert (seen[hidden] == HIDDEN).all()
    assert (filled[hidden] == 7).all()
    assert (filled[~hidden] == clip[~hidden]).all()
    assert (hide_masked(clip, masked) == seen).all()
    with pytest.raises(ValueError, match="give both in pixels of one clip"):
        reconstruction(clip, predicted[:4], masked)
