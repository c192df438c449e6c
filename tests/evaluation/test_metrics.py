import numpy as np
import pytest

from mgm.evaluation.metrics import accuracy, accuracy_gain, correct, top_k_hits, verdict

PROBABILITY = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.2, 0.5, 0.3]])
LABEL = np.array([0, 1, 1, 0])


def hits(count, of):
    return np.arange(of) < count


def test_hits_and_top_k_by_hand():
    assert correct(PROBABILITY, LABEL).tolist() == [True, False, True, False]
    assert [top_k_hits(PROBABILITY, LABEL, k).mean() for k in (1, 2, 3, 5)] == [0.5, 0.75, 1.0, 1.0]


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_an_accuracy_is_the_published_one(right, of, low, high):
    result = accuracy(hits(right, of))
    assert (result.top1, result.count) == (right / of, of)
    assert (result.low, result.high) == pytest.approx((low, high), abs=6e-5)
    mirrored = accuracy(hits(of - right, of))
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((low, high), abs=6e-5)


def test_few_videos_are_never_certain():
    sure = accuracy(hits(9, 9))
    assert (sure.top1, sure.high) == (1, pytest.approx(1))
    assert sure.low == pytest.approx(0.7009, abs=1e-4)


def test_the_interval_covers_what_it_should():
    rng = np.random.default_rng(0)
    results = [accuracy(rng.random(80) < 0.7) for _ in range(1000)]
    assert 0.93 <= np.mean([r.low <= 0.7 <= r.high for r in results]) <= 0.975


def words(after, before, chance=0.0):
    """The verdict on the hits of two encoders."""
    return verdict(accuracy_gain(after, before), above_chance=accuracy(after).low > chance)


def pairs(both, gained, lost, neither):
    """(after, before) of so many videos each."""
    counts = (both, gained, lost, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


# Newcombe 1998, "... based on paired data", method 10; and Fagerland et al. 2014 of Bentur et al. 2009, with the exact test
@pytest.mark.parametrize(
    ("counts", "low", "high", "p"),
    [((36, 12, 2, 0), 0.0569, 0.3404, 0.0129), ((1, 1, 7, 12), -0.507, -0.026, 0.0703)],
)
def test_a_paired_interval_is_the_published_one(counts, low, high, p):
    after, before = pairs(*counts)
    result = accuracy_gain(after, before)
    assert (result.low, result.high) == pytest.approx((low, high), abs=6e-4)
    assert result.p == pytest.approx(p, abs=6e-5)
    back = accuracy_gain(before, after)
    assert (back.value, back.low, back.high, back.p) == pytest.approx(
        (-result.value, -result.high, -result.low, result.p)
    )


def test_the_paired_interval_covers_what_it_should():
    rng = np.random.default_rng(1)
    kinds = rng.choice(4, size=(1000, 60), p=[0.4, 0.2, 0.1, 0.3])  # both, gained, lost, neither
    found = [accuracy_gain(k < 2, (k == 0) | (k == 2)) for k in kinds]
    assert 0.93 <= np.mean([d.low <= 0.1 <= d.high for d in found]) <= 0.98


@pytest.mark.parametrize(("changed", "expected"), [(1, "within noise"), (5, "within noise"), (6, "gain")])
def test_a_handful_of_videos_is_within_noise(changed, expected):
    after, before = pairs(0, changed, 0, 0)
    assert words(after, before) == expected
    after, before = pairs(40, changed, 0, 40)
    assert words(after, before) == expected


def test_a_gain_is_paired():
    before = hits(50, 100)
    after = before.copy()
    after[50:58] = True  # the same videos, and eight more
    result = accuracy_gain(after, before)
    assert result.value == pytest.approx(0.08)
    assert words(after, before) == "gain"
    assert words(before, after) == "loss"
    # The same size, from many videos gained and lost: not significant.
    shuffled = np.roll(after, 40)
    assert accuracy_gain(shuffled, before).value == pytest.approx(0.08)
    assert words(shuffled, before) == "within noise"
    same = accuracy_gain(before, before)
    assert (same.value, same.p, words(before, before)) == (0, 1, "within noise")
    assert same.low == -same.high < 0  # of 100 other videos some might differ
    many = pairs(20_000, 9_000, 8_000, 20_000)
    assert 0 < accuracy_gain(*many).p < 1e-12


def test_a_gain_that_guessing_may_reach_is_none():
    after, before = pairs(10, 20, 0, 70)
    assert words(after, before, chance=0.2) == "gain"
    assert words(after, before, chance=0.3) == "not above chance"
    assert words(before, after, chance=0.3) == "loss"
    assert words(before, before, chance=0.3) == "within noise"


def test_an_interval_alone_is_not_certain():
    """The interval excludes 0 and the sign test does not agree (Bentur et al. 2009)."""
    after, before = pairs(1, 1, 7, 12)
    result = accuracy_gain(after, before)
    assert result.high < 0
    assert words(after, before) == "within noise"
