"""The sides of `mgm` from the extent of the motion, `sides="motion"`."""

import numpy as np
import pytest

from mgm.masks.cell_motion import check_motion, motion_extents
from mgm.masks.rectangle import (
    MotionRectangle,
)
from tests.masks.fields import field, still

GRID = (8, 14, 14)
BOUNDARIES = ["clip", "shift", "grow", "wrap"]


def moving_rectangle(rows, columns, *, frames=16, cells=28):
    """One rectangle of cells, rows and columns as slices, moves as one in front of a still background."""
    vectors = still(frames, cells, cells)
    vectors[:, rows, columns] = (3, -4)
    return vectors


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_sides_of_the_motion_are_those_of_an_object_that_moves_as_one(boundary):
    """4 x 9 tokens of 14 x 14, at a ratio that hides exactly these: nothing else, whatever the border rule."""
    motion = moving_rectangle(slice(6, 14), slice(8, 26))
    mask = MotionRectangle(sides="motion", start="motion", jitter=False, boundary=boundary)
    drawn = mask.draw(GRID, 36 / 196, motion, np.random.default_rng(0))
    expected = np.zeros(GRID, np.bool_)
    expected[:, 3:7, 4:13] = True
    np.testing.assert_array_equal(drawn.masked, expected)


def test_a_small_extent_is_topped_up_and_a_large_one_is_cut():
    small = moving_rectangle(slice(6, 14), slice(8, 26))
    options = {"sides": "motion", "start": "motion", "jitter": False}
    seen = np.array(
        [MotionRectangle(**options).draw(GRID, 0.75, small, np.random.default_rng(seed)).masked for seed in range(100)]
    ).mean((0, 1))
    assert (seen[3:7, 4:13] == 1).all()
    outside = np.ones((14, 14), np.bool_)
    outside[3:7, 4:13] = False
    np.testing.assert_allclose(seen[outside], (147 - 36) / 160, atol=0.06)
    # in proportion: 4 x 9 grows to 7.2 x 16.2, the frame cuts 16.2 to 13.6, and the last of equally distant tokens are drawn
    grown = MotionRectangle(**options, boundary="grow").draw(GRID, 98 / 196, small, np.random.default_rng(0)).masked
    assert grown[:, 2:8, 1:].all()
    assert not grown[:, [0, 9, 10, 11, 12, 13]].any()
    # without the farthest of 4 x 9, in its own metric: its outer columns go first, its inner ones never
    cut = MotionRectangle(**options).draw(GRID, 20 / 196, small, np.random.default_rng(0)).masked
    assert not cut[:, np.arange(14) < 3].any()
    assert cut[:, 4:6, 6:11].all()


def test_motion_everywhere_fills_the_frame():
    motion = np.ones((8, 28, 28, 2))
    cells = check_motion("mgm", motion, steps=8)
    middle, corner = (np.tile(np.array(at, float), (8, 1)) for at in ((7, 7), (0, 0)))
    np.testing.assert_allclose(motion_extents(cells, middle, shape=(14, 14)), 14)
    np.testing.assert_allclose(motion_extents(cells, corner, shape=(14, 14)), 28)
    drawn = MotionRectangle(sides="motion", start="motion", jitter=False).draw(
        GRID, 0.75, motion, np.random.default_rng(0)
    )
    assert drawn.masked[:, 1:13, 1:13].all()


def test_without_motion_the_sides_are_those_of_the_ratio():
    for motion in (None, still(16, 28, 28)):
        one, other = (
            MotionRectangle(sides=sides).draw(GRID, 0.75, motion, np.random.default_rng(3))
            for sides in ("motion", "ratio")
        )
        np.testing.assert_array_equal(one.masked, other.masked)
        np.testing.assert_array_equal(one.fallback, other.fallback)


def test_steps_without_motion_hold_the_sides_too():
    vectors = still(16, 28, 28)
    vectors[6:8, 6:14, 8:26] = vectors[12:14, 20:24, 2:6] = (3, -4)  # steps 3 and 6
    mask = MotionRectangle(sides="motion", start="motion", jitter=False)
    drawn = mask.draw(GRID, 36 / 196, vectors, np.random.default_rng(0))
    assert drawn.masked[:6, 3:7, 4:13].all()
    assert drawn.masked[6:, 10:12, 1:3].all()
    assert not drawn.masked[6:, 3:7, 4:13].all(axis=(1, 2)).any()
    assert drawn.fallback.tolist() == [True, True, True, False, True, True, False, True]
    whole = MotionRectangle(sides="motion", scope="clip", jitter=False).draw(
        GRID, 36 / 196, moving_rectangle(slice(6, 14), slice(8, 26)), np.random.default_rng(0)
    )
    assert whole.masked[:, 3:7, 4:13].all()


def test_share_and_jitter_act_on_the_sides_of_the_motion():
    motion = moving_rectangle(slice(6, 14), slice(8, 26))
    mask = MotionRectangle(sides="motion", start="motion", share=0.5, jitter=False)
    seen = np.array([mask.draw(GRID, 36 / 196, motion, np.random.default_rng(seed)).masked for seed in range(200)])
    assert (seen.sum((2, 3)) == 36).all()
    assert seen[:, :, 3:7, 4:13].sum((2, 3)).min() >= 18
    np.testing.assert_allclose(np.delete(seen.mean((0, 1)), slice(3, 7), axis=0), 18 / (196 - 18), atol=0.03)
    jittered = MotionRectangle(sides="motion", start="motion", boundary="grow")
    found = np.array([jittered.draw(GRID, 36 / 196, motion, np.random.default_rng(seed)).masked for seed in range(20)])
    assert found[:, [0, -1], 3:7, 4:13].all()
    assert not found[:, 1:-1, 3:7, 4:13].all()


@pytest.mark.parametrize("case", ["cells", "overhang"])
def test_extents_are_those_of_a_plain_loop(case):
    """Second moments about the centre by a sum over pixels, each with the magnitude of its cell."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(6, 5, 6, 2)).astype(np.float32)
    vectors[4:] = 0
    extent, side = ((5, 6), 1) if case == "cells" else ((33, 47), 8)
    given = vectors if case == "cells" else field(vectors, extent=extent)
    centres = rng.random((3, 2)) * (4, 7)
    found = motion_extents(check_motion("mgm", given, steps=3), centres, shape=(4, 7))
    fine = 16 if case == "cells" else 2  # points per unit of length
    points = [[(n + 0.5) / fine for n in range(length * fine)] for length in extent]
    for step in range(2):
        speed = np.hypot(*np.moveaxis(vectors[2 * step : 2 * step + 2].astype(float), -1, 0)).max(0)
        total = tall = wide = 0.0
        for y in points[0]:
            for x in points[1]:
                weight = speed[int(y) // side, int(x) // side]
                total += weight
                tall += weight * (y * 4 / extent[0] - centres[step, 0]) ** 2
                wide += weight * (x * 7 / extent[1] - centres[step, 1]) ** 2
        np.testing.assert_allclose(found[step], [(12 * tall / total) ** 0.5, (12 * wide / total) ** 0.5], rtol=1e-3)
    assert found[2].tolist() == [0, 0]
