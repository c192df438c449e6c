import typer
from typer.testing import CliRunner

import mgm
from mgm.commands.evaluate import evaluate
from mgm.training.results import Interval, Metric, Result, SetRecord, VideosRecord


def test_accuracy_is_printed(tiny_set, tmp_path, monkeypatch):
    top1 = Metric(name="top-1", value=0.5, count=14, intervals=(Interval(low=0.25, high=0.75, method="Wilson"),))
    result = Result(
        kind="evaluation",
        set=SetRecord(name="set", train=16, test=16, classes=8, split="folders", checksum="0"),
        videos=VideosRecord(expected=16, judged=14, unreadable={"a.mp4": "no video", "b.mp4": "no video"}),
        metrics=(top1, Metric(name="top-5", value=0.9, count=14)),
    )
    monkeypatch.setattr(mgm, "evaluate", lambda *_, **__: result)
    app = typer.Typer()
    app.command()(evaluate)
    done = CliRunner().invoke(app, [str(tmp_path), str(tiny_set)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "top-1 50.0% [25.0%, 75.0%] on 14 videos" in done.output
    assert "top-5 90.0%" in done.output
    assert "incomplete (14 of 16)" in done.output
