import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks.multiblock import MultiBlock
from tests.errors import raises

GRID = (8, 14, 14)


def draw(mask, *, grid=GRID, ratio=0.75, seed=0):
    return mask.draw(grid, ratio, None, np.random.default_rng(seed)).masked


def box(step):
    """(height, width) of the smallest rectangle around the hidden tokens of one step."""
    return tuple(np.ptp(np.flatnonzero(step.any(axis=axis))) + 1 for axis in (1, 0))


@given(
    shape=st.sampled_from([(7, 7), (14, 14), (16, 16), (24, 24), (6, 20), (20, 3), (1, 9)]),
    steps=st.integers(1, 32),
    ratio=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
    options=st.fixed_dictionaries(
        {
            "numbers": st.sampled_from([(8, 2), (8, 0), (0, 2), (1, 1)]),
            "scales": st.sampled_from([(0.15, 0.7), (1.0, 1e-6)]),
            "aspect": st.sampled_from([(0.75, 1.5), (1, 1), (0.01, 100)]),
            "duration": st.sampled_from([1.0, 0.5, 0.01]),
            "trim": st.sampled_from(["random", "block"]),
            "fill": st.sampled_from(["random", "near"]),
        }
    ),
)
@settings(max_examples=200, deadline=None)
def test_count_is_exact_under_all_options(shape, steps, ratio, seed, options):
    mask, grid = MultiBlock(**options), (steps, *shape)
    if not 1 <= int(ratio * shape[0] * shape[1] + 1e-9) < shape[0] * shape[1]:
        return
    masked = draw(mask, grid=grid, ratio=ratio, seed=seed)
    assert masked.shape == grid
    assert (masked.sum(axis=(1, 2)) == mask.count(grid, ratio)).all()
    np.testing.assert_array_equal(masked, draw(mask, grid=grid, ratio=ratio, seed=seed))
    if options["duration"] == 1:
        assert (masked == masked[:1]).all()


@pytest.mark.parametrize(("aspect", "expected"), [((1, 1), (8, 8)), ((4, 4), (16, 4)), ((0.25, 0.25), (4, 16))])
def test_a_block_has_its_area_and_aspect_and_goes_everywhere(aspect, expected):
    mask = MultiBlock(numbers=(1,), scales=(0.16,), aspect=aspect)
    seen = np.zeros((20, 20), dtype=np.bool_)
    for seed in range(300):
        step = draw(mask, grid=(4, 20, 20), ratio=0.16, seed=seed)[0]
        assert box(step) == expected
        assert step.sum() == 64  # the box is filled
        seen |= step
    assert all(edge.any() for edge in (seen[0], seen[-1], seen[:, 0], seen[:, -1]))


def test_a_side_that_the_frame_cuts_lengthens_the_other():
    mask = MultiBlock(numbers=(1,), scales=(0.5,), aspect=(1, 1))
    assert box(draw(mask, grid=(1, 4, 25), ratio=0.48)[0]) == (4, 12)
    assert box(draw(mask, grid=(1, 25, 4), ratio=0.48)[0]) == (12, 4)


@pytest.mark.parametrize(("numbers", "low", "high"), [((8, 0), 0.6, 0.66), ((0, 2), 0.8, 0.87), ((8, 2), 0.86, 0.92)])
def test_the_mask_is_the_union_of_its_blocks(numbers, low, high):
    # Where the ratio is just what the union covers, the mask is the union: sides and places are what is drawn first.
    mask = MultiBlock(numbers=numbers)
    covered = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rows, columns = mask._sides(GRID, rng)
        top, left = rng.integers(14 - rows + 1), rng.integers(14 - columns + 1)
        union = np.zeros((14, 14), dtype=np.bool_)
        for y, x, h, w in zip(top, left, rows, columns, strict=True):
            union[y : y + h, x : x + w] = True
        covered.append(union.mean())
        if 1 <= union.sum() < 196:
            np.testing.assert_array_equal(draw(mask, ratio=union.sum() / 196, seed=seed)[0], union)
    assert low < np.mean(covered) < high


def test_trim_random_thins_all_blocks_and_trim_block_takes_the_last():
    two = {"numbers": (2,), "scales": (0.16,), "aspect": (1, 1)}
    whole = 0
    for seed in range(200):
        union = draw(MultiBlock(**two), grid=(1, 20, 20), ratio=0.9, seed=seed)[0]
        assert union.sum() == 360
        # Of two blocks of 64 tokens one is laid first: with half of them to hide, it alone stays.
        step = draw(MultiBlock(**two, trim="block"), grid=(1, 20, 20), ratio=0.16, seed=seed)[0]
        whole += box(step) == (8, 8)
        assert box(step) == (8, 8)
    assert whole == 200
    thinned = [box(draw(MultiBlock(**two), grid=(1, 20, 20), ratio=0.16, seed=seed)[0]) for seed in range(200)]
    assert np.mean([sides == (8, 8) for sides in thinned]) < 0.1


def test_the_block_that_is_laid_first_is_any():
    mask = MultiBlock(numbers=(1, 1), scales=(0.04, 0.16), aspect=(1, 1), trim="block")
    sides = [box(draw(mask, grid=(1, 20, 20), ratio=0.16, seed=seed)[0]) == (8, 8) for seed in range(300)]
    # The large block first, or around the small one; standard deviation .03.
    assert 0.4 < np.mean(sides) < 0.75


def test_fill_near_grows_the_block_and_fill_random_does_not():
    one = {"numbers": (1,), "scales": (0.16,), "aspect": (1, 1)}
    for seed in range(50):
        near = draw(MultiBlock(**one, fill="near"), grid=(1, 20, 20), ratio=0.25, seed=seed)[0]
        # 36 tokens more: a ring around 8 x 8 has 36, at a border or a corner fewer, so that a second ring begins.
        assert max(box(near)) <= 12
    scattered = [box(draw(MultiBlock(**one), grid=(1, 20, 20), ratio=0.25, seed=seed)[0]) for seed in range(50)]
    assert np.min(scattered) >= 14


def test_duration_is_the_number_of_steps():
    mask = MultiBlock(numbers=(1,), scales=(0.25,), aspect=(1, 1), duration=0.5)
    starts = set()
    for seed in range(100):
        masked = draw(mask, grid=(8, 20, 20), ratio=0.25, seed=seed)
        lasts = np.array([box(step) == (10, 10) for step in masked])
        assert lasts.sum() == 4
        first = int(lasts.argmax())
        assert lasts[first : first + 4].all()
        starts.add(first)
        outside = masked[~lasts]  # the same random tokens at all of these steps
        assert (outside == outside[:1]).all()
    assert starts == {0, 1, 2, 3, 4}


def test_how_often_the_middle_is_seen():
    rng = np.random.default_rng(0)
    for mask, low, high in ((MultiBlock(), 0.1, 0.2), (MultiBlock(trim="block"), 0, 0.03)):
        seen = 1 - np.mean([mask.draw(GRID, 0.75, None, rng).masked[0] for _ in range(1000)], axis=0)
        assert low < seen.min() < high


def test_lists_are_taken_for_tuples():
    mask = MultiBlock(numbers=[8, 2], scales=[0.15, 0.7], aspect=[0.75, 1.5])
    assert mask == MultiBlock()
    assert hash(mask) == hash(MultiBlock())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("numbers", (0, 0)),
        ("numbers", (-1, 2)),
        ("numbers", (8.0, 2)),
        ("numbers", (True, 2)),
        ("numbers", 8),
        ("scales", (0.15,)),
        ("scales", (0.0, 0.7)),
        ("scales", (0.15, 1.1)),
        ("scales", (0.15, float("nan"))),
        ("scales", 0.15),
        ("aspect", (1.5, 0.75)),
        ("aspect", (0, 1)),
        ("aspect", (1,)),
        ("aspect", 1.0),
        ("duration", 0),
        ("duration", 1.5),
        ("duration", "1"),
        ("trim", "farthest"),
        ("fill", "none"),
    ],
)
def test_options_are_checked(option, value):
    with raises(MaskError, "invalid_value", subject="multiblock"):
        MultiBlock(**{option: value})
