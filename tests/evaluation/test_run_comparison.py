"""Comparisons of runs: the interval, what it covers, and its word."""

import shutil

import numpy as np
import pytest
import torch

from mgm.errors import ConfigError, DataError, FileError
from mgm.evaluation import multi_view, run_comparison
from mgm.evaluation.metrics import accuracy_gain
from mgm.evaluation.multi_view import evaluate
from mgm.evaluation.run_comparison import compare_runs, gain_of_runs, named_runs, student_t
from mgm.training import load_config
from mgm.training.finetune import finetune
from tests.errors import raises


def draws(rng, accuracies, videos=200):
    """Hits of a run per accuracy: independent of each other."""
    return np.array([rng.random(videos) < value for value in accuracies])


def test_two_runs_have_the_paired_interval_and_mcnemars_test():
    before = np.arange(100) < 50
    after = before.copy()
    after[50:58] = True
    found = gain_of_runs(before[None], after[None])
    paired = accuracy_gain(after, before)
    assert (found.value, found.low, found.high, found.p) == (0.08, paired.low, paired.high, paired.p)
    assert found.p == pytest.approx(2 / 2**8)
    assert found.verdict == "gain"
    assert gain_of_runs(after[None], before[None]).verdict == "loss"
    assert gain_of_runs(before[None], before[None]).verdict == "within noise"
    assert "not over seeds" in found.method
    low, high = found.bootstrap
    assert (low, high) == pytest.approx((0.03, 0.135), abs=0.011)


def test_mcnemars_test_is_scipys():
    peer = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    rng = np.random.default_rng(0)
    for _ in range(5):
        before, after = draws(rng, (0.5, 0.6), 60)
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        expected = peer.binomtest(gained, gained + lost).pvalue
        assert gain_of_runs(before[None], after[None]).p == pytest.approx(expected)


def test_the_quantiles_are_students():
    peer = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    for freedom in (1, 2, 7, 30, 31, 60, 200, 10_000):
        assert student_t(freedom) == pytest.approx(peer.t.ppf(0.975, freedom), rel=3e-3)
    assert student_t(2.9) == student_t(2)
    assert student_t(np.inf) == pytest.approx(1.96, abs=1e-4)


def test_a_gain_that_seeds_vary_more_than_is_within_noise():
    """Three seeds each: accuracies of .60, .70, .80 against .65, .75, .85."""
    before = np.array([np.arange(400) < 240, np.arange(400) < 280, np.arange(400) < 320])
    after = np.array([np.arange(400) < 260, np.arange(400) < 300, np.arange(400) < 340])
    found = gain_of_runs(before, after)
    assert found.value == pytest.approx(0.05)
    assert found.verdict == "within noise"
    assert found.p is None
    one = gain_of_runs(before[:1], after[:1])
    assert one.verdict == "gain", "of one seed alone, which this would call certain"
    assert "seeds" in found.method
    assert found.low < -0.1


def test_a_group_of_one_run_is_named():
    rng = np.random.default_rng(0)
    found = gain_of_runs(draws(rng, [0.5]), draws(rng, [0.6, 0.61, 0.62]))
    assert found.method == "over videos and seeds, except that of A: one run"


def test_the_interval_over_seeds_covers_what_it_should():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(100):
        difficulty = rng.normal(0, 0.15, 150)  # of each video, for all runs
        old, new = (
            np.array([rng.random(150) < np.clip(mean + rng.normal(0, 0.03) + difficulty, 0, 1) for _ in range(3)])
            for mean in (0.5, 0.55)
        )
        found = gain_of_runs(old, new)
        inside.append(found.low <= 0.05 <= found.high)
    assert 0.92 <= np.mean(inside) <= 1


def test_groups_of_alike_videos_widen_the_interval():
    rng = np.random.default_rng(0)
    before = np.repeat(rng.random((1, 20)) < 0.5, 20, axis=1)
    after = np.repeat(rng.random((1, 20)) < 0.7, 20, axis=1)
    alike = gain_of_runs(before, after, groups=[str(i // 20) for i in range(400)])
    alone = gain_of_runs(before, after)
    assert alike.high - alike.low > 3 * (alone.high - alone.low)
    assert alike.p is None
    assert "20 groups" in alike.method


def test_a_gain_that_guessing_reaches_is_not_called_one():
    before, after = np.arange(100)[None] < 10, np.arange(100)[None] < 30
    assert gain_of_runs(before, after, chance=0.3).verdict == "not above chance"
    assert gain_of_runs(before, after, chance=0.1).verdict == "gain"


SMALL = ["model.size=debug", "data.frames=4", "data.size=32", "data.workers=0", "data.memory=false"]


@pytest.fixture(scope="module")
def runs(videos, memory, tmp_path_factory):
    """Two classifiers of one step."""
    place = tmp_path_factory.mktemp("runs")
    steps = ["finetune.steps=1", "finetune.warmup=0", "finetune.batch=4", "probe.temporal_views=1"]
    for seed in (0, 1):
        config = load_config("debug", [*SMALL, *steps, f"seed={seed}"])
        finetune(None, videos, config, out=place / f"a-{seed}", source=memory, show_progress=False)
    return place


def test_runs_are_evaluated_once(runs, videos, monkeypatch):
    first, second = (str(runs / f"a-{seed}") for seed in (0, 1))
    found = compare_runs(first, second, videos)
    expected = [evaluate(run, videos).judged.hits for run in (first, second)]
    assert (found.before[0], found.after[0]) == tuple(hits.mean() for hits in expected)
    assert found.p == accuracy_gain(expected[1], expected[0]).p
    assert (found.videos, found.expected) == (16, 16)
    monkeypatch.setattr(run_comparison, "evaluate", lambda *_, **__: pytest.fail("evaluated again"))
    again = compare_runs(str(runs / "a-*"), first, videos, groups="([a-z_]+)/[^/]*$")
    assert len(again.before) == 2
    assert again.after == found.before
    shutil.copytree(first, runs / "moved")
    assert compare_runs(str(runs / "moved"), first, videos).value == 0


def test_other_weights_are_evaluated_again(runs, videos, monkeypatch):
    changed = shutil.copytree(runs / "a-0", runs / "changed")
    compare_runs(str(changed), str(changed), videos)
    asked = []
    monkeypatch.setattr(run_comparison, "evaluate", lambda run, *_, **__: asked.append(run) or evaluate(run, videos))
    open_classifier = multi_view.open_classifier

    def retrained(*arguments, **options):
        model, config = open_classifier(*arguments, **options)
        with torch.no_grad():
            model.head.weight.add_(1)
        return model, config

    monkeypatch.setattr(multi_view, "open_classifier", retrained)
    compare_runs(str(changed), str(changed), videos)
    assert asked == [changed]  # for the second one there is a result


def test_runs_with_other_views_are_not_compared(runs, videos):
    other = shutil.copytree(runs / "a-0", runs / "other")
    views = iter(["5x3", "2x3"])
    found = [run_comparison._Judgement(run, {}, next(views)) for run in (runs / "a-0", other)]
    with raises(ConfigError, "mismatch", subject=other, message="compare-views"):
        run_comparison.check_same_views(found)
    settings = ("probe.temporal_views=2",)
    assert compare_runs(str(runs / "a-0"), str(other), videos, overrides=settings).value == 0


def test_names_of_runs(tmp_path):
    for name in ("b", "a-2", "a-1"):
        (tmp_path / name).mkdir()
    assert [run.name for run in named_runs(f"{tmp_path}/a-*,{tmp_path}/b")] == ["a-1", "a-2", "b"]
    with raises(FileError, "not_found", subject=f"{tmp_path}/c-*", message="compare-no-match"):
        named_runs(f"{tmp_path}/c-*")


def test_runs_without_a_common_video(monkeypatch, videos):
    hits = iter([{"a.mp4": True}, {"b.mp4": True}])

    def judged(run, *_):
        return run_comparison._Judgement(run, next(hits), "5x3")

    monkeypatch.setattr(run_comparison, "_judgement", judged)
    with raises(DataError, "too_many_failures", subject=videos.root, message="compare-none-in-common"):
        compare_runs("x", "y", videos)


def test_the_fields_for_programs():
    found = gain_of_runs(np.array([[True, False]]), np.array([[True, True]])).to_dict()
    assert found["verdict"] == "within noise"
    assert set(found) >= {"before", "after", "value", "low", "high", "method", "p", "bootstrap"}
