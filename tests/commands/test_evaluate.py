import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import mgm
from mgm.commands.evaluate import evaluate
from mgm.evaluation.multi_view import Evaluation
from mgm.evaluation.prediction_blocks import Predictions
from mgm.evaluation.prediction_table import JudgedVideos
from mgm.training.results import Interval, Metric, Result, SetRecord, VideosRecord


@pytest.fixture
def result(monkeypatch, tmp_path):
    top1 = Metric(name="top-1", value=0.5, count=14, intervals=(Interval(low=0.25, high=0.75, method="Wilson"),))
    found = Result(
        kind="evaluation",
        set=SetRecord(name="set", train=16, test=16, classes=8, split="folders", checksum="0"),
        videos=VideosRecord(expected=16, judged=14, unreadable={"a.mp4": "no video", "b.mp4": "no video"}),
        metrics=(top1, Metric(name="top-5", value=0.9, count=14)),
        details={"classes": ["a", "b"], "most confused": [{"class": "a", "predicted": "b", "videos": 5}]},
    )
    probability, label = np.full((1, 2), 0.5), np.array([0])
    judged = JudgedVideos(("x.mp4",), probability, label)
    whole = Evaluation(found, Predictions(probability, label), (), judged, tmp_path / "predictions")
    monkeypatch.setattr(mgm, "evaluate", lambda *_, **__: whole)
    return found


def run(*arguments):
    app = typer.Typer()
    app.command()(evaluate)
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0
    return done


def test_figures_are_printed(result, tiny_set, tmp_path):
    shown = run(tmp_path, tiny_set).stdout
    assert "top-1 50.0% [25.0%, 75.0%] (Wilson) on 14 videos\n" in shown
    assert "top-5 90.0% on 14 videos\n" in shown
    assert "5 of a taken for b\n" in shown
    assert "incomplete (14 of 16)" in shown


def test_all_of_it_is_printed_as_json(result, tiny_set, tmp_path):
    assert Result.model_validate_json(run(tmp_path, tiny_set, "--json").stdout) == result
    assert json.loads(run(tmp_path, tiny_set, "--json").stdout)["format"] == "mgm-result-1"
