from itertools import pairwise

import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks import build_mask
from mgm.masks.advected import trace_back
from mgm.masks.cell_motion import check_motion, token_displacement
from tests.errors import raises
from tests.masks.fields import field, still

GRID = (8, 14, 14)
NAMES = pytest.mark.parametrize("name", ["mgm-sparse", "mgmae"])


def pan(dx, dy, *, frames=16, cells=28):
    """Everything moves by (dx, dy) pixels per frame; with 28 x 28 cells a token is 16 pixels."""
    vectors = still(frames, cells, cells)
    vectors[:] = (dx, dy)
    return field(vectors)


def test_displacement_is_in_tokens_and_adds_up_the_frames_of_a_step():
    motion = pan(4, -2)
    found = token_displacement(check_motion("x", motion, steps=8), shape=(14, 14))
    np.testing.assert_allclose(found[..., 0], -2 * 2 / 16)
    np.testing.assert_allclose(found[..., 1], 4 * 2 / 16)
    # A plain array's cells count as 8 pixels.
    np.testing.assert_allclose(token_displacement(check_motion("x", motion.vectors, steps=8), shape=(14, 14)), found)
    # Tokens of half the height move by twice as many.
    np.testing.assert_allclose(token_displacement(check_motion("x", motion, steps=16), shape=(28, 14))[..., 0], -2 / 8)


@NAMES
@pytest.mark.parametrize(("dx", "dy"), [(8, 0), (0, -8), (-8, 8)])
def test_follows_a_pan(name, dx, dy):
    """One token per step: away from the border the mask is its shifted self."""
    masked = build_mask(name).draw((4, 14, 14), 0.5, pan(dx, dy, frames=8), np.random.default_rng(0)).masked
    for before, after in pairwise(masked):
        moved = np.roll(before, (dy // 8, dx // 8), (0, 1))
        if name == "mgm-sparse":  # the set goes on at the opposite border
            np.testing.assert_array_equal(after, moved)
        else:
            assert (after != moved)[4:10, 4:10].mean() < 0.15


def test_sparse_tokens_move_by_fractions():
    # A quarter of a token per step: after four steps, one token.
    motion = pan(2, 0)
    masked = build_mask("mgm-sparse").draw(GRID, 0.3, motion, np.random.default_rng(0)).masked
    assert masked[4][:, 1:][masked[0][:, :-1]].mean() == 1
    np.testing.assert_array_equal(masked[0], masked[1])


def test_sparse_tokens_stay_on_an_object_that_moves():
    """As dense at its rear as elsewhere, in the pattern that the object had in the first step."""
    vectors = still(16, 28, 28)
    for frame in range(16):
        vectors[frame, 8:18, frame // 2 * 2 : frame // 2 * 2 + 10] = (8, 0)  # one token per step
    for seed in range(5):
        masked = build_mask("mgm-sparse").draw(GRID, 0.5, field(vectors), np.random.default_rng(seed)).masked
        for step in range(1, 8):
            # Of 5 x 5 tokens; a few change so that the count holds.
            assert (masked[0, 4:9, :5] == masked[step, 4:9, step : step + 5]).mean() > 0.8
    share = np.mean(
        [
            build_mask("mgm-sparse").draw(GRID, 0.5, field(vectors), np.random.default_rng(seed)).masked[7, 4:9, 7:12]
            for seed in range(200)
        ]
    )
    assert share == pytest.approx(0.5, abs=0.03)


def test_sparse_hides_content_that_enters_anywhere():
    # All leaves the frame at once.
    motion = pan(0, 200)
    share = np.mean(
        [build_mask("mgm-sparse").draw(GRID, 0.25, motion, np.random.default_rng(seed)).masked for seed in range(300)],
        axis=0,
    )
    np.testing.assert_allclose(share[3], 49 / 196, atol=0.12)


@NAMES
@pytest.mark.parametrize("motion", [None, still(16, 28, 28)])
def test_without_motion_is_a_tube(name, motion):
    drawn = build_mask(name).draw(GRID, 0.75, motion, np.random.default_rng(0))
    assert (drawn.masked == drawn.masked[:1]).all()
    assert drawn.fallback.all()


@NAMES
def test_camera_median_makes_a_pan_a_tube(name):
    drawn = build_mask(name, camera="median").draw(GRID, 0.75, pan(5, 3), np.random.default_rng(0))
    assert (drawn.masked == drawn.masked[:1]).all()
    assert drawn.fallback.all()


@NAMES
def test_only_moving_tokens_change(name):
    vectors = still(16, 28, 28)
    vectors[:, :8, :8] = (6, 0)
    masked = build_mask(name).draw(GRID, 0.5, field(vectors), np.random.default_rng(0)).masked
    changed = (masked != masked[:1]).any(axis=0)
    assert changed[:4, :5].mean() > 0.5
    # What is refilled or lost elsewhere keeps the count.
    assert changed[5:, 6:].mean() < 0.3


def test_mgmae_is_the_drawn_set_at_its_base():
    """Only the base step holds a random set; with all motion out of the frame the others fall back to it."""
    for base, step in (("first", 0), ("middle", 4)):
        mask = build_mask("mgmae", base=base)
        one = mask.draw(GRID, 0.75, pan(3, 1), np.random.default_rng(0)).masked
        other = mask.draw(GRID, 0.75, pan(-7, 5), np.random.default_rng(0)).masked
        np.testing.assert_array_equal(one[step], other[step])
        assert (one != other).any(axis=(1, 2)).sum() == 7
    gone = build_mask("mgmae").draw(GRID, 0.75, pan(0, 500), np.random.default_rng(0)).masked
    assert (gone == gone[4]).all()


def test_mgmae_shows_the_same_content():
    """Content visible at the base stays visible along its motion more often than under a tube."""
    vectors, rng = still(16, 28, 28), np.random.default_rng(0)
    vectors[:, 6:22, 6:22] = (4, 0)  # half a token per step inside of a still frame
    seen = {"mgmae": [], "tube": []}
    for name, shares in seen.items():
        for _ in range(50):
            visible = build_mask(name).draw(GRID, 0.75, field(vectors), rng).visible
            followed = visible[4, 4:10, 4:7] & visible[6, 4:10, 5:8]
            shares.append(followed.sum() / max(visible[4, 4:10, 4:7].sum(), 1))
    assert np.mean(seen["mgmae"]) > 0.9
    assert np.mean(seen["tube"]) < 0.5


def test_trace_back_finds_the_source():
    shape, base = (6, 10), 2
    step = np.random.default_rng(0).uniform(-0.4, 0.4, (5, 2))
    displacement = np.tile(step[:, None], (1, 60, 1))
    place, lost = trace_back(displacement, base=base, shape=shape)
    centres = np.stack(np.meshgrid(np.arange(6) + 0.5, np.arange(10) + 0.5, indexing="ij"), axis=-1).reshape(-1, 2)
    total = np.cumsum(step, axis=0)
    np.testing.assert_allclose(place, centres - (total - total[base])[:, None], atol=1e-12)
    assert not lost[base].any()
    middle = (np.abs(centres - (3, 5)) < (1.5, 3.5)).all(axis=1)
    assert not lost[:, middle].any()


def test_random_holes_differ_from_the_base():
    drawn = build_mask("mgmae", holes="random").draw(GRID, 0.75, pan(0, 500), np.random.default_rng(0)).masked
    assert (drawn != drawn[4]).any(axis=(1, 2)).sum() == 7


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("mgm-sparse", "camera", "affine"), ("mgmae", "camera", None), ("mgmae", "base", "last"), ("mgmae", "holes", 0)],
)
def test_refuses_invalid_options(name, option, value):
    with raises(MaskError, "invalid_value", subject=name):
        build_mask(name, **{option: value})
