import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import build_mask, make_mask, mask_statistics
from mgm.masks.cell_motion import check_motion, motion_extents
from mgm.masks.rectangle import (
    MotionRectangle,
    literal_rectangle,
    place_rectangle,
    rectangle_sides,
    zero_sum_jitter,
)
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.field import MotionField
from tests.errors import raises
from tests.masks.fields import Field, field, moving_blob, moving_cells, random_peaks, still

GRID = (8, 14, 14)
BOUNDARIES = ["clip", "shift", "grow", "wrap"]


def hidden(boundary, *, centre, side=2.0, shape=(4, 4), count=4, draws=400, **options):
    """How often each token is hidden by one rectangle: share (h, w)."""
    rng = np.random.default_rng(0)
    centres, sides = np.tile(centre, (draws, 1)), np.tile(np.broadcast_to(side, 2).astype(float), (draws, 1))
    masked = place_rectangle(
        centres.astype(float), sides, count=count, shape=shape, boundary=boundary, rng=rng, **options
    )
    assert (masked.sum(axis=(1, 2)) == count).all()
    return masked.mean(axis=0)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_rectangle_inside_the_frame_is_the_same_under_all_rules(boundary):
    expected = np.zeros((4, 4))
    expected[1:3, 2:4] = 1
    np.testing.assert_array_equal(hidden(boundary, centre=(2, 3)), expected)


# Half of a 2 x 2 rectangle hangs over the upper border; only the tokens (0, 1) and (0, 2) are inside.


def test_clip_tops_up_anywhere_outside():
    share = hidden("clip", centre=(0, 2))
    assert (share[0, 1:3] == 1).all()
    others = np.delete(share.reshape(-1), [1, 2])
    np.testing.assert_allclose(others, 2 / 14, atol=0.08)


def test_shift_moves_the_rectangle_into_the_frame():
    expected = np.zeros((4, 4))
    expected[0:2, 1:3] = 1
    np.testing.assert_array_equal(hidden("shift", centre=(0, 2)), expected)


def test_grow_takes_the_nearest_and_draws_among_equals():
    share = hidden("grow", centre=(0, 2))
    assert (share[0, 1:3] == 1).all()
    # Next are the tokens at a distance of 1.5: the rest of row 0 and the whole of row 1.
    np.testing.assert_allclose([share[0, 0], share[0, 3], *share[1]], 2 / 6, atol=0.12)
    assert (share[2:] == 0).all()


def test_wrap_goes_on_at_the_opposite_border():
    expected = np.zeros((4, 4))
    expected[[0, 3], 1:3] = 1
    np.testing.assert_array_equal(hidden("wrap", centre=(0, 2)), expected)


def test_clip_drops_the_farthest_when_too_many_are_inside():
    share = hidden("clip", centre=(2.5, 2.5), side=3.0, shape=(5, 5), count=6)
    assert share[2, 2] == 1
    ring = np.delete(share[1:4, 1:4].reshape(-1), 4)
    np.testing.assert_allclose(ring, 5 / 8, atol=0.12)
    assert share.sum() == pytest.approx(6)


@given(
    shape=st.tuples(st.integers(1, 24), st.integers(2, 24)),
    steps=st.integers(1, 32),
    ratio=st.floats(0.1, 0.9),
    seed=st.integers(0, 2**32),
    options=st.fixed_dictionaries(
        {
            "boundary": st.sampled_from(BOUNDARIES),
            "start": st.sampled_from(["random", "motion"]),
            "jitter": st.booleans(),
            "top_k": st.integers(1, 5),
            "sides": st.sampled_from(["ratio", "motion"]),
        }
    ),
)
@settings(max_examples=150, deadline=None)
def test_count_is_exact_under_all_options(shape, steps, ratio, seed, options):
    mask, grid, rng = build_mask("mgm", **options), (steps, *shape), np.random.default_rng(seed)
    if int(ratio * shape[0] * shape[1] + 1e-9) < 1:
        return
    drawn = mask.draw(grid, ratio, random_peaks(2 * steps, 9, 11, rng), rng)
    assert (drawn.masked.sum(axis=(1, 2)) == mask.count(grid, ratio)).all()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_count_is_exact_over_many_draws(boundary):
    rng = np.random.default_rng(0)
    mask = MotionRectangle(boundary=boundary)
    for _ in range(1000):
        drawn = mask.draw(GRID, 0.75, random_peaks(8, 14, 14, rng), rng)
        assert (drawn.masked.sum(axis=(1, 2)) == 147).all()


@pytest.mark.parametrize("kind", ["random starts", "moving peaks", "no motion"])
def test_clip_shows_every_token_sometimes(kind):
    rng = np.random.default_rng(0)
    mask = MotionRectangle(start="motion" if kind == "moving peaks" else "random")
    seen = np.zeros((3_000, 14, 14), dtype=np.bool_)
    motions = [random_peaks(8, 14, 14, rng) for _ in range(200)]
    for draw in range(3_000):
        drawn = mask.draw(GRID, 0.75, None if kind == "no motion" else motions[draw % 200], rng)
        assert (drawn.masked.sum(axis=(1, 2)) == 147).all()
        seen[draw] = drawn.visible[0 if kind == "random starts" else draw % 8]
    assert seen.mean(axis=0).min() > 0.02


def test_shift_never_shows_the_middle():
    rng = np.random.default_rng(0)
    mask = MotionRectangle(boundary="shift", jitter=False)
    seen = np.zeros(GRID, dtype=np.bool_)
    for _ in range(500):
        seen |= mask.draw(GRID, 0.75, random_peaks(8, 14, 14, rng), rng).visible
    assert (~seen.any(axis=0)).sum() == 100


@pytest.mark.parametrize("ratio", [0.5, 0.75])
@pytest.mark.parametrize("top_k", [1, 5])
def test_a_moving_blob_is_covered(ratio, top_k):
    motion, boxes = moving_blob(16, cells=32, side=6)
    for seed in range(10):
        drawn = make_mask(
            "mgm",
            grid=(8, 16, 16),
            ratio=ratio,
            motion=motion,
            rng=np.random.default_rng(seed),
            boundary="grow",
            start="motion",
            top_k=top_k,
        )
        assert mask_statistics(drawn, motion=motion, boxes=boxes).object_share >= 0.95


def test_random_start_leaves_only_the_first_step_to_chance():
    motion = moving_cells(16, 14, 14, cells=[(2, 2)])
    mask = MotionRectangle(boundary="grow", jitter=False)
    drawn = np.array([mask.draw(GRID, 0.25, motion, np.random.default_rng(seed)).masked for seed in range(60)])
    assert not drawn[:, 0].all(axis=0).any()
    assert drawn[:, 1:, :5, :5].all()
    assert not mask.draw(GRID, 0.25, motion, np.random.default_rng(0)).fallback.any()


def test_steps_without_motion_hold_the_last_centre_or_take_the_first():
    vectors = still(10, 14, 14)
    vectors[4, 2, 2] = vectors[8, 11, 11] = (3, 3)
    mask = MotionRectangle(boundary="grow", jitter=False, start="motion")
    drawn = mask.draw((5, 14, 14), 0.25, vectors, np.random.default_rng(0))
    assert drawn.fallback.tolist() == [True, True, False, True, False]
    assert drawn.masked[:4, :5, :5].all()
    assert drawn.masked[4, 9:, 9:].all()


def test_held_vectors_alone_are_no_motion():
    vectors = moving_cells(16, 14, 14, cells=[(2, 2)])
    motion = Field(vectors, np.zeros((16, 14, 14), dtype=np.bool_), (112, 112))
    assert MotionRectangle().draw(GRID, 0.75, motion, np.random.default_rng(0)).fallback.all()


@pytest.mark.parametrize("start", ["random", "motion"])
def test_without_any_motion_one_random_centre_is_kept(start):
    mask = MotionRectangle(boundary="grow", jitter=False, start=start)
    middles = []
    for seed in range(200):
        drawn = mask.draw(GRID, 0.25, still(16, 14, 14), np.random.default_rng(seed))
        assert drawn.fallback.all()
        # Only the ring of equally distant tokens is drawn anew.
        assert drawn.masked.all(axis=0).sum() >= 25
        middles.append(np.argwhere(drawn.masked[0]).mean(axis=0))
    assert np.min(middles) < 3.5
    assert np.max(middles) > 9.5


def test_constant_motion_centres_the_rectangle():
    for motion in (np.ones((8, 28, 28, 2)), field(np.ones((8, 5, 6, 2)), extent=(33, 42))):
        drawn = MotionRectangle(jitter=False, start="motion").draw(GRID, 0.75, motion, np.random.default_rng(0))
        assert drawn.masked[:, 1:13, 1:13].all()


@given(steps=st.integers(0, 31), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_jitter_sums_to_zero(steps, seed):
    jitter = zero_sum_jitter(steps, rng=np.random.default_rng(seed))
    assert jitter.shape == (steps, 2)
    assert (jitter.sum(axis=0) == 0).all()
    assert set(np.unique(jitter)) <= {-1, 0, 1}


def test_jitter_prefers_no_step_and_is_independent_in_x_and_y():
    jitter = np.array([zero_sum_jitter(7, rng=np.random.default_rng(seed)) for seed in range(3000)])
    assert np.abs(jitter.mean(axis=0)).max() < 0.06
    spread = (jitter != 0).mean(axis=0)
    assert spread.min() > 0.5
    assert np.ptp(spread) < 0.06
    assert abs((jitter[..., 0] * jitter[..., 1]).mean()) < 0.03


def test_sides():
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(rectangle_sides(GRID, 0.75, jitter=False, rng=rng), 147**0.5)
    np.testing.assert_allclose(rectangle_sides((2, 4, 25), 0.75, jitter=False, rng=rng), [[4, 18.75]] * 2)
    np.testing.assert_allclose(rectangle_sides((2, 25, 4), 0.75, jitter=False, rng=rng), [[18.75, 4]] * 2)
    jittered = rectangle_sides(GRID, 0.75, jitter=True, rng=rng)
    np.testing.assert_allclose(jittered[[0, -1]], 147**0.5)
    assert np.ptp(jittered) > 0
    assert min(rectangle_sides((32, 2, 2), 0.25, jitter=True, rng=rng).min() for _ in range(50)) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("boundary", "bounce"),
        ("boundary", None),
        ("start", "middle"),
        ("jitter", "no"),
        ("top_k", 0),
        ("top_k", 1.5),
        ("top_k", True),
        ("trim", "nearest"),
        ("fill", "far"),
        ("share", 0),
        ("share", float("nan")),
        ("softness", -1),
        ("softness", float("inf")),
        ("softness", True),
        ("scope", "video"),
        ("camera", "affine"),
        ("sides", "object"),
        ("exact", "video"),
    ],
)
def test_refuses_invalid_options(option, value):
    with raises(MaskError, "invalid_value", subject="mgm"):
        build_mask("mgm", **{option: value})


def test_trim_random_drops_any():
    share = hidden("clip", centre=(2.5, 2.5), side=3.0, shape=(5, 5), count=6, trim="random")
    np.testing.assert_allclose(share[1:4, 1:4], 6 / 9, atol=0.1)
    assert share.sum() == pytest.approx(6)


def test_fill_near_is_an_even_rim():
    # 1 x 4 tokens of a 2 x 4 rectangle are inside; 4 are missing, and the row below touches it.
    share = hidden("clip", centre=(0, 4), side=(2.0, 4.0), shape=(8, 8), count=8, fill="near")
    assert (share[0, 2:6] == 1).all()
    # half a token away: the row below; beside it as well
    np.testing.assert_allclose([*share[1, 2:6], share[0, 1], share[0, 6]], 4 / 6, atol=0.1)
    # in the rectangle's own metric the neighbours beside it are nearer than those below
    grown = hidden("grow", centre=(0, 4), side=(2.0, 4.0), shape=(8, 8), count=8)
    assert (grown[0, 1:7] == 1).all()


def test_softness_frays_the_edge():
    hard = hidden("grow", centre=(7, 7), side=8.0, shape=(14, 14), count=64)
    np.testing.assert_array_equal(hard[3:11, 3:11], 1)
    soft = hidden("grow", centre=(7, 7), side=8.0, shape=(14, 14), count=64, softness=1.0)
    assert (soft[6:8, 6:8] > 0.98).all()
    assert 0.4 < soft[3:11, 3].mean() < 0.8
    assert 0.1 < soft[3:11, 2].mean() < 0.5
    assert soft[0].max() < 0.05


@pytest.mark.parametrize(("share", "inside"), [(1.0, 49), (0.5, 24), (0.001, 1)])
def test_share_leaves_the_rest_to_chance(share, inside):
    motion = moving_cells(16, 14, 14, cells=[(6, 6)])
    mask = MotionRectangle(share=share, boundary="grow", jitter=False, start="motion")
    drawn = np.array([mask.draw(GRID, 0.25, motion, np.random.default_rng(seed)).masked for seed in range(300)])
    assert (drawn.sum(axis=(2, 3)) == 49).all()
    always = drawn.all(axis=(0, 1)).sum()  # the ring of equally distant tokens is drawn
    assert always <= inside
    assert always >= (max(int(inside**0.5) - 1, 1) if inside > 1 else 1) ** 2
    outside = drawn.mean(axis=(0, 1))[:2].mean()
    np.testing.assert_allclose(outside, (49 - inside) / (196 - inside), atol=0.02)


def test_one_centre_for_the_whole_clip():
    vectors = still(16, 14, 14)
    vectors[np.arange(16), 2, np.arange(14).repeat(2)[:16]] = (1, 0)
    vectors[9, 11, 11] = (0, 2)
    for start in ("random", "motion"):
        mask = MotionRectangle(boundary="grow", jitter=False, scope="clip", start=start)
        drawn = mask.draw(GRID, 0.25, vectors, np.random.default_rng(0))
        assert drawn.masked[:, 9:14, 9:14].all()
        assert not drawn.fallback.any()
    nowhere = mask.draw(GRID, 0.25, still(16, 14, 14), np.random.default_rng(0))
    assert nowhere.fallback.tolist() == [True] * 8


def test_camera_median_finds_motion_against_a_pan():
    rng = np.random.default_rng(0)
    vectors = np.full((16, 14, 14, 2), (20.0, -3.0)) + rng.normal(0, 0.1, (16, 14, 14, 2))
    vectors[:, 2, 2] = (16, -3)
    pan = field(vectors)
    still_camera = MotionRectangle(boundary="grow", jitter=False, start="motion", camera="median")
    assert still_camera.draw(GRID, 0.25, pan, rng).masked[:, :5, :5].all()
    blind = MotionRectangle(boundary="grow", jitter=False, start="motion").draw(GRID, 0.25, pan, rng)
    assert blind.masked[:, :5, :5].all(axis=(1, 2)).mean() < 0.5


@pytest.mark.parametrize("options", [{}, {"boundary": "shift"}, {"top_k": 3}, {"start": "motion"}, {"sides": "motion"}])
def test_new_options_draw_nothing_at_their_defaults(options):
    """Runs that resume depend on it: the generator stands where it stood before the options existed."""
    plain = MotionRectangle(**options)
    rng, other = np.random.default_rng(5), np.random.default_rng(5)
    plain.draw(GRID, 0.75, None, rng)
    other.integers(-1, 2, size=(7, 2))
    other.random((7, 2))
    other.random(2)
    other.random((8, 196))
    assert rng.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize("measured", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("cells", [(5, 7), (6, 4)])
def test_the_median_is_that_of_the_video_floor(measured, cells):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, *cells, 2)).astype(np.float32)
    valid = rng.random((6, *cells)) < measured
    extent = (8 * cells[0], 8 * cells[1])
    peer = remove_camera(MotionField(vectors, valid, "codec", extent), "median").vectors
    found = check_motion("mgm", Field(vectors, valid, extent), steps=3, camera="median").vectors
    np.testing.assert_allclose(found.reshape(vectors.shape), peer, atol=1e-6)


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
    # in proportion: 4 x 9 grows to 7.2 x 16.2, of which the frame has 13.6, and the last of equally distant tokens are drawn
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


def tokens_inside(centre, sides, shape, boundary):
    """By a plain loop: the tokens whose centres are in one rectangle, (h, w)."""
    (y, x), (high, wide) = centre, sides
    if boundary == "shift":
        y, x = (
            min(max(at, min(side, n) / 2), n - min(side, n) / 2)
            for at, side, n in zip((y, x), (high, wide), shape, strict=True)
        )
    inside = np.zeros(shape, np.bool_)
    for row in range(shape[0]):
        for column in range(shape[1]):
            dy, dx = abs(row + 0.5 - y), abs(column + 0.5 - x)
            if boundary == "wrap":
                dy, dx = min(dy, shape[0] - dy), min(dx, shape[1] - dx)
            inside[row, column] = dy <= high / 2 + 1e-9 and dx <= wide / 2 + 1e-9
    return inside


@pytest.mark.parametrize("boundary", ["clip", "shift", "wrap"])
def test_a_literal_rectangle_is_that_of_a_plain_loop(boundary):
    rng = np.random.default_rng(0)
    shape = (9, 14)
    centres, sides = rng.random((50, 2)) * shape, rng.uniform(1, 12, (50, 2))
    sides[:10], centres[:10] = np.rint(sides[:10]), np.rint(2 * centres[:10]) / 2  # centres of tokens on the edge
    found = literal_rectangle(centres, sides, shape=shape, boundary=boundary)
    for step in range(50):
        np.testing.assert_array_equal(found[step], tokens_inside(centres[step], sides[step], shape, boundary))


def test_no_exact_count_is_the_equation_as_written():
    """A peak in a corner and one in the middle: 7 x 7 tokens, of which 4 x 4 are inside; nothing is cut or added."""
    vectors = still(16, 14, 14)
    vectors[:8, 0, 0] = vectors[8:, 7, 7] = (3, -4)
    mask = MotionRectangle(exact="none", start="motion", jitter=False)
    drawn = mask.draw(GRID, 49 / 196, vectors, np.random.default_rng(0))
    expected = np.zeros(GRID, np.bool_)
    expected[:4, :4, :4] = expected[4:, 4:11, 4:11] = True
    np.testing.assert_array_equal(drawn.masked, expected)
    assert (mask.equal_steps, mask.fixed_count, mask.count(GRID, 49 / 196)) == (False, False, 8 * 64)


def test_the_count_of_the_clip_is_made_up_over_all_steps():
    vectors = still(16, 14, 14)
    vectors[:8, 0, 0] = vectors[8:, 7, 7] = (3, -4)
    options = {"start": "motion", "jitter": False}
    literal = MotionRectangle(**options, exact="none").draw(GRID, 49 / 196, vectors, np.random.default_rng(0)).masked
    mask = MotionRectangle(**options, exact="clip")
    seen = np.array([mask.draw(GRID, 49 / 196, vectors, np.random.default_rng(seed)).masked for seed in range(200)])
    assert (mask.equal_steps, mask.fixed_count, mask.count(GRID, 49 / 196)) == (False, True, 8 * 49)
    assert (seen.sum((1, 2, 3)) == 8 * 49).all()
    assert seen[:, literal].all()
    # what the corner lacks is drawn from all tokens outside, of every step alike
    outside = 4 * (196 - 16) + 4 * (196 - 49)
    np.testing.assert_allclose(seen.mean(0)[~literal], 4 * 33 / outside, atol=0.12)
    for part, size in ((slice(4), 196 - 16), (slice(4, 8), 196 - 49)):
        share = seen[:, part][:, ~literal[part]].mean()
        assert share == pytest.approx(4 * 33 / outside, rel=0.05), size


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_too_much_in_a_clip_is_cut_from_the_farthest_of_all_steps(boundary):
    """Rectangles of 5 x 5 and 9 x 9 for 2 x 45 tokens: of 106 the 16 farthest, each in the metric of its own rectangle."""
    rng = np.random.default_rng(0)
    centres, sides = np.array([[7.5, 7.5], [7.5, 7.5]]), np.array([[5.0, 5.0], [9.0, 9.0]])
    found = place_rectangle(centres, sides, count=90, shape=(15, 15), boundary=boundary, rng=rng, together=True)
    offset = np.abs(np.arange(15) + 0.5 - 7.5)
    distance = np.maximum(*np.meshgrid(offset, offset)) / (sides[:, :1, None] / 2)
    assert found.sum() == 90
    assert distance[found].max() <= distance[~found].min()
    assert found.sum((1, 2)).tolist() == [25, 65] or distance[found].max() == pytest.approx(distance[~found].min())


@given(
    name=st.sampled_from(["mgm", "smm"]),
    boundary=st.sampled_from(["clip", "shift", "wrap"]),
    jitter=st.booleans(),
    shape=st.tuples(st.integers(2, 20), st.integers(2, 20)),
    steps=st.integers(1, 16),
    ratio=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_a_literal_mask_hides_at_most_its_count(name, boundary, jitter, shape, steps, ratio, seed):
    mask, rng = build_mask(name, exact="none", boundary=boundary, jitter=jitter), np.random.default_rng(seed)
    grid = (steps, *shape)
    try:
        most = mask.count(grid, ratio)
    except MaskError:  # no token of the clip
        return
    drawn = mask.draw(grid, ratio, random_peaks(2 * steps, 9, 11, rng), rng)
    assert 0 < drawn.masked.sum() <= most <= steps * shape[0] * shape[1]
    assert drawn.masked.any((1, 2)).all()


def test_a_literal_rectangle_may_hide_a_whole_step():
    """Its side is 13.3 of 14: in the middle of the frame every token's centre is inside."""
    mask = MotionRectangle(exact="none", start="motion", jitter=False)
    drawn = mask.draw(GRID, 0.9, np.ones((8, 28, 28, 2)), np.random.default_rng(0))
    assert drawn.masked.all()
    assert mask.count(GRID, 0.9) == 8 * 196


def test_literal_masks_refuse_what_adds_or_cuts_tokens():
    for option, value in {"boundary": "grow", "trim": "random", "fill": "near", "share": 0.5, "softness": 1.0}.items():
        for name in ("mgm", "smm"):
            with raises(MaskError, "conflict", subject=name):
                build_mask(name, exact="none", **{option: value})
    with raises(MaskError, "conflict", subject="mgm", message="mask-literal-option"):
        build_mask("mgm", exact="none", sides="motion")
    with raises(MaskError, "unknown_name", subject="block"):
        build_mask("block", exact="clip")
