import numpy as np
import pytest

from mgm.evaluation.metrics import Difference, accuracy, correct, difference, top_k

PROBABILITY = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.2, 0.5, 0.3]])
LABEL = np.array([0, 1, 1, 0])


def hits(count, of):
    return np.arange(of) < count


def test_hits_and_top_k_by_hand():
    assert correct(PROBABILITY, LABEL).tolist() == [True, False, True, False]
    assert [top_k(PROBABILITY, LABEL, k) for k in (1, 2, 3, 5)] == [0.5, 0.75, 1.0, 1.0]


def test_the_interval_of_an_accuracy():
    result = accuracy(hits(60, 100))
    assert (result.top1, result.count) == (0.6, 100)
    # The normal approximation: 1.96 standard errors of .049.
    assert result.low == pytest.approx(0.6 - 0.096, abs=0.015)
    assert result.high == pytest.approx(0.6 + 0.096, abs=0.015)
    wide = accuracy(hits(6, 10))
    assert wide.high - wide.low > 2.5 * (result.high - result.low)
    sure = accuracy(hits(9, 9))
    assert (sure.low, sure.top1, sure.high) == (1, 1, 1)
    assert accuracy(hits(60, 100)) == result


def test_the_interval_covers_what_it_should():
    rng = np.random.default_rng(0)
    results = [accuracy(rng.random(80) < 0.7) for _ in range(150)]
    assert 0.88 <= np.mean([r.low <= 0.7 <= r.high for r in results]) <= 0.99


def test_a_difference_is_paired():
    before = hits(50, 100)
    after = before.copy()
    after[50:58] = True  # the same videos, and eight more
    result = difference(after, before)
    assert result.value == pytest.approx(0.08)
    assert result.verdict == "gain"
    assert difference(before, after).verdict == "loss"
    # As large, but of many videos gained and lost: nobody knows.
    shuffled = np.roll(after, 40)
    assert difference(shuffled, before).value == pytest.approx(0.08)
    assert difference(shuffled, before).verdict == "within noise"
    assert difference(before, before) == Difference(0, 0, 0)
    assert difference(before, before).verdict == "within noise"
