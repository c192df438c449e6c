"""What every mask of the catalog hides: its count, at random, changed by its options, by no state of others."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import build_mask, make_mask
from tests.errors import raises
from tests.masks.every import EVERY, OPTIONS, SHAPES, draw_options
from tests.masks.fields import Field, field, moving_cells, random_peaks, still

STEPS = st.sampled_from([1, 4, 8, 16, 32])
MOTIONS = st.sampled_from(["none", "still", "constant", "one cell", "peaks", "finer", "overhang", "held", "huge"])
RATIOS = st.floats(0.05, 0.95) | st.sampled_from(["least", "most"])


def make_motion(kind, steps, height, width, rng):
    match kind:
        case "none":
            return None
        case "still":
            return still(2 * steps, height, width)
        case "constant":
            return np.full((steps, height, width, 2), 2.0, dtype=np.float32)
        case "one cell":
            return moving_cells(2 * steps, height, width, cells=[(height - 1, 0)])
        case "peaks":
            return random_peaks(2 * steps, height, width, rng)
        case "finer":
            return field(random_peaks(2 * steps, 2 * height, 2 * width, rng))
        case "held":
            vectors = random_peaks(2 * steps, height, width, rng)
            return Field(vectors, rng.random(vectors.shape[:3]) < 0.1, (8 * height, 8 * width))
        case "huge":
            return rng.choice([-3.4e38, 0, 3.4e38], size=(steps, height, width, 2)).astype(np.float32)
        case _:
            return field(random_peaks(steps, 5, 6, rng), extent=(33, 47))


@EVERY
@given(data=st.data(), shape=SHAPES, steps=STEPS, ratio=RATIOS, kind=MOTIONS, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_hides_exactly_its_count_and_repeats(name, data, shape, steps, ratio, kind, seed):
    grid = (steps, *shape)
    motion = make_motion(kind, steps, *shape, np.random.default_rng(seed))
    options = draw_options(name, data)
    if name == "score" and options.get("scores") is not None and options["scores"].ndim == 3:
        options["scores"] = np.resize(options["scores"], (steps, 5, 4))
    mask = build_mask(name, **options)
    tokens = int(np.prod(shape) if mask.equal_steps or not mask.fixed_count else np.prod(grid))
    if isinstance(ratio, str):
        ratio = (1 if ratio == "least" else tokens - 1) / tokens
    if int(ratio * tokens + 1e-9) < 1:
        with raises(MaskError, "invalid_value", subject=name):
            mask.draw(grid, ratio, motion, np.random.default_rng(seed))
        return
    drawn = mask.draw(grid, ratio, motion, np.random.default_rng(seed))
    assert drawn.masked.shape == grid
    assert drawn.masked.dtype == np.bool_
    counts, expected = (
        drawn.masked.sum(axis=(1, 2)) if mask.equal_steps else drawn.masked.sum(),
        mask.count(grid, ratio),
    )
    if mask.fixed_count:
        assert (counts == expected).all()
        assert expected == int(ratio * tokens + 1e-9)
    else:
        assert 0 < counts <= expected
    # True = hidden, whatever the ratio; the flat form is row-major and the visible one its complement.
    assert drawn.masked.mean() == pytest.approx(drawn.ratio)
    np.testing.assert_array_equal(drawn.flat.reshape(grid), drawn.masked)
    np.testing.assert_array_equal(drawn.visible, ~drawn.masked)
    again = make_mask(name, grid=grid, ratio=ratio, motion=motion, rng=np.random.default_rng(seed), **options)
    np.testing.assert_array_equal(drawn.masked, again.masked)
    np.testing.assert_array_equal(drawn.fallback, again.fallback)


def count_over_many_draws(name, draws):
    rng = np.random.default_rng(0)
    mask, grid = build_mask(name), (8, 14, 14)
    motions = [None, still(16, 14, 14), *(random_peaks(16, 14, 14, rng) for _ in range(8))]
    for draw in range(draws):
        drawn = mask.draw(grid, 0.75, motions[draw % len(motions)], rng)
        counts = drawn.masked.sum(axis=(1, 2))
        if not mask.fixed_count:
            counts = counts[counts > 0]
        elif not mask.equal_steps:
            counts = counts.mean()
        assert (counts == 147).all()


@EVERY
def test_500_draws_at_the_papers_setting(name):
    count_over_many_draws(name, 500)


@EVERY
@pytest.mark.slow
def test_10000_draws_at_the_papers_setting(name):
    count_over_many_draws(name, 10_000)


@EVERY
def test_every_token_is_hidden_sometimes_and_seen_sometimes(name):
    rng = np.random.default_rng(0)
    mask, grid = build_mask(name), (4, 7, 7)
    hidden = np.mean([mask.draw(grid, 0.5, random_peaks(8, 7, 7, rng), rng).masked for _ in range(400)], axis=0)
    assert hidden.min() > 0.05
    assert hidden.max() < 0.98


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in OPTIONS.items() for option in options]
)
def test_an_option_changes_the_mask(name, option):
    motion = field(random_peaks(16, 28, 28, np.random.default_rng(0)) + np.float32(3))

    def draw(**options):
        mask = build_mask(name, **options)
        # The second ratio is for what fills up: blocks cover more than half.
        pairs = [(ratio, seed) for ratio in (0.5, 0.93) for seed in range(20)]
        return np.array([mask.draw((8, 14, 14), r, motion, np.random.default_rng(seed)).masked for r, seed in pairs])

    default = draw()
    for value in OPTIONS[name][option]:
        if isinstance(value, np.ndarray) and value.ndim == 3:
            continue
        if not isinstance(value, np.ndarray) and value == getattr(build_mask(name), option):
            np.testing.assert_array_equal(draw(**{option: value}), default)
        else:
            assert (draw(**{option: value}) != default).any()


@EVERY
@pytest.mark.parametrize(("ratio", "count"), [(0.75, 147), (0.9, 176), (1 / 196, 1), (195 / 196, 195)])
def test_count(name, ratio, count):
    mask = build_mask(name)
    steps = 1  # where a step and the clip are the same
    assert mask.count((steps, 14, 14), ratio) == count
    assert mask.draw((steps, 14, 14), ratio, None, np.random.default_rng(0)).masked.sum() == count


@EVERY
def test_count_forgives_rounding(name):
    assert int(0.29 * 100) == 28
    assert build_mask(name).count((1, 10, 10), 0.29) == 29


@EVERY
def test_fallback_marks_steps_without_motion(name):
    mask, grid = build_mask(name), (8, 14, 14)
    for motion in (None, still(16, 14, 14)):
        assert (mask.draw(grid, 0.75, motion, np.random.default_rng(0)).fallback == mask.uses_motion).all()
    moving = random_peaks(16, 14, 14, np.random.default_rng(1))
    assert not mask.draw(grid, 0.75, moving, np.random.default_rng(0)).fallback.any()


@EVERY
def test_touches_neither_global_random_state_nor_its_motion(name):
    vectors = random_peaks(16, 28, 28, np.random.default_rng(0))
    kept = vectors.copy()
    python = random.getstate()
    numpy = np.random.get_state()  # noqa: NPY002 - the state that must not move
    make_mask(name, grid=(8, 14, 14), ratio=0.75, motion=vectors, rng=np.random.default_rng(0))
    assert random.getstate() == python
    for before, after in zip(numpy, np.random.get_state(), strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(vectors, kept)
