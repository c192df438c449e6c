import numpy as np

from mgm.masks import make_mask

GRID = (8, 14, 14)


def draws(name, number):
    rng = np.random.default_rng(0)
    return np.array([make_mask(name, grid=GRID, ratio=0.75, rng=rng).masked for _ in range(number)])


def test_tube_is_the_same_at_every_step():
    masked = draws("tube", 50)
    assert (masked == masked[:, :1]).all()
    assert (masked.sum(axis=(2, 3)) == 147).all()


def test_random_is_exact_for_the_clip_only():
    masked = draws("random", 50)
    assert (masked.sum(axis=(1, 2, 3)) == 1176).all()
    assert len(np.unique(masked.sum(axis=(2, 3)))) > 5


def test_every_token_is_hidden_equally_often():
    for name in ("random", "tube"):
        # 2,000 draws: the standard deviation of a share of .75 is .0097
        assert np.abs(draws(name, 2000).mean(axis=0) - 0.75).max() < 0.05
