import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks.running_cell import RunningCell
from tests.errors import raises

GRID = (8, 14, 14)


def draw(mask, *, grid=GRID, ratio=0.5, seed=0):
    return mask.draw(grid, ratio, None, np.random.default_rng(seed)).masked


def peer(steps, height, width, *, hidden, phase):
    """The mask after its description: a queue of hidden and visible places that moves on by one place per step, read
    row by row into a cell of 2 x 2, which tiles the frame."""
    queue = [True] * hidden + [False] * (4 - hidden)
    frames = []
    for step in range(steps):
        places = [queue[(place + step + phase) % 4] for place in range(4)]
        frames.append(np.tile(np.array(places).reshape(2, 2), (height // 2, width // 2)))
    return np.array(frames)


@pytest.mark.parametrize("ties", ["turn", "random"])
@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_whole_shares_are_the_published_pattern_in_any_phase(hidden, ties):
    phases = [peer(*GRID, hidden=hidden, phase=phase) for phase in range(4)]
    found = set()
    for seed in range(60):
        masked = draw(RunningCell(ties=ties), ratio=hidden / 4, seed=seed)
        (phase,) = [phase for phase in range(4) if np.array_equal(masked, phases[phase])]
        found.add(phase)
    assert found == {0, 1, 2, 3}


@given(
    shape=st.sampled_from([(7, 7), (14, 14), (16, 16), (24, 24), (6, 20), (20, 3), (1, 9)]),
    steps=st.integers(1, 32),
    ratio=st.floats(0.01, 0.99),
    cell=st.sampled_from([(2, 2), (1, 2), (2, 1), (3, 3), (2, 4), (30, 30)]),
    ties=st.sampled_from(["turn", "random"]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200, deadline=None)
def test_count_is_exact_and_the_draw_repeats(shape, steps, ratio, cell, ties, seed):
    mask, grid = RunningCell(cell=cell, ties=ties), (steps, *shape)
    if not 1 <= int(ratio * shape[0] * shape[1] + 1e-9) < shape[0] * shape[1]:
        return
    masked = draw(mask, grid=grid, ratio=ratio, seed=seed)
    assert (masked.sum(axis=(1, 2)) == mask.count(grid, ratio)).all()
    np.testing.assert_array_equal(masked, draw(mask, grid=grid, ratio=ratio, seed=seed))


@pytest.mark.parametrize("ties", ["turn", "random"])
@pytest.mark.parametrize(("ratio", "often"), [(0.5, {2}), (0.75, {1}), (0.6, {1, 2}), (0.9, {0, 1}), (0.3, {2, 3})])
def test_a_token_takes_its_turn_once_a_round(ratio, often, ties):
    visible = ~draw(RunningCell(ties=ties), ratio=ratio, grid=(12, 14, 14))
    for first in range(9):
        assert set(np.unique(visible[first : first + 4].sum(axis=0))) <= often


def test_cells_hide_their_last_place_in_turn():
    # .9 shows 20 of the 49 cells' tokens of one place at each step, each token at every fourth step.
    for seed in range(20):
        seen = (~draw(RunningCell(), ratio=0.9, seed=seed)).sum(axis=0)
        assert seen.sum() == 8 * 20
        assert (seen >= 1).sum() >= 145  # 160 would be the most
        long = (~draw(RunningCell(), ratio=0.9, grid=(32, 14, 14), seed=seed)).sum(axis=0)
        assert long.min() >= 2
        assert long.max() <= 5
    loose = (~draw(RunningCell(ties="random"), ratio=0.9)).sum(axis=0)
    assert (loose >= 1).sum() < 140


def test_incomplete_cells_keep_the_count_and_are_seen():
    for shape in ((7, 7), (9, 5), (3, 11)):
        seen = (~draw(RunningCell(), grid=(32, *shape), ratio=0.75)).sum(axis=0)
        assert seen.min() >= 2


def test_no_token_is_preferred():
    rng = np.random.default_rng(0)
    for ratio in (0.5, 0.9):
        share = np.mean([RunningCell().draw(GRID, ratio, None, rng).masked for _ in range(2000)], axis=0)
        assert np.abs(share - int(ratio * 196 + 1e-9) / 196).max() < 0.055  # standard deviation at most .011


def test_the_cell_has_its_shape():
    masked = draw(RunningCell(cell=(1, 7)), ratio=3 / 7)
    assert (masked == np.tile(masked[:, :1, :7], (1, 14, 2))).all()
    assert (masked[:, 0, :7].sum(axis=1) == 3).all()
    np.testing.assert_array_equal(masked[1:, :, :-1], masked[:-1, :, 1:])


def test_lists_are_taken_for_tuples():
    assert RunningCell(cell=[2, 3]) == RunningCell(cell=(2, 3))
    assert hash(RunningCell(cell=[2, 3])) == hash(RunningCell(cell=(2, 3)))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cell", (1, 1)),
        ("cell", (0, 2)),
        ("cell", (2, 2, 2)),
        ("cell", (2.0, 2)),
        ("cell", 2),
        ("cell", "22"),
        ("ties", "phase"),
        ("ties", None),
    ],
)
def test_options_are_checked(option, value):
    with raises(MaskError, "invalid_value", subject="running-cell"):
        RunningCell(**{option: value})


def test_cells_are_cut_from_the_top_left_corner():
    place, number = (array.reshape(3, 5).tolist() for array in RunningCell()._layout(3, 5))
    assert place == [[0, 1, 0, 1, 0], [2, 3, 2, 3, 2], [0, 1, 0, 1, 0]]
    assert number == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
