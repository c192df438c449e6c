"""Velocities of few vectors, small enough to be calculated by hand."""

import numpy as np
import pytest

from mgm.video.motion import accumulation, field
from mgm.video.motion import velocity as velocity_module
from mgm.video.motion.vectors import NO_VECTORS
from mgm.video.motion.velocity import REACH, accumulate_vectors, compile_motion_kernels, smooth, smoothed_support
from tests.video.blocks import FUTURE, PAST, block


def summed(*blocks, grid=(2, 2), past=1.0, future=1.0, enclosing=None):
    return accumulate_vectors(np.concatenate(blocks), grid, past=past, future=future, enclosing=enclosing)


def velocity(*blocks, **options):
    """The velocity of the upper left cell."""
    total = summed(*blocks, **options)[:, 0, 0]
    return (total[:2] / total[2]).tolist()


def test_a_past_vector_is_negated_and_a_future_one_is_not():
    assert velocity(block(PAST, motion=(-12, 8))) == [3, -2]
    assert velocity(block(FUTURE, motion=(12, -8))) == [3, -2]


def test_vectors_are_divided_by_their_distance_and_both_lists_count_the_same():
    # 3 and 2.5 right; 0 and 1 down
    found = velocity(block(PAST, motion=(-24, 0)), block(FUTURE, motion=(40, 16)), past=2, future=4)
    assert found == [2.75, 0.5]


@pytest.mark.parametrize("zero_first", [True, False])
def test_a_spurious_zero_beside_a_displacement_is_discarded(zero_first):
    blocks = [block(PAST), block(FUTURE, motion=(8, 4))]
    assert velocity(*(blocks if zero_first else blocks[::-1])) == [2, 1]


def test_a_zero_alone_is_a_measurement():
    total = summed(block(PAST), block(FUTURE))
    assert not total[:2].any()
    assert total[2].all()
    assert not summed(NO_VECTORS).any()


def test_the_longer_of_two_vectors_in_the_same_direction_is_discarded():
    """Its reference is farther than the nearest."""
    assert velocity(block(PAST, motion=(-16, 0)), block(FUTURE, motion=(8, 1))) == [2, 0.25]
    assert velocity(block(PAST, motion=(-8, 1)), block(FUTURE, motion=(24, 0))) == [2, -0.25]
    # less than half as long again
    assert velocity(block(PAST, motion=(-8, 0)), block(FUTURE, motion=(11, 0))) == [2.375, 0]
    assert velocity(block(PAST, motion=(-8, 0)), block(FUTURE, motion=(0, 24))) == [1, 3]  # another direction
    assert velocity(block(PAST, motion=(-8, 0)), block(FUTURE, motion=(-24, 0))) == [-2, 0]  # opposite directions


def test_vectors_of_the_enclosing_frame_count():
    enclosing = summed(block(PAST, motion=(-32, 0)), past=4)
    assert velocity(block(PAST, motion=(-10, 0)), enclosing=enclosing) == [2.25, 0]
    assert velocity(NO_VECTORS, enclosing=enclosing) == [2, 0]
    assert velocity(block(PAST, motion=(-20, 0)), enclosing=enclosing) == [2, 0]  # the own vector is too long
    assert velocity(block(PAST, motion=(-4, 0)), enclosing=enclosing) == [1, 0]  # the enclosing vector is too long
    assert velocity(block(PAST), enclosing=enclosing) == [1, 0]  # a zero in the only list is a measurement
    assert (enclosing[0, 0, 0], enclosing[2, 0, 0]) == (2, 1)  # unchanged


def test_blocks_over_the_border_are_clipped():
    # The last macroblock of a frame of 20 x 20 pixels covers the last of its 3 x 3 cells.
    total = summed(block(PAST, at=(24, 24), motion=(-4, 0)), grid=(3, 3))
    assert np.argwhere(total[2]).tolist() == [[2, 2]]
    assert total[0, 2, 2] == 1
    assert np.argwhere(summed(block(PAST, at=(0, 0), motion=(-4, 0)), grid=(3, 3))[2]).tolist() == [[0, 0]]
    assert not summed(block(PAST, at=(300, -100))).any()


@pytest.mark.parametrize(
    ("side", "at", "cells"),
    [
        ((16, 8), (8, 4), [[0, 0], [0, 1]]),
        ((16, 8), (8, 12), [[1, 0], [1, 1]]),
        ((8, 16), (4, 8), [[0, 0], [1, 0]]),
        ((8, 16), (12, 8), [[0, 1], [1, 1]]),
        ((8, 8), (12, 4), [[0, 1]]),
    ],
)
def test_partitions_fill_their_own_cells(side, at, cells):
    total = summed(block(PAST, side=side, at=at, motion=(-4, 0)))
    assert np.argwhere(total[2]).tolist() == cells
    assert total[0].sum() == total[2].sum() == len(cells)


def test_parts_of_a_cell_count_by_area():
    parts = [block(PAST, side=(4, 8), at=(2, 4), motion=(-4, 0))]
    parts += [block(PAST, side=(4, 4), at=(6, y), motion=(-12, 0)) for y in (2, 6)]
    assert summed(*parts)[:, 0, 0].tolist() == [2, 0, 1]


def test_smoothing_spreads_a_cell_and_keeps_uniform_motion():
    total = np.zeros((3, 13, 15), np.float32)
    total[0], total[1], total[2] = 1.5, -3, 2
    field = smooth(total, 2.0)
    np.testing.assert_allclose(field.vectors, np.broadcast_to(np.float32([1.5, -3]), (13, 15, 2)), rtol=1e-5)
    assert field.valid.all()
    total[0] = 0
    total[0, 6, 7] = 64 * 64
    vectors = smooth(total, 2.0).vectors
    row = np.array([1, 6, 15, 20, 15, 6, 1])
    np.testing.assert_allclose(vectors[3:10, 4:11, 0], np.outer(row, row), rtol=1e-5)
    assert np.count_nonzero(vectors[..., 0]) == 49


def test_smoothing_fills_gaps_from_near_cells():
    total = np.zeros((3, 5, 12), np.float32)
    total[0, :, :4], total[2, :, :4] = 6, 2
    field = smooth(total, 1.0)
    measured = field.valid
    assert measured[0].tolist() == [True] * 4 + [False] * 8
    np.testing.assert_allclose(
        field.vectors[..., 0], np.broadcast_to([3.0] * (4 + REACH) + [0.0] * (8 - REACH), (5, 12))
    )
    np.testing.assert_array_equal(smoothed_support(measured[None])[0], field.vectors[..., 0] > 0)
    np.testing.assert_array_equal(smoothed_support(measured.T[None])[0], field.vectors[..., 0].T > 0)


def test_more_measurements_weighs_more():
    total = np.zeros((3, 1, 2), np.float32)
    total[:, 0, 0], total[:, 0, 1] = (4, 0, 4), (3, 0, 1)  # four estimates of 1 and one of 3
    np.testing.assert_allclose(smooth(total, 1.0).vectors[0, 0], [(4 * 20 + 3 * 15) / (4 * 20 + 15), 0], rtol=1e-6)


def test_the_support_contains_cells_near_a_measured_one():
    rng = np.random.default_rng(0)
    measured = rng.random((4, 12, 17)) < 0.02
    known = smoothed_support(measured)
    for i, y, x in np.ndindex(*measured.shape):
        near = measured[i, max(y - REACH, 0) : y + REACH + 1, max(x - REACH, 0) : x + REACH + 1]
        assert known[i, y, x] == near.any()
    assert smoothed_support(np.ones((1, 2, 2), bool)).all()
    assert not smoothed_support(np.zeros((1, 2, 2), bool)).any()


def test_kernels_can_be_compiled_ahead_of_the_first_clip():
    """`make setup` calls it. A new kernel that it leaves out has no compiled form yet, if this test is run alone."""
    compile_motion_kernels()
    kernels = {
        name: one
        for module in (accumulation, field, velocity_module)
        for name, one in vars(module).items()
        if hasattr(one, "py_func")
    }
    assert {"_trace", "_spread", "_fill", "_sum", "_gather", "_smooth", "_support"} <= set(kernels)
    assert {name for name, kernel in kernels.items() if not kernel.signatures} <= {"_join"}  # compiled within `_gather`
