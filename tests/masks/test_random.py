import numpy as np
import pytest

from mgm.masks.random import FrameMask, RandomMask, TubeMask

GRID = (8, 14, 14)


def draw_many(mask, number, *, grid=GRID, ratio=0.75, seed=0):
    """bool (number, t, h * w)."""
    rng = np.random.default_rng(seed)
    return np.array([mask.draw(grid, ratio, None, rng).masked.reshape(grid[0], -1) for _ in range(number)])


def peer(kind, number, *, count=147, steps=8, tokens=196):
    """VideoMAE's generators after their description: a shuffled row of zeros and ones, copied to or drawn anew for
    every step."""
    rng = np.random.default_rng(1)
    row = np.arange(tokens) < count
    if kind == "tube":
        return np.array([np.tile(rng.permutation(row), (steps, 1)) for _ in range(number)])
    return np.array([[rng.permutation(row) for _ in range(steps)] for _ in range(number)])


def chi_square(masked, share):
    """Of how often each token is hidden, (n, tokens): tokens - 1 on average where all sets are equally likely."""
    number, tokens = masked.shape
    excess = masked.sum(axis=0) - number * share
    return np.square(excess).sum() / (number * share * (1 - share)) * (tokens - 1) / tokens


def test_tube_is_the_same_at_every_step():
    masked = draw_many(TubeMask(), 50)
    assert (masked == masked[:, :1]).all()
    assert (masked.sum(axis=2) == 147).all()


def test_random_is_exact_for_the_clip_only():
    masked = draw_many(RandomMask(), 50)
    assert (masked.sum(axis=(1, 2)) == 1176).all()
    assert len(np.unique(masked.sum(axis=2))) > 5


def test_every_token_is_hidden_equally_often():
    for mask in (RandomMask(), TubeMask(), FrameMask()):
        # 2,000 draws: the standard deviation of a share of .75 is .0097
        assert np.abs(draw_many(mask, 2000).mean(axis=0) - 0.75).max() < 0.05


@pytest.mark.parametrize("kind", ["tube", "frame"])
def test_every_set_is_as_likely_as_in_videomae(kind):
    own = draw_many({"tube": TubeMask(), "frame": FrameMask()}[kind], 2000)
    other = peer(kind, 2000)
    for masked in (own, other):
        assert (masked.sum(axis=2) == 147).all()
        for step in (0, 7):
            # Chi-square with 195 degrees of freedom: mean 195, standard deviation 19.7.
            assert 195 - 4 * 19.7 < chi_square(masked[:, step], 0.75) < 195 + 4 * 19.7
        # Neighbours in a row are hidden together as often as any two tokens of a random set: 147 / 196 * 146 / 195.
        together = (masked[:, 0, :-1] & masked[:, 0, 1:]).mean()
        assert together == pytest.approx(147 / 196 * 146 / 195, abs=0.003)


def test_steps_are_alike_or_independent_as_in_videomae():
    shared = {}
    for kind, mask in (("tube", TubeMask()), ("frame", FrameMask())):
        for who, masked in (("own", draw_many(mask, 1000)), ("peer", peer(kind, 1000))):
            shared[kind, who] = (masked[:, :-1] & masked[:, 1:]).sum(axis=2)
    assert (shared["tube", "own"] == 147).all()
    assert (shared["tube", "peer"] == 147).all()
    # Two independent sets share a hypergeometric number of tokens: mean 147 * 147 / 196, variance as below.
    mean, deviation = 147 * 0.75, (147 * 0.75 * 0.25 * 49 / 195) ** 0.5
    for who in ("own", "peer"):
        assert shared["frame", who].mean() == pytest.approx(mean, abs=4 * deviation / 7000**0.5)
        assert shared["frame", who].std() == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize("kind", ["tube", "frame"])
def test_every_pair_of_tokens_is_hidden_together_as_often(kind):
    """The second moments of a simple random sample: all 19,110 pairs of a step, in steps 0 and 7, beside VideoMAE's generator."""
    number, together = 2000, 147 / 196 * 146 / 195
    own = draw_many({"tube": TubeMask(), "frame": FrameMask()}[kind], number)
    for masked in (own, peer(kind, number)):
        for step in (0, 7):
            hidden = masked[:, step].astype(np.float64)
            pairs = (hidden.T @ hidden)[np.triu_indices(196, 1)]
            assert pairs.mean() == pytest.approx(number * together)
            z = (pairs - number * together) / (number * together * (1 - together)) ** 0.5
            # Its standard deviation is .1: pairs that share a token move together, by the 196 tokens' own frequencies. The
            # largest of 19,110 normal deviates is about 4.2.
            assert np.square(z).mean() == pytest.approx(1, abs=0.4)
            assert np.abs(z).max() < 6


def test_a_frame_mask_does_not_know_the_step_before():
    """By place: hidden now and in the step before as often as chance has it, .75 squared; under a tube always or never."""
    number = 2000
    for masked in (draw_many(FrameMask(), number), peer("frame", number)):
        for step in (1, 7):
            both = (masked[:, step - 1] & masked[:, step]).sum(axis=0)
            z = (both - number * 0.5625) / (number * 0.5625 * 0.4375) ** 0.5
            assert np.square(z).mean() == pytest.approx(1, abs=0.4)  # 196 places: standard deviation .1
            assert np.abs(z).max() < 5
    tube = draw_many(TubeMask(), 50)
    assert ((tube[:, 0] & tube[:, 7]) == tube[:, 0]).all()


def test_chi_square_would_find_a_preference():
    masked = draw_many(FrameMask(), 2000)[:, 0]
    masked[:400, 0] = True
    masked[:400, 1] = False
    assert chi_square(masked, 0.75) > 195 + 4 * 19.7


def test_frame_is_exact_at_every_step_of_any_grid():
    for grid, ratio in (((4, 7, 7), 0.03), ((32, 24, 24), 0.99), ((5, 1, 9), 0.5), ((1, 20, 3), 0.33)):
        masked = draw_many(FrameMask(), 20, grid=grid, ratio=ratio)
        assert (masked.sum(axis=2) == FrameMask().count(grid, ratio)).all()


def test_tube_and_random_keep_their_draws():
    # A run that is resumed goes on with the masks that it would have had.
    assert np.flatnonzero(TubeMask().draw((2, 3, 4), 0.5, None, np.random.default_rng(5)).flat).tolist() == [
        0,
        4,
        5,
        6,
        8,
        11,
        12,
        16,
        17,
        18,
        20,
        23,
    ]
    assert np.flatnonzero(RandomMask().draw((2, 3, 4), 0.5, None, np.random.default_rng(5)).flat).tolist() == [
        0,
        1,
        5,
        6,
        7,
        8,
        9,
        11,
        12,
        18,
        20,
        23,
    ]
