"""Fields small enough to be calculated by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.video.container.orientation import Orientation
from mgm.video.motion.field import MotionField, VectorField, aggregate_windows, fill_gaps, grid_shape, raw_field
from mgm.video.motion.vectors import NO_VECTORS
from tests.video.blocks import FUTURE, PAST, block
from tests.video.clips import ORIENTATIONS


def raw(*blocks, grid=(2, 2)):
    return raw_field(np.concatenate(blocks), grid)


def test_the_raw_field_prefers_list_0_and_keeps_its_zeros():
    past, future = block(PAST, motion=(-24, 0)), block(FUTURE, motion=(16, 16))
    for order in ((past, future), (future, past)):
        np.testing.assert_array_equal(raw(*order).vectors[0, 0], (6, 0))
    np.testing.assert_array_equal(raw(future).vectors[0, 0], (4, 4))
    assert not raw(block(PAST), future).vectors.any()
    assert not raw(NO_VECTORS).valid.any()


def test_the_raw_field_clips_blocks_at_the_border():
    field = raw(block(PAST, at=(24, 24), motion=(-4, 0)), grid=(3, 3))
    assert np.argwhere(field.valid).tolist() == [[2, 2]]
    assert field.vectors[2, 2, 0] == 1
    assert not raw(block(PAST, at=(300, -100))).valid.any()


def test_grid_covers_the_frame():
    assert grid_shape(64, 96) == (8, 12)
    assert grid_shape(258, 342) == (33, 43)


def line(values):
    """Vectors of one cell over time with these dx."""
    field = np.zeros((len(values), 1, 1, 2), np.float32)
    field[:, 0, 0, 0] = values
    return field


def flags(text):
    return np.array([c == "+" for c in text])[:, None, None]


@pytest.mark.parametrize(
    ("measured", "filled"),
    [
        ("+++++", [1, 2, 3, 4, 5]),
        ("+.+..", [1, 1, 3, 3, 3]),
        ("..++.", [3, 3, 3, 4, 4]),
        ("....+", [5] * 5),
    ],
)
def test_gaps_take_the_earlier_measurement_else_the_next(measured, filled):
    mask = flags(measured)
    given = np.where(mask[..., None], line([1, 2, 3, 4, 5]), 0).astype(np.float32)
    np.testing.assert_array_equal(fill_gaps(given, mask)[:, 0, 0, 0], filled)


def test_gaps_without_any_measurement_are_zero_and_cells_are_independent():
    nothing = np.zeros((3, 1, 2, 2), np.float32)
    measured = np.zeros((3, 1, 2), bool)
    assert not fill_gaps(nothing, measured).any()
    measured[1, 0, 1], nothing[1, 0, 1] = True, (7, 0)
    np.testing.assert_array_equal(fill_gaps(nothing, measured)[:, 0, :, 0], [[0, 7]] * 3)


@pytest.mark.parametrize(
    ("policy", "expected"), [("window_sum", [6, 13, 4]), ("sampled", [9, 12, -6]), ("window_max", [9, 27, 27])]
)
def test_windows_of_three(policy, expected):
    fields = line([1, 2, 3, 0, 9, 4, -3, 9, -2])
    found = aggregate_windows(VectorField(fields, flags("+" * 9)), np.array([2, 5, 8]), stride=3, policy=policy)
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors[:, 0, 0, 0], expected)
    assert found.valid.all()


def test_a_window_before_the_first_frame_repeats_its_displacement():
    field = VectorField(line([5, 1]), flags("++"))
    found = aggregate_windows(field, np.array([0, 1]), stride=4, policy="window_sum")
    np.testing.assert_array_equal(found.vectors[:, 0, 0, 0], [20, 16])
    assert found.valid.all()


def test_a_window_is_valid_where_any_of_its_frames_was_measured():
    field = VectorField(line([1, 1, 1, 1]), flags("+..."))
    summed = aggregate_windows(field, np.array([1, 3]), stride=2, policy="window_sum")
    assert summed.valid[:, 0, 0].tolist() == [True, False]
    # Frames before the first count as not measured.
    late = VectorField(field.vectors, flags(".+++"))
    assert not aggregate_windows(late, np.array([0]), stride=2, policy="window_max").valid.any()
    assert not aggregate_windows(field, np.array([1, 3]), stride=2, policy="sampled").valid.any()


def pixels(field: MotionField, channel: int) -> np.ndarray:
    """One channel spread over the pixels that the cells cover, cut to the extent."""
    height, width = field.extent
    return np.kron(field.vectors[0, ..., channel], np.ones((8, 8)))[:height, :width]


def random_field(height: int, width: int, seed: int) -> MotionField:
    rng = np.random.default_rng(seed)
    shape = (2, *grid_shape(height, width))
    return MotionField(
        rng.normal(size=(*shape, 2)).astype(np.float32), rng.random(shape) < 0.5, "codec", (height, width)
    )


sides = st.integers(8, 60)


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides, seed=st.integers(0, 99))
def test_turns_and_flips_of_whole_cells_are_invertible(height, width, seed):
    whole = random_field(8 * (height // 8), 8 * (width // 8), seed)
    half, back = Orientation(False, True, True), Orientation(True, False, False)
    once, thrice = Orientation(True, False, True), Orientation(True, True, False)
    for other in (
        whole.upright(once).upright(thrice),
        whole.upright(half).upright(half),
        whole.upright(back).upright(back),
        whole.upright(once).upright(once).upright(once).upright(once),
        whole.scaled(1, 1, flip=True).scaled(1, 1, flip=True),
    ):
        np.testing.assert_array_equal(other.vectors, whole.vectors)
        np.testing.assert_array_equal(other.valid, whole.valid)
        assert other.extent == whole.extent


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides, orientation=st.sampled_from(ORIENTATIONS), seed=st.integers(0, 99))
def test_a_turned_field_is_the_field_of_the_turned_picture(height, width, orientation, seed):
    field = random_field(height, width, seed)
    turned = field.upright(orientation)
    assert turned.extent == orientation.shape(height, width)
    x, y = (orientation.image(pixels(field, channel)) for channel in (0, 1))
    if orientation.transposed:
        x, y = y, x
    expected = -x if orientation.mirrored else x, -y if orientation.flipped else y
    rows, columns = (np.minimum(np.arange(0, n, 8) + 4, n - 1) for n in turned.extent)
    for channel in (0, 1):
        centres = expected[channel][np.ix_(rows, columns)]
        np.testing.assert_array_equal(turned.vectors[0, ..., channel], centres)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), height=sides, width=sides)
def test_a_crop_shows_the_cell_under_each_centre(data, height, width):
    field = random_field(height, width, 0)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    cropped = field.crop((x, y, w, h))
    assert cropped.extent == (h, w)
    assert cropped.vectors.shape[1:3] == cropped.valid.shape[1:] == grid_shape(h, w)
    rows, columns = (np.minimum(np.arange(0, n, 8) + 4, n - 1) for n in (h, w))
    expected = pixels(field, 0)[y : y + h, x : x + w][np.ix_(rows, columns)]
    np.testing.assert_array_equal(cropped.vectors[0, ..., 0], expected)


def test_scaling_and_flipping_act_on_the_vectors():
    field = random_field(16, 24, 1)
    np.testing.assert_allclose(field.scaled(2, 0.5).vectors, field.vectors * np.float32([2, 0.5]))
    flipped = field.scaled(1, 1, flip=True)
    np.testing.assert_array_equal(flipped.vectors, field.vectors[:, :, ::-1] * np.float32([-1, 1]))
    np.testing.assert_array_equal(flipped.valid, field.valid[:, :, ::-1])
    np.testing.assert_allclose(field.magnitude, np.linalg.norm(field.vectors, axis=-1), rtol=1e-6)


def test_a_field_is_indexed_by_frame():
    field = random_field(16, 24, 1)
    assert len(field) == 2
    second = field[1:]
    np.testing.assert_array_equal(second.vectors, field.vectors[1:])
    np.testing.assert_array_equal(second.valid, field.valid[1:])
    assert (second.source, second.extent) == ("codec", (16, 24))


def test_a_field_is_converted_to_its_vectors():
    vectors = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    field = MotionField(vectors, np.ones((1, 2, 3), np.bool_), "codec", (16, 24))
    assert np.shares_memory(np.asarray(field), vectors)
    np.testing.assert_array_equal(np.stack([field, field])[1], vectors)


def test_a_motion_field_prints_its_shape_and_unit_and_no_arrays():
    field = MotionField(np.zeros((16, 28, 40, 2), np.float32), np.ones((16, 28, 40), bool), "codec", (224, 320))
    assert (
        repr(field) == "MotionField(16 x 28 x 40 cells, dx and dy in px, source='codec', 100% valid, extent=(224, 320))"
    )
