"""The grid of experiments/evidence: every arm is a valid run, a cell runs again at a tiny size, and tables pair arms by video."""

import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "evidence"


@pytest.fixture(scope="module")
def evidence():
    """The modules of the experiment, whose names are free again afterwards."""
    sys.path.insert(0, str(FOLDER))
    try:
        import grid
        import run
        import sets

        yield grid, run, sets
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("grid", "run", "sets"):
            sys.modules.pop(name, None)


def opened(sets, recipe, motion_target):
    return sets.Judged((), lambda seed: {}, None, recipe, (), ("model.target=normalised-pixels",), motion_target)


def test_every_arm_has_valid_settings(evidence):
    grid, run, sets = evidence
    motion = ("model.target={normalised-pixels: 1.0, motion: 20.0}",)
    for question in grid.QUESTIONS.values():
        assert question.reference in [arm.name for arm in question.arms]
        assert len({arm.name for arm in question.arms}) == len(question.arms)
        for arm in question.arms:
            config = run.config_of(opened(sets, "debug", motion), arm, 3, (), equal_compute=False)
            assert (config.mask.name, config.mask.ratio, config.seed) == (arm.mask, arm.ratio, 3)
            assert ("motion" in config.model.target_names) is (arm.target == grid.MOTION)


def test_steps_at_equal_compute(evidence):
    grid, run, sets = evidence
    judged = opened(sets, "debug", ())
    steps = {
        ratio: run.config_of(judged, grid.Arm("a", "random", ratio), 0, (), equal_compute=True).pretrain.steps
        for ratio in (0.5, 0.75, 0.9)
    }
    assert (
        steps[0.5] < steps[0.75] == run.config_of(judged, None, 0, (), equal_compute=False).pretrain.steps < steps[0.9]
    )


def test_differences_are_paired_by_video(evidence):
    _, run, _ = evidence
    label = np.repeat([0, 1], 50)
    hard = np.random.default_rng(0).random((1, 100)) < 0.5
    low, high = run.difference(np.repeat(hard, 3, 0).astype(float), np.repeat(hard, 3, 0).astype(float), label)
    assert (low, high) == (0, 0)
    better = hard.copy()
    better[:, :10] = True
    low, high = run.difference(better.astype(float), hard.astype(float), label)
    assert 0 <= low < (better.mean() - hard.mean()) < high


@pytest.mark.slow
def test_a_cell_runs_again_and_is_kept(evidence, tmp_path, monkeypatch, capsys):
    _, run, sets = evidence
    monkeypatch.setattr(sets, "TRAIN", 16)
    monkeypatch.setattr(sets, "TEST", 16)
    words = ["run.py", "jitter", "--seeds", "0", "--out", str(tmp_path), "--settings", "pretrain.steps=2",
             "pretrain.warmup=1", "probe.heads=[linear, knn]", "probe.neighbours=5"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    run.main()
    first = capsys.readouterr().out
    assert "| jitter | 1 |" in first
    assert "| untrained | 1 |" in first
    assert len(list((tmp_path / "cells").glob("*.json"))) == 4  # two arms and two rivals
    monkeypatch.setattr(sys, "argv", [*words, "--table"])
    run.main()
    again = capsys.readouterr().out
    assert [line for line in again.splitlines() if line.startswith("| ")] == [
        line for line in first.splitlines() if line.startswith("| ")
    ]
