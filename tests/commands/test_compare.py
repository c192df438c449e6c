import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import mgm
from mgm.commands.compare import compare
from mgm.evaluation.run_comparison import gain_of_runs


def show(gain, monkeypatch, *arguments):
    monkeypatch.setattr(mgm, "compare_runs", lambda *_, **__: gain)
    app = typer.Typer()
    app.command()(compare)
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def gain():
    before, after = np.arange(100)[None] < 50, np.arange(100)[None] < 58
    return gain_of_runs(before, after, expected=101)


def test_a_gain_in_words(gain, monkeypatch, tiny_set):
    shown = show(gain, monkeypatch, "a", "b", tiny_set)
    assert "A 50.0%\nB 58.0%\nB - A +8.0 points [" in shown
    assert "): gain\n" in shown
    assert "McNemar's exact test p = 0.00781" in shown
    assert "incomplete (100 of 101)" in shown


def test_each_seed_is_named(monkeypatch, tiny_set):
    hits = np.arange(100)[None] < np.array([[50], [60]])
    shown = show(gain_of_runs(hits, hits), monkeypatch, "a-*", "b-*", tiny_set)
    assert "A 55.0%, 2 runs: 50.0%, 60.0%\n" in shown
    assert "McNemar" not in shown


def test_all_of_it_for_programs(gain, monkeypatch, tiny_set):
    found = json.loads(show(gain, monkeypatch, "a", "b", tiny_set, "--json"))
    assert (found["verdict"], found["value"], found["videos"]) == ("gain", pytest.approx(0.08), 100)
