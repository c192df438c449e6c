import numpy as np
import pytest

from mgm.evaluation.bootstrap import class_mean_interval, mean_interval
from mgm.evaluation.metrics import accuracy


def test_of_independent_videos_it_is_nearly_wilsons():
    hits = np.arange(400) < 280
    found = accuracy(hits)
    assert mean_interval(hits) == pytest.approx((found.low, found.high), abs=0.006)
    assert mean_interval(hits) == mean_interval(hits)


def test_groups_that_are_right_or_wrong_together_widen_it():
    """Twenty groups of twenty equal videos are twenty observations."""
    hits = np.repeat(np.arange(20) < 14, 20)
    groups = [f"g{i // 20}" for i in range(400)]
    low, high = mean_interval(hits, groups=groups)
    assert (low, high) == pytest.approx(mean_interval(np.arange(20) < 14), abs=0.03)
    narrow = mean_interval(hits)
    assert high - low > 3 * (narrow[1] - narrow[0])


def test_the_interval_covers_what_it_should():
    """Accuracy of each group drawn around .7; videos alone would cover it in about half of the cases."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(60):
        of_group = rng.beta(3.5, 1.5, 40)
        hits = rng.random((40, 10)) < of_group[:, None]
        low, high = mean_interval(hits.ravel(), groups=[str(i) for i in range(40) for _ in range(10)])
        inside.append(low <= 0.7 <= high)
    assert np.mean(inside) >= 0.87


def test_the_mean_class_accuracy_weighs_classes_alike():
    label = np.array([0] * 90 + [1] * 10)
    hits = np.array([True] * 90 + [False] * 10)
    low, high = class_mean_interval(hits, label, 3)  # the third class has no video
    assert (low, high) == (0.5, 0.5)
    hits[:45] = False
    low, high = class_mean_interval(hits, label, 3)
    assert low < 0.25 < high
