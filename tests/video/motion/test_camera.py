"""The camera's motion is removed from a field with moving objects; fits are compared with plain least squares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import VideoError
from mgm.video.motion.camera import camera_motion, remove_camera
from mgm.video.motion.field import MotionField, grid_shape
from tests.errors import raises

SIZE = (258, 342)  # the last cells extend over the border


def centres(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the centre of each cell's pixels, (gh, gw) each."""
    y, x = (np.array([(np.arange(length)[c : c + 8] + 0.5).mean() for c in range(0, length, 8)]) for length in size)
    return tuple(np.meshgrid(x, y))


def affine(coefficients: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(gh, gw, 2) of coefficients (2, 3): dx and dy by 1, x and y."""
    x, y = centres(size)
    return np.stack([c[0] + c[1] * x + c[2] * y for c in np.asarray(coefficients)], axis=-1)


def field_of(*frames: np.ndarray, valid: np.ndarray | None = None, size: tuple[int, int] = SIZE) -> MotionField:
    vectors = np.stack(frames).astype(np.float32)
    return MotionField(vectors, np.ones(vectors.shape[:3], bool) if valid is None else valid, "codec", size)


def random_affine(rng: np.random.Generator, frames: int) -> list[np.ndarray]:
    """Pans up to 20 px, zooms and rolls up to 5% each, per frame."""
    return [np.column_stack([rng.uniform(-20, 20, 2), rng.uniform(-0.05, 0.05, (2, 2))]) for _ in range(frames)]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), height=st.integers(96, 300), width=st.integers(96, 300))
def test_an_affine_camera_is_removed_completely(seed, height, width):
    """Only the prior for a pan, of a tenth of a cell's weight, leaves a residual."""
    size = (height, width)
    field = field_of(*(affine(a, size) for a in random_affine(np.random.default_rng(seed), 3)), size=size)
    pan = field.vectors.mean(axis=(1, 2), keepdims=True)
    left_over = np.abs(remove_camera(field, "affine").vectors).max()
    assert left_over < 0.015 * np.abs(field.vectors - pan).max() + 1e-3


def test_an_affine_fit_of_noise_is_that_of_least_squares():
    """Without outliers, robust weights change little: numpy's lstsq is the peer."""
    rng = np.random.default_rng(0)
    noisy = affine([[3, 0.02, -0.01], [-2, 0.015, 0.03]]) + rng.normal(0, 0.5, (*grid_shape(*SIZE), 2))
    x, y = (c.ravel() for c in centres(SIZE))
    design = np.stack([np.ones_like(x), x, y], axis=1)
    peer = design @ np.linalg.lstsq(design, noisy.reshape(-1, 2), rcond=None)[0]
    fitted = camera_motion(field_of(noisy), "affine")[0]
    np.testing.assert_allclose(fitted.reshape(-1, 2), peer, atol=0.05)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("place", ["left strip", "corner", "middle", "scattered"])
def test_moving_objects_do_not_tilt_the_fit(share, place):
    rng = np.random.default_rng(1)
    rows, columns = grid_shape(*SIZE)
    camera = affine([[3, 0.02, -0.01], [-2, 0.015, 0.03]])
    mine = np.zeros((rows, columns), bool)
    side = np.sqrt(share)
    if place == "left strip":
        mine[:, : round(columns * share)] = True
    elif place == "corner":
        mine[: round(rows * side), : round(columns * side)] = True
    elif place == "middle":
        top, left = round(rows * (1 - side) / 2), round(columns * (1 - side) / 2)
        mine[top : rows - top, left : columns - left] = True
    else:
        mine = rng.random((rows, columns)) < share
    vectors = np.where(mine[..., None], (-12, 7), camera) + rng.normal(0, 0.2, (rows, columns, 2))
    field = field_of(vectors)
    np.testing.assert_allclose(camera_motion(field, "affine")[0], camera, atol=0.15)
    left_over = remove_camera(field, "affine").magnitude[0]
    assert left_over[~mine].mean() < 0.4


def test_the_median_is_that_of_the_valid_cells():
    rng = np.random.default_rng(2)
    vectors = rng.normal(0, 5, (5, 6, 7, 2))
    valid = rng.random((5, 6, 7)) < 0.5
    valid[1], valid[2] = False, True
    field = field_of(*vectors, valid=valid, size=(48, 56))
    taken = camera_motion(field, "median")
    assert taken.dtype == np.float32
    assert taken.shape == field.vectors.shape
    for t in range(5):
        used = valid[t] if valid[t].any() else np.ones_like(valid[t])
        np.testing.assert_allclose(taken[t], np.broadcast_to(np.median(vectors[t][used], axis=0), (6, 7, 2)), rtol=1e-6)


@pytest.mark.parametrize("how", ["median", "affine"])
def test_remove_camera_subtracts_camera_motion(how):
    rng = np.random.default_rng(3)
    field = field_of(*rng.normal(0, 5, (3, *grid_shape(*SIZE), 2)), valid=rng.random((3, *grid_shape(*SIZE))) < 0.7)
    kept = field.vectors.copy()
    less = remove_camera(field, how)
    np.testing.assert_array_equal(less.vectors, field.vectors - camera_motion(field, how))
    np.testing.assert_array_equal(field.vectors, kept)
    assert less.vectors.dtype == np.float32
    assert less.valid is field.valid
    assert (less.source, less.extent) == (field.source, field.extent)


def test_none_subtracts_nothing():
    field = field_of(affine([[3, 0.02, 0], [1, 0, 0.02]]))
    assert remove_camera(field, "none") is field
    assert not camera_motion(field, "none").any()


def test_only_valid_cells_count():
    rng = np.random.default_rng(4)
    camera = affine([[3, 0.02, -0.01], [-2, 0.015, 0.03]])
    valid = rng.random((1, *grid_shape(*SIZE))) < 0.3
    field = field_of(np.where(valid[0][..., None], camera, (40, -40)), valid=valid)
    np.testing.assert_allclose(camera_motion(field, "affine")[0], camera, atol=0.05)


@pytest.mark.parametrize(("count", "pan"), [(7, True), (8, False)])
def test_fewer_than_eight_valid_cells_give_a_pan(count, pan):
    rng = np.random.default_rng(5)
    camera = affine([[3, 0.05, 0], [-2, 0, 0.05]])
    valid = np.zeros((2, *grid_shape(*SIZE)), bool)
    valid[1] = True
    valid[0].flat[rng.choice(valid[0].size, count, replace=False)] = True
    field = field_of(camera, camera, valid=valid)
    fitted, median = camera_motion(field, "affine"), camera_motion(field, "median")
    assert np.array_equal(fitted[0], median[0]) == pan
    np.testing.assert_allclose(fitted[1], camera, atol=0.05)


@pytest.mark.parametrize("where", [np.s_[3:4, :], np.s_[:, 5:6], np.s_[0:3, 0:3]], ids=["row", "column", "corner"])
def test_cells_without_a_slope_give_a_pan(where):
    """Noise of cells on a line, or in a corner, must not grow into a wild motion at the other end of the frame."""
    rng = np.random.default_rng(6)
    valid = np.zeros((1, *grid_shape(*SIZE)), bool)
    valid[0][where] = True
    vectors = np.broadcast_to((4.0, -3.0), (*grid_shape(*SIZE), 2)) + rng.normal(0, 0.25, (*grid_shape(*SIZE), 2))
    taken = camera_motion(field_of(vectors, valid=valid), "affine")[0]
    np.testing.assert_allclose(taken, np.broadcast_to((4.0, -3.0), taken.shape), atol=0.75)


@pytest.mark.parametrize("how", ["median", "affine"])
def test_still_and_unmeasured_frames_are_unchanged(how):
    rows, columns = grid_shape(*SIZE)
    valid = np.ones((3, rows, columns), bool)
    valid[1] = False
    still = np.zeros((rows, columns, 2))
    alone = still.copy()
    alone[4:9, 6:12] = (9, -5)
    field = field_of(still, still, alone, valid=valid)
    np.testing.assert_array_equal(remove_camera(field, how).vectors, field.vectors)


@pytest.mark.parametrize(("size", "frames"), [((8, 8), 2), ((5, 200), 2), ((200, 9), 2), ((64, 64), 0)])
@pytest.mark.parametrize("how", ["median", "affine"])
def test_fields_of_few_cells(size, frames, how):
    """One row of cells has no slope along y."""
    field = (
        field_of(*np.ones((frames, *grid_shape(*size), 2)), size=size)
        if frames
        else MotionField(np.empty((0, 8, 8, 2), np.float32), np.empty((0, 8, 8), bool), "codec", size)
    )
    less = remove_camera(field, how)
    assert less.vectors.shape == field.vectors.shape
    np.testing.assert_allclose(less.vectors, 0, atol=1e-4)


@pytest.mark.parametrize("how", ["median", "affine"])
def test_a_camera_of_difference_is_an_error(how):
    field = MotionField(np.ones((1, 4, 4, 2), np.float32), np.ones((1, 4, 4), bool), "difference", (32, 32))
    with raises(VideoError, "conflict"):
        remove_camera(field, how)
    assert remove_camera(field, "none") is field


def test_an_unknown_camera_model_is_an_error():
    field = MotionField(np.ones((1, 4, 4, 2), np.float32), np.ones((1, 4, 4), bool), "codec", (32, 32))
    with raises(VideoError, "unknown_name", message="motion-unknown-camera"):
        remove_camera(field, "homography")
