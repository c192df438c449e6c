import typer
from typer.testing import CliRunner

import mgm
from mgm.commands.evaluate import evaluate


def test_accuracy_is_printed(tiny_set, tmp_path, monkeypatch):
    result = {
        "top1": {"top1": 0.5, "low": 0.25, "high": 0.75, "videos": 16},
        "top5": 0.9,
        "classes": 8,
        "unreadable": 2,
    }
    monkeypatch.setattr(mgm, "evaluate", lambda *_, **__: result)
    app = typer.Typer()
    app.command()(evaluate)
    done = CliRunner().invoke(app, [str(tmp_path), str(tiny_set)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "top-1 50.0% [25.0%, 75.0%] on 16 videos, 8 classes" in done.output
    assert "top-5 90.0%" in done.output
    assert "2 videos could not be read" in done.output
