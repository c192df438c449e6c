"""What holds for every mask of the catalog. A mask that is added there is tested here without a change."""

import random
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import TokenMask, build_mask, list_masks, make_mask
from mgm.masks.catalog import MASKS
from tests.errors import raises
from tests.masks.fields import Field, field, moving_cells, random_peaks, still

DOCS = Path(__file__).parents[2] / "docs"
METHOD = (DOCS / "method.md").read_text(encoding="utf-8")
EVERY = pytest.mark.parametrize("name", list_masks())
OPTIONS = {
    "mgm": {
        "boundary": ["clip", "shift", "grow", "wrap"],
        "trim": ["farthest", "random"],
        "fill": ["random", "near"],
        "share": [0.01, 0.5, 1.0],
        "softness": [0.0, 1.5],
        "start": ["random", "motion"],
        "jitter": [True, False],
        "top_k": [1, 5],
        "scope": ["tubelet", "clip"],
        "camera": ["none", "median"],
        "sides": ["ratio", "motion"],
        "exact": ["step", "clip"],
    },
    "smm": {
        "boundary": ["clip", "shift", "grow", "wrap"],
        "trim": ["farthest", "random"],
        "fill": ["random", "near"],
        "share": [0.01, 0.5, 1.0],
        "softness": [0.0, 1.5],
        "velocity": ["linear", "walk"],
        "speed": [0, 2.0, 50.0],
        "jitter": [True, False],
        "exact": ["step", "clip"],
    },
    "block": {
        "boundary": ["clip", "shift", "grow", "wrap"],
        "trim": ["farthest", "random"],
        "fill": ["random", "near"],
        "share": [0.01, 0.5, 1.0],
        "softness": [0.0, 1.5],
    },
    "smm-sparse": {"velocity": ["linear", "walk"], "speed": [0, 2.0, 50.0]},
    "mgm-sparse": {"camera": ["none", "median"]},
    "motion-topk": {"camera": ["none", "median"]},
    "motion-prob": {"camera": ["none", "median"], "temperature": [0.1, 1.0], "floor": [0.0, 0.5]},
    "mgmae": {"base": ["middle", "first", "random"], "holes": ["base", "random"], "camera": ["none", "median"]},
    "score": {
        "scores": [
            None,
            np.arange(12.0).reshape(3, 4),
            np.zeros((1, 3, 3)),
            np.random.default_rng(0).random((32, 5, 4)),
        ],
        "method": ["top", "sampled"],
        "lowest": [False, True],
    },
    "multiblock": {
        "numbers": [(8, 2), (0, 2), (8, 0)],
        "scales": [(0.15, 0.7), (0.05, 1.0)],
        "aspect": [(0.75, 1.5), (0.2, 5.0)],
        "duration": [0.3, 1.0],
        "trim": ["random", "block"],
        "fill": ["random", "near"],
    },
    "running-cell": {"cell": [(2, 2), (3, 1), (5, 7)], "ties": ["turn", "random"]},
    "cube": {"unit": [1, 2, 5], "aspect": [(0.3, 1 / 0.3), (1, 1)]},
    "beit-block": {"duration": [(0.5, 1.0), (0.01, 0.3)], "least": [1, 16], "aspect": [(0.3, 1 / 0.3), (1, 1)]},
}
"""Values worth trying; a mask without an entry is tried with its defaults."""
SHAPES = st.sampled_from([(7, 7), (14, 14), (16, 16), (24, 24), (6, 20), (20, 3), (1, 9)])
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


def draw_options(name, data):
    chosen = {option: data.draw(st.sampled_from(values), option) for option, values in OPTIONS.get(name, {}).items()}
    return {option: value.copy() if isinstance(value, np.ndarray) else value for option, value in chosen.items()}


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
@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 75, float("nan"), float("inf"), 0.001, 0.999999999999])
def test_refuses_a_ratio_that_hides_nothing_or_everything(name, ratio):
    with raises(MaskError, "invalid_value", subject=name):
        make_mask(name, grid=(1, 14, 14), ratio=ratio, rng=np.random.default_rng(0))


@EVERY
@pytest.mark.parametrize("grid", [(0, 14, 14), (8, 14), (8, 14, 14, 1), (8, -1, 14), (8.0, 14, 14), 8, None])
def test_refuses_a_grid_that_is_not_three_positive_integers(name, grid):
    with raises(MaskError, "invalid_value", subject=name):
        make_mask(name, grid=grid, ratio=0.75, rng=np.random.default_rng(0))


@EVERY
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("wrap", [field, lambda vectors: vectors])
def test_broken_motion_is_an_error_or_ignored(name, bad, wrap):
    vectors = random_peaks(16, 28, 28, np.random.default_rng(0))
    vectors[5, 3, 4, 1] = bad
    check_refused_or_ignored(name, wrap(vectors), "invalid_value")
    if "camera" in [option.name for option in fields(MASKS[name])]:
        check_refused_or_ignored(name, wrap(vectors), "invalid_value", camera="median")


@EVERY
@given(data=st.data(), shape=SHAPES, steps=st.integers(1, 8), bad=st.sampled_from([np.nan, np.inf, -np.inf]))
@settings(max_examples=15, deadline=None)
def test_one_broken_value_anywhere_is_an_error_or_ignored(name, data, shape, steps, bad):
    mask, grid = build_mask(name, **draw_options(name, data)), (steps, *shape)
    if name == "score" and mask.scores is not None:  # it then ignores the motion
        mask = build_mask(name)
    vectors = random_peaks(2 * steps, *shape, np.random.default_rng(0))
    place = [data.draw(st.integers(0, side - 1)) for side in vectors.shape]
    vectors[tuple(place)] = bad
    if mask.uses_motion:
        with raises(MaskError, "invalid_value", subject=name) as caught:
            mask.draw(grid, 0.5, vectors, np.random.default_rng(0))
        assert str(place[0]) in caught.value.found
    else:
        assert mask.draw(grid, 0.5, vectors, np.random.default_rng(0)).masked.shape == grid


@EVERY
@pytest.mark.parametrize("frames", [1, 4, 15, 17])
def test_refuses_frames_that_do_not_divide_into_steps(name, frames):
    check_refused_or_ignored(name, still(frames, 28, 28), "mismatch")


@EVERY
def test_refuses_motion_of_another_type_or_shape(name):
    check_refused_or_ignored(name, [[[[0.0, 0.0]]]], "invalid_type")
    check_refused_or_ignored(name, np.zeros((8, 14, 14)), "invalid_shape")
    check_refused_or_ignored(name, np.zeros((8, 14, 14, 2), dtype=complex), "invalid_type")


def check_refused_or_ignored(name, motion, reason, **options):
    mask, grid = build_mask(name, **options), (8, 14, 14)
    if mask.uses_motion:
        with raises(MaskError, reason, subject=name):
            mask.draw(grid, 0.75, motion, np.random.default_rng(0))
    else:
        drawn = mask.draw(grid, 0.75, motion, np.random.default_rng(0))
        without = mask.draw(grid, 0.75, None, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn.masked, without.masked)


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


@EVERY
@pytest.mark.parametrize("rng", [0, None, np.random, random])
def test_only_a_generator_is_accepted_as_rng(name, rng):
    with raises(MaskError, "invalid_type", subject=name):
        make_mask(name, grid=(8, 14, 14), ratio=0.75, rng=rng)


@EVERY
def test_a_mask_is_its_options(name):
    mask = build_mask(name)
    assert type(mask) is MASKS[name]
    assert mask.name == name
    assert mask == build_mask(name, **{option.name: getattr(mask, option.name) for option in fields(mask)})
    with pytest.raises(FrozenInstanceError):
        mask.anything = 1
    assert isinstance(mask.draw((2, 7, 7), 0.5, None, np.random.default_rng(0)), TokenMask)


@EVERY
def test_unknown_option(name):
    with raises(MaskError, "unknown_name", subject=name):
        build_mask(name, colour="red")


def test_unknown_name_lists_the_names_and_the_nearest():
    with raises(MaskError, "unknown_name", subject="tubes") as caught:
        build_mask("tubes")
    assert caught.value.expected == f"one of {', '.join(list_masks())}"
    assert "tube" in caught.value.advice


def test_an_unrelated_name_gets_no_suggestion():
    with raises(MaskError, "unknown_name") as caught:
        build_mask("foo")
    assert caught.value.advice == ""


def test_unknown_option_names_the_nearest():
    with raises(MaskError, "unknown_name", message="mask-unknown-option"):
        build_mask("mgm", bondary="clip")


def test_the_names_of_the_method():
    method = "random frame tube block smm smm-sparse mgm mgm-sparse motion-topk motion-prob mgmae multiblock score running-cell"
    assert set(method.split()) <= set(list_masks())
    assert all(MASKS[name].name == name for name in list_masks())


@EVERY
def test_the_docs_have_a_row_with_every_option(name):
    rows = [line for line in METHOD.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    shared = (
        ["boundary", "trim", "fill", "share", "softness", "velocity", "speed", "jitter"]
        if "those of" in rows[0]
        else []
    )
    for option in fields(MASKS[name]):
        assert f"`{option.name}`" in rows[0] or option.name in shared, option.name


def test_a_mask_of_another_package(tmp_path, monkeypatch):
    page = (DOCS / "adding-a-mask.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_masks.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    drawn = make_mask("my_masks:Columns", grid=(4, 6, 8), ratio=0.5, rng=np.random.default_rng(0))
    assert (drawn.masked.sum(axis=(1, 2)) == 24).all()
    assert (drawn.masked.all(axis=1) | ~drawn.masked.any(axis=1)).all()
    built = build_mask("my_masks:Columns")
    assert build_mask(built) is built
    with raises(MaskError, "conflict", message="mask-built-with-options"):
        build_mask(built, speed=1)
    with raises(MaskError, "not_found", subject="my_masks:Rows"):
        build_mask("my_masks:Rows")
    with raises(MaskError, "not_found", message="mask-not-importable"):
        build_mask("no_such_module:Rows")
    with raises(MaskError, "invalid_type", subject="my_masks:np"):
        build_mask("my_masks:np")


@EVERY
def test_every_docstring_names_its_source(name):
    text = " ".join((MASKS[name].__doc__ or "").split())
    assert text.startswith(f"`{name}`: ")
    assert re.search(r"Eq\. \d|Table \d|20\d\d|project", text), "name a paper with its year, an equation, or mgm"
    for option in fields(MASKS[name]):
        documented = text + " ".join(base.__doc__ or "" for base in MASKS[name].__mro__[1:-1])
        assert re.search(rf"\b{option.name}\b[^.]*:", documented), option.name
