import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import motion_energy
from mgm.masks.scored import MotionSampled, MotionTopK, ScoreMask, highest, sampled
from tests.errors import raises
from tests.masks.fields import Field, field, moving_cells, random_peaks, still

GRID = (8, 14, 14)
GUIDED = [
    MotionTopK(),
    MotionTopK(camera="median"),
    MotionSampled(),
    MotionSampled(floor=0.1, temperature=0.5, camera="median"),
    ScoreMask(),
    ScoreMask(method="sampled"),
    ScoreMask(lowest=True),
]


def draw(mask, *, grid=GRID, ratio=0.75, motion=None, seed=0):
    return mask.draw(grid, ratio, motion, np.random.default_rng(seed))


def shares(mask, number, **options):
    """How often each token is hidden: (t, h, w)."""
    rng = np.random.default_rng(0)
    grid, ratio = options.get("grid", GRID), options.get("ratio", 0.75)
    return np.mean([mask.draw(grid, ratio, options.get("motion"), rng).masked for _ in range(number)], axis=0)


@given(
    shape=st.sampled_from([(7, 7), (14, 14), (24, 24), (6, 20), (1, 9)]),
    steps=st.sampled_from([1, 4, 32]),
    ratio=st.floats(0.12, 0.99),
    kind=st.sampled_from(["none", "still", "constant", "cell", "peaks", "hanging"]),
    mask=st.sampled_from(GUIDED),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_count_is_exact_and_the_draw_repeats(shape, steps, ratio, kind, mask, seed):
    grid = (steps, *shape)
    if not 1 <= int(ratio * shape[0] * shape[1] + 1e-9) < shape[0] * shape[1]:
        return
    motion = {
        "none": lambda: None,
        "still": lambda: still(steps, *shape),
        "constant": lambda: np.full((2 * steps, 9, 11, 2), -3.7),
        "cell": lambda: moving_cells(steps, 9, 11, cells=[(8, 0)]),
        "peaks": lambda: random_peaks(2 * steps, *shape, np.random.default_rng(seed)),
        "hanging": lambda: field(random_peaks(steps, 5, 6, np.random.default_rng(seed)), extent=(33, 47)),
    }[kind]()
    drawn = draw(mask, grid=grid, ratio=ratio, motion=motion, seed=seed)
    assert (drawn.masked.sum(axis=(1, 2)) == mask.count(grid, ratio)).all()
    np.testing.assert_array_equal(drawn.masked, draw(mask, grid=grid, ratio=ratio, motion=motion, seed=seed).masked)


def test_top_hides_the_strongest_motion():
    rng = np.random.default_rng(0)
    motion = field(rng.normal(size=(16, 28, 28, 2)))
    energy = motion_energy(motion, GRID).reshape(8, -1)
    masked = draw(MotionTopK(), motion=motion).masked.reshape(8, -1)
    assert (np.where(masked, energy, np.inf).min(axis=1) > np.where(masked, 0, energy).max(axis=1)).all()


def test_fewer_moving_tokens_than_places_are_all_hidden():
    motion = moving_cells(8, 14, 14, cells=[(2, 3), (9, 9)])
    for mask in (MotionTopK(), MotionSampled(), ScoreMask()):
        share = shares(mask, 400, motion=motion)
        assert (share[:, [2, 9], [3, 9]] == 1).all()
        others = np.delete(share.reshape(8, -1), [2 * 14 + 3, 9 * 14 + 9], axis=1)
        # 145 of 194 at random: standard deviation .022
        np.testing.assert_allclose(others, 145 / 194, atol=0.11)


@pytest.mark.parametrize("cells", [(14, 14), (28, 28), (32, 32), (5, 9), (30, 17)])
@pytest.mark.parametrize("mask", [MotionTopK(), ScoreMask(), ScoreMask(lowest=True), ScoreMask(method="sampled")])
def test_ties_prefer_no_place(mask, cells):
    # Constant motion, pooled from cells that do not divide the tokens, is constant up to rounding only.
    share = shares(mask, 100, motion=np.full((8, *cells, 2), (0.1, 0.7)), ratio=0.5)
    # 800 steps: standard deviation .018
    assert np.abs(share.mean(axis=0) - 0.5).max() < 0.08
    given = ScoreMask(scores=np.full(cells, 0.1), lowest=mask.name == "score" and mask.lowest)
    assert np.abs(shares(given, 100, ratio=0.5).mean(axis=0) - 0.5).max() < 0.08


def test_highest_draws_among_ties_for_the_last_places_only():
    score = np.tile([5.0, 1, 1, 1, 1, 0], (4000, 1))
    share = highest(score, count=3, rng=np.random.default_rng(0)).mean(axis=0)
    assert share[0] == 1
    assert share[5] == 0
    np.testing.assert_allclose(share[1:5], 0.5, atol=0.04)


def test_no_magnitude_is_too_small_or_too_large():
    for value in (2.0**-149, 1e-30, 1e20, float(np.finfo(np.float32).max)):
        motion = moving_cells(8, 14, 14, cells=[(6, 2)], vector=(value, -value))
        for mask in GUIDED[:6]:
            drawn = draw(mask, motion=motion, ratio=1 / 196)
            assert not drawn.fallback.any()
            if mask not in (GUIDED[3], GUIDED[5]):  # these draw others at times
                assert drawn.masked[:, 6, 2].all()


def successive(weights, count, number):
    """The peer: `count` tokens drawn one after the other, each in proportion to its weight among those left."""
    rng = np.random.default_rng(1)
    hits = np.zeros(len(weights))
    for _ in range(number):
        hits[rng.choice(len(weights), size=count, replace=False, p=weights / weights.sum())] += 1
    return hits / number


def test_sampled_is_drawing_without_replacement():
    weights = np.array([8.0, 4, 2, 1, 1, 0.5])
    for count in (1, 2, 4):
        own = sampled(np.tile(np.log(weights), (20_000, 1)), count=count, rng=np.random.default_rng(0)).mean(axis=0)
        # Standard deviation of either share at most .0036.
        np.testing.assert_allclose(own, successive(weights, count, 20_000), atol=0.02)
    np.testing.assert_allclose(
        sampled(np.tile(np.log(weights), (20_000, 1)), count=1, rng=np.random.default_rng(0)).mean(axis=0),
        weights / weights.sum(),
        atol=0.015,
    )


@pytest.mark.parametrize(("temperature", "floor"), [(1.0, 0.0), (2.0, 0.0), (0.5, 0.0), (1.0, 0.5)])
def test_probability_follows_motion_temperature_and_floor(temperature, floor):
    vectors = still(2000, 2, 2)
    vectors[..., 0] = [[1, 2], [4, 0]]
    mask = MotionSampled(temperature=temperature, floor=floor)
    share = draw(mask, grid=(2000, 2, 2), ratio=0.25, motion=vectors).masked.mean(axis=0)
    weight = (np.array([[1, 2], [4, 0]]) / 1.75 + floor) ** (1 / temperature)
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.05)
    assert (share[1, 1] > 0) == (floor > 0)


def test_temperature_goes_from_top_to_random():
    motion = field(np.random.default_rng(0).normal(size=(16, 28, 28, 2)))
    top = draw(MotionTopK(), motion=motion).masked
    cold = draw(MotionSampled(temperature=1e-3), motion=motion).masked
    assert (top & cold).sum() > 0.99 * top.sum()
    hot = shares(MotionSampled(temperature=1e3), 300, motion=motion)
    assert np.abs(hot - 0.75).max() < 0.13  # standard deviation .025


@pytest.mark.parametrize("mask", [MotionTopK(), MotionSampled(), ScoreMask()])
def test_fallback_marks_the_steps_without_motion_of_their_own(mask):
    vectors = moving_cells(8, 14, 14, cells=[(3, 3)])
    vectors[:2] = 0
    valid = np.ones((8, 14, 14), dtype=np.bool_)
    valid[2:4] = False  # held
    drawn = draw(mask, grid=(4, 14, 14), motion=Field(vectors, valid, (112, 112)))
    assert drawn.fallback.tolist() == [True, True, False, False]
    assert drawn.masked[1:, 3, 3].all()  # held motion is followed
    still_share = shares(mask, 400, grid=(4, 14, 14), motion=Field(vectors, valid, (112, 112)))[0]
    assert np.abs(still_share - 0.75).max() < 0.11  # standard deviation .022


@pytest.mark.parametrize("mask", [MotionTopK, MotionSampled])
def test_median_takes_a_pan_for_no_motion(mask):
    vectors = np.full((8, 14, 14, 2), (5.0, -2.0), dtype=np.float32)
    assert not draw(mask(), motion=vectors).fallback.any()
    assert draw(mask(camera="median"), motion=vectors).fallback.all()
    vectors[:, 4, 4] = 0  # it moves against the background
    drawn = draw(mask(camera="median"), motion=vectors, ratio=1 / 196)
    assert drawn.masked[:, 4, 4].all()
    assert not drawn.masked[:, 4, 5].any()
    assert not draw(MotionTopK(), motion=vectors).masked[:, 4, 4].any()


def test_score_hides_the_highest_or_the_lowest():
    scores = np.random.default_rng(0).normal(size=GRID)
    order = scores.reshape(8, -1).argsort(axis=1).argsort(axis=1).reshape(GRID)
    np.testing.assert_array_equal(draw(ScoreMask(scores=scores)).masked, order >= 196 - 147)
    np.testing.assert_array_equal(draw(ScoreMask(scores=scores, lowest=True)).masked, order < 147)
    assert not draw(ScoreMask(scores=scores)).fallback.any()
    assert not draw(ScoreMask(scores=np.ones((4, 4)))).fallback.any()


def test_scores_of_any_resolution_are_pooled():
    tokens = np.random.default_rng(0).normal(size=GRID)
    expected = draw(ScoreMask(scores=tokens)).masked
    for scores in (
        tokens.repeat(2, axis=0),
        tokens.repeat(16, axis=1).repeat(16, axis=2),
        tokens.repeat(3, axis=0).repeat(3, axis=2) + np.tile([[[-9.0]], [[4]], [[5]]], (8, 1, 1)),
        tokens.tolist(),
    ):
        np.testing.assert_array_equal(draw(ScoreMask(scores=scores)).masked, expected)
    single = draw(ScoreMask(scores=tokens[3])).masked
    np.testing.assert_array_equal(single, np.repeat(expected[3:4], 8, axis=0))
    # The motion's magnitude as a map is what the mask reads without one.
    vectors = np.random.default_rng(1).normal(size=(16, 30, 17, 2)).astype(np.float32)
    given = ScoreMask(scores=np.hypot(*np.moveaxis(vectors.astype(np.float64), -1, 0)))
    np.testing.assert_array_equal(draw(given).masked, draw(ScoreMask(), motion=vectors).masked)


@pytest.mark.parametrize("lowest", [False, True])
@pytest.mark.parametrize("change", [lambda s: s, lambda s: 1e300 * s, lambda s: 1e-300 * s, lambda s: s / 7 + 50])
def test_sampled_scores_need_no_unit(change, lowest):
    scores = np.array([[0.0, 1], [2, 3]])
    weight = np.exp((-1 if lowest else 1) * scores / scores.std() / 2)
    mask = ScoreMask(scores=change(scores), method="sampled", temperature=2, lowest=lowest)
    share = draw(mask, grid=(8000, 2, 2), ratio=0.25).masked.mean(axis=0)
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.025)


def test_large_scores_do_not_overflow():
    scores = np.full((16, 14, 14), 1e308)
    scores[:, 0, 0] = 1.5e308
    assert draw(ScoreMask(scores=scores), ratio=1 / 196).masked[:, 0, 0].all()


def test_scores_replace_motion():
    mask = ScoreMask(scores=np.arange(196.0).reshape(14, 14))
    broken = np.full((3, 2, 2, 2), np.nan)
    np.testing.assert_array_equal(draw(mask, motion=broken).masked, draw(mask).masked)


def test_a_score_mask_is_a_value():
    scores = np.arange(12.0).reshape(3, 4)
    mask = ScoreMask(scores=scores)
    assert mask == ScoreMask(scores=scores.tolist())
    assert hash(mask) == hash(ScoreMask(scores=scores.tolist()))
    assert mask == pickle.loads(pickle.dumps(mask)) == copy.deepcopy(mask)
    for other in (ScoreMask(), ScoreMask(scores=scores.reshape(4, 3)), ScoreMask(scores=scores + 1), MotionTopK()):
        assert mask != other
    assert mask != ScoreMask(scores=scores, lowest=True)
    scores[0, 0] = 99
    assert mask == ScoreMask(scores=np.arange(12.0).reshape(3, 4))
    with pytest.raises(ValueError, match="read-only"):
        mask.scores[0, 0] = 1


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (np.full((8, 14, 14), np.nan), "invalid_value"),
        ([[0.0, 1.0], [np.inf, 2.0]], "invalid_value"),
        (np.zeros((8, 14, 14, 2)), "invalid_shape"),
        (np.zeros((0, 14, 14)), "invalid_shape"),
        (np.zeros((2, 2), dtype=complex), "invalid_type"),
        ([[1.0], [1.0, 2.0]], "invalid_type"),
        ("attention", "invalid_type"),
    ],
)
def test_refuses_invalid_scores(scores, reason):
    with raises(MaskError, reason, subject="score"):
        ScoreMask(scores=scores)


def test_refuses_scores_that_do_not_divide_into_steps():
    with raises(MaskError, "mismatch", subject="score", message="mask-scores-frames"):
        draw(ScoreMask(scores=np.zeros((12, 14, 14))))


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (MotionTopK, "camera", "affine"),
        (MotionSampled, "camera", True),
        (MotionSampled, "temperature", 0.0),
        (MotionSampled, "temperature", float("nan")),
        (MotionSampled, "temperature", True),
        (MotionSampled, "floor", -0.1),
        (MotionSampled, "floor", float("inf")),
        (MotionSampled, "floor", "0"),
        (ScoreMask, "method", "best"),
        (ScoreMask, "temperature", 1e9),
        (ScoreMask, "lowest", 1),
    ],
)
def test_options_are_checked(kind, option, value):
    with raises(MaskError, "invalid_value", subject=kind.name):
        kind(**{option: value})


@pytest.mark.parametrize("mask", GUIDED)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_motion_is_an_error(mask, bad):
    vectors = random_peaks(16, 28, 28, np.random.default_rng(0))
    vectors[5, 3, 4, 1] = bad
    with raises(MaskError, "invalid_value", subject=mask.name):
        draw(mask, motion=vectors)
