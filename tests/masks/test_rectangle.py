import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import build_mask, make_mask, mask_statistics
from mgm.masks.cell_motion import check_motion
from mgm.masks.rectangle import (
    MotionRectangle,
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
