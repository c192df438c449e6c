import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import mgm
from mgm.commands.probe import probe
from mgm.evaluation.probing import ProbeScores, compare
from mgm.evaluation.run import ProbeReport

VIDEOS = 100


def scores(correct):
    hits = {"linear probe": np.arange(VIDEOS) < correct}
    return ProbeScores(hits, ("left", "right"), {"x.mp4": "x.mp4: truncated"}, tuple(range(VIDEOS)))


@pytest.mark.parametrize("untrained", [True, False])
def test_accuracy_and_gain_are_printed(tiny_set, tmp_path, monkeypatch, untrained):
    comparisons = compare(scores(55), scores(40)) if untrained else []
    monkeypatch.setattr(mgm, "probe", lambda *_, **__: ProbeReport(scores(55), comparisons))
    app = typer.Typer()
    app.command()(probe)
    result = CliRunner().invoke(app, [str(tmp_path), str(tiny_set)], catch_exceptions=False)
    assert result.exit_code == 0
    (row,) = [line for line in result.output.splitlines() if line.startswith("linear probe")]
    assert ("40.0%" in row, "+15.0%" in row) == (untrained, untrained)
    assert "55.0%" in row
    assert "chance 50.0%" in result.output
    assert "1 videos could not be read" in result.output
