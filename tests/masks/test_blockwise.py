import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks.blockwise import BeitBlocks, CubeMask
from tests.errors import raises

GRID = (8, 14, 14)


def draws(mask, number, *, grid=GRID, ratio=0.5):
    rng = np.random.default_rng(0)
    return [mask.draw(grid, ratio, None, rng).masked for _ in range(number)]


def test_beit_blocks_last_for_a_run_that_wraps_round():
    """BEVT's setting: 98 of 196 tokens in 4 to 8 of 8 steps, from any step on."""
    lengths, starts, wrapped = set(), set(), 0
    for masked in draws(BeitBlocks(), 400):
        counts = masked.sum(axis=(1, 2))
        hidden = counts > 0
        assert set(counts) <= {0, 98}
        assert (masked[hidden] == masked[hidden][0]).all()
        begins = np.flatnonzero(hidden & ~np.roll(hidden, 1))
        assert len(begins) == (0 if hidden.all() else 1)  # one run on the circle of steps
        lengths.add(int(hidden.sum()))
        starts |= set(begins.tolist())
        wrapped += bool(hidden[0] and hidden[-1] and not hidden.all())
    assert lengths == {4, 5, 6, 7, 8}
    assert starts == set(range(8))
    assert wrapped > 50


def test_one_beit_block_has_its_area_and_aspect():
    """With as many tokens to hide as the smallest block has, a step is a single rectangle of about that area."""
    mask = BeitBlocks(duration=(1, 1), least=36, aspect=(1, 1))
    for masked in draws(mask, 50, ratio=36 / 196):
        rows, columns = (np.flatnonzero(masked[0].any(axis=axis)) for axis in (1, 0))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (6, 6)
        assert masked[0].sum() == 36


def neighbours(masked):
    """Share of the hidden tokens' right neighbours that are hidden too."""
    return (masked[:, :, 1:] & masked[:, :, :-1]).sum() / masked[:, :, :-1].sum()


@pytest.mark.parametrize(("mask", "ratio", "least"), [(BeitBlocks(), 0.5, 0.8), (CubeMask(), 0.4, 0.8)])
def test_hidden_tokens_are_neighbours(mask, ratio, least):
    """Chance would give the ratio itself."""
    assert np.mean([neighbours(masked) for masked in draws(mask, 50, ratio=ratio)]) > least


def test_cubes_hide_whole_units_of_the_papers_grid():
    """8 x 7 x 7 units of 2 x 2 tokens, .4 of them: 627 tokens are 156 whole units and 3 tokens of another one."""
    for masked in draws(CubeMask(), 100, ratio=0.4):
        units = masked.reshape(8, 7, 2, 7, 2).sum(axis=(2, 4))
        assert (units == 4).sum() == 156
        assert sorted(set(units.ravel())) == [0, 3, 4]


def test_cubes_are_boxes_through_some_steps():
    """The first cube alone: of area 9 to 36 of 49 units, smaller than the frame on both sides, of any number of steps."""
    lengths = set()
    for masked in draws(CubeMask(unit=1), 300, grid=(8, 7, 7), ratio=9.5 / 392):
        steps = masked.any(axis=(1, 2))
        lengths.add(int(steps.sum()))
        assert masked.sum() == 9
    assert 1 in lengths  # a cube of 3 x 3 units in one step is the only one that fits


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BeitBlocks, {"duration": (0.5, 1.5)}),
        (BeitBlocks, {"duration": 0.5}),
        (BeitBlocks, {"duration": (0, 1)}),
        (BeitBlocks, {"least": 0}),
        (BeitBlocks, {"least": True}),
        (BeitBlocks, {"aspect": (2, 1)}),
        (BeitBlocks, {"aspect": (0.3, "3")}),
        (CubeMask, {"unit": 0}),
        (CubeMask, {"unit": 1.5}),
        (CubeMask, {"aspect": (0.3,)}),
    ],
)
def test_refuses_an_invalid_option(kind, options):
    with raises(MaskError, "invalid_value", subject=kind.name) as caught:
        kind(**options)
    assert next(iter(options)) in caught.value.found


def test_lists_become_tuples():
    assert BeitBlocks(duration=[0.5, 1.0], aspect=[1, 2]) == BeitBlocks(duration=(0.5, 1.0), aspect=(1, 2))
    assert CubeMask(aspect=[1, 2]) == CubeMask(aspect=(1, 2))
