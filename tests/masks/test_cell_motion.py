import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mgm.errors import MaskError
from mgm.masks import motion_energy
from mgm.masks.cell_motion import check_motion, motion_peaks
from tests.errors import raises
from tests.masks.fields import Field, field, moving_cells, still


def peaks(motion, *, steps=1, shape=(14, 14), top_k=1, seed=0):
    cells = check_motion("mgm", motion, steps=steps)
    return motion_peaks(cells, shape=shape, top_k=top_k, rng=np.random.default_rng(seed))


def test_peak_is_the_centre_of_the_strongest_cell():
    # Cell (5, 20) of 28 x 28 covers rows [40, 48) and columns [160, 168) of 224 pixels: its centre is (44, 164).
    centres, moves = peaks(field(moving_cells(2, 28, 28, cells=[(5, 20)])))
    np.testing.assert_allclose(centres, [[44 / 16, 164 / 16]], rtol=1e-12)
    assert moves.tolist() == [True]


def test_a_step_takes_the_stronger_of_its_frames():
    vectors = still(4, 14, 14)
    vectors[0, 2, 3], vectors[1, 9, 9] = (1, 0), (0, -2)
    vectors[3, 0, 0] = (0.1, 0)
    centres, moves = peaks(vectors, steps=2)
    np.testing.assert_allclose(centres, [[9.5, 9.5], [0.5, 0.5]])
    assert moves.all()


def test_hanging_cells_keep_their_place():
    # 3 x 5 cells over 20 x 36 pixels; the last column covers [32, 36) of them, the last row [16, 20).
    centres, _ = peaks(field(moving_cells(1, 3, 5, cells=[(1, 4)]), extent=(20, 36)), shape=(10, 9))
    np.testing.assert_allclose(centres, [[12 / 2, 34 / 4]])
    constant, _ = peaks(field(np.ones((1, 3, 5, 2)), extent=(20, 36)), shape=(10, 9))
    np.testing.assert_allclose(constant, [[5, 4.5]], rtol=1e-12)


@pytest.mark.parametrize(
    ("cells", "centre"),
    [
        ([(0, 0), (0, 1), (1, 0), (1, 1)], (1, 1)),  # a block of 2 x 2: the corner between its cells
        ([(4, 4), (4, 5), (4, 6)], (4.5, 5.5)),
        ([(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)], (2.5, 0.5)),  # an L: its centroid (1.9, 1.1) is outside of it
    ],
)
def test_ties_resolve_to_the_centre_of_the_tied_region(cells, centre):
    centres, _ = peaks(moving_cells(1, 14, 14, cells=cells))
    if len(cells) == 5:  # (1.5, .5) and (2.5, 1.5) are equally near
        assert tuple(centres[0]) in {(1.5, 0.5), (2.5, 1.5)}
    else:
        np.testing.assert_allclose(centres, [centre])


def test_distant_ties_prefer_no_side():
    motion = moving_cells(1, 14, 14, cells=[(3, 1), (3, 12)])
    found = {tuple(peaks(motion, seed=seed)[0][0]) for seed in range(50)}
    assert found == {(3.5, 1.5), (3.5, 12.5)}


def test_top_k_is_the_weighted_centroid():
    vectors = still(1, 14, 14)
    vectors[0, 2, 2], vectors[0, 2, 6], vectors[0, 10, 10] = (3, 0), (0, 1), (0.5, 0)
    np.testing.assert_allclose(peaks(vectors, top_k=2)[0], [[2.5, (3 * 2.5 + 6.5) / 4]])
    # Two cells tie for the second place: each has half of it.
    vectors[0, 4, 6] = (1, 0)
    np.testing.assert_allclose(
        peaks(vectors, top_k=2)[0], [[(3 * 2.5 + 0.5 * 2.5 + 0.5 * 4.5) / 4, (3 * 2.5 + 6.5) / 4]]
    )
    # More places than moving cells, more places than cells.
    assert np.isfinite(peaks(vectors, top_k=100)[0]).all()
    np.testing.assert_allclose(peaks(np.ones((1, 3, 3, 2)), top_k=1000)[0], [[7, 7]])


def test_neither_stillness_nor_held_steps_move():
    vectors = moving_cells(6, 14, 14, cells=[(3, 3)])
    vectors[:2] = 0
    valid = np.ones((6, 14, 14), dtype=np.bool_)
    valid[2:4] = False
    valid[4] = False  # the other frame of its step was measured
    for top_k in (1, 3):
        assert peaks(Field(vectors, valid, (112, 112)), steps=3, top_k=top_k)[1].tolist() == [False, False, True]


@given(vectors=arrays(np.float32, (2, 5, 6, 2), elements=st.integers(-3, 3)))
@settings(max_examples=60, deadline=None)
def test_mirrored_motion_has_a_mirrored_peak(vectors):
    mirrored = vectors[:, :, ::-1] * np.float32([-1, 1])
    y, x = peaks(vectors)[0][0]
    # Where distant ties are drawn at random, the mirrored ones are drawn from as well.
    candidates = [peaks(mirrored, seed=seed)[0][0] for seed in range(60)]
    assert min(np.abs(candidate - (y, 14 - x)).max() for candidate in candidates) < 1e-9


@pytest.mark.parametrize("value", [2.0**-149, 1e-30, 1e20, float(np.finfo(np.float32).max)])
def test_no_magnitude_is_too_small_or_too_large(value):
    for top_k in (1, 2):
        centres, moves = peaks(moving_cells(1, 7, 7, cells=[(6, 2)], vector=(value, -value)), top_k=top_k)
        assert moves.all()
        np.testing.assert_allclose(centres, [[13, 5]])


@pytest.mark.parametrize("extent", [(112, 113), (104, 112), (0, 112), (float("nan"), 112)])
def test_refuses_an_extent_that_the_cells_do_not_cover(extent):
    with raises(MaskError, "mismatch", subject="mgm"):
        peaks(field(still(1, 14, 14), extent=extent))


def test_refuses_flags_of_another_shape():
    with raises(MaskError, "mismatch", subject="mgm"):
        peaks(Field(still(2, 14, 14), np.ones((2, 14), dtype=np.bool_), (112, 112)))


def test_float64_beyond_float32_is_infinite():
    with raises(MaskError, "invalid_value"):
        peaks(np.full((1, 7, 7, 2), 1e200))


def test_energy_of_constant_motion_is_constant():
    vectors = np.full((4, 5, 7, 2), (3.0, 4.0))
    np.testing.assert_allclose(motion_energy(vectors, (2, 14, 9)), 5, rtol=1e-12)
    np.testing.assert_allclose(motion_energy(field(vectors, extent=(33, 50)), (2, 14, 9)), 5, rtol=1e-12)


def test_energy_is_weighted_by_shared_area():
    # 3 cells of 8 pixels over 20 pixels, 2 tokens of 10: the first has 8 + 2 pixels of cells 0 and 1, the second 6 + 4.
    vectors = still(2, 1, 3)
    vectors[0, 0, :, 0] = (1, 2, 3)
    energy = motion_energy(field(vectors, extent=(8, 20)), (1, 1, 2))
    np.testing.assert_allclose(energy, [[[(8 * 1 + 2 * 2) / 20, (6 * 2 + 4 * 3) / 20]]])


def test_energy_is_the_subject_of_its_errors():
    with raises(MaskError, "mismatch", subject="motion_energy"):
        motion_energy(still(3, 7, 7), (2, 7, 7))
    with raises(MaskError, "invalid_value", subject="motion_energy"):
        motion_energy(still(3, 7, 7), (0, 7, 7))
