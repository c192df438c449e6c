import shutil

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import mgm
from mgm.commands.data import data
from mgm.commands.probe import probe
from mgm.errors import DataError
from mgm.evaluation.probing import ProbeScores, compare_probes
from mgm.evaluation.run import ProbeReport
from tests.errors import raises

VIDEOS = 100


def scores(correct):
    hits = {"linear probe": np.arange(VIDEOS) < correct}
    return ProbeScores(hits, ("left", "right"), {"x.mp4": "x.mp4: truncated"}, tuple(range(VIDEOS)))


@pytest.mark.parametrize("untrained", [True, False])
def test_accuracy_and_gain_are_printed(tiny_set, tmp_path, monkeypatch, untrained):
    comparisons = compare_probes(scores(55), scores(40)) if untrained else []
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


@pytest.mark.parametrize(
    ("recipe", "next_words"),
    [("debug", "--recipe debug --out"), ("probe-linear", "--out")],
    ids=["tunes", "only probes"],
)
def test_a_recipe_of_probes_is_not_suggested_for_fine_tuning(tmp_path, capsys, monkeypatch, recipe, next_words):
    monkeypatch.setattr(mgm, "probe", lambda *_, **__: ProbeReport(scores(55), []))
    monkeypatch.setattr("mgm.commands.probe.open_set", lambda data: None)
    probe(tmp_path, "videos", recipe=recipe)
    assert f"next: mgm finetune {tmp_path} videos {next_words} " in capsys.readouterr().err


def test_one_clip_per_class_is_refused_and_shown(tiny_set, tmp_path):
    """No class can spare its only video for testing."""
    items = {item.label: item for item in mgm.load_set(tiny_set / "train").items}
    for label, item in items.items():
        folder = tmp_path / "videos" / f"class{label}"
        folder.mkdir(parents=True)
        shutil.copy(item.path, folder)
    config = mgm.load_config("debug", ["data.frames=4", "data.size=32", "model.size=debug", "pretrain.steps=1"])
    mgm.pretrain(tiny_set, config, out=tmp_path / "run", show_progress=False)
    with raises(DataError, "missing_value", subject=tmp_path / "videos", message="judging-one-clip-per-class"):
        mgm.probe(tmp_path / "run", tmp_path / "videos")
    assert not (tmp_path / "run" / "probe.json").exists()
    shown = CliRunner().invoke(data, ["show", str(tmp_path / "videos")], catch_exceptions=False).output
    assert "no test videos (none of the files is held out: each is all that some class has)" in " ".join(shown.split())
