"""Probes without a model on a set whose classes differ in motion alone, and their record."""

import json

import pytest

import mgm
from mgm.commands.probe import probe
from mgm.data.synthetic.labelled import HEADINGS, make_dataset
from mgm.errors import ConfigError
from mgm.evaluation.baselines import probe_baseline
from mgm.training.results import read_results
from tests.errors import raises

CLIPS = ("data.frames=8", "data.stride=1", "data.size=64", "data.memory=false", "probe.temporal_views=1")


@pytest.fixture(scope="module")
def headings(tmp_path_factory):
    root = tmp_path_factory.mktemp("headings") / "set"
    make_dataset(root, HEADINGS, train=32, test=16, frames=9, size=64, pan=0)
    return root


def test_motion_tells_what_the_mean_frame_does_not(headings, tmp_path):
    file = tmp_path / "baselines.json"
    found = {}
    for baseline in ("motion", "mean-frame"):
        report, result = probe_baseline(baseline, headings, overrides=CLIPS, out=file)
        found[baseline] = report.scores.hits["linear probe"].mean()
        assert result.kind == "baseline"
        assert result.model is None
        assert (result.protocol["baseline"], result.protocol["grid"], result.protocol["frames"]) == (
            baseline,
            "8 x 8",
            8,
        )
        assert result.videos.judged == result.videos.expected == 16
        assert result.metric(f"{baseline}, linear probe top-1").value == pytest.approx(found[baseline])
    assert found["motion"] > 0.8
    assert found["mean-frame"] < 0.6
    kept = read_results(file)
    assert [result.protocol["baseline"] for result in kept] == ["mean-frame", "motion"]


def test_the_command_needs_a_set_alone(headings, capsys):
    probe(headings, CLIPS[0], [*CLIPS[1:]], baseline="motion", as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["kind"] == "baseline"
    assert printed["protocol"]["frames"] == 8
    assert printed["metrics"][0]["name"] == "motion, linear probe top-1"


def test_beside_a_run_it_reads_the_clips_of_the_run(headings, tmp_path, capsys):
    config = mgm.load_config(
        "debug", ["data.frames=4", "data.size=32", "data.stride=2", "model.size=debug", "pretrain.steps=1"]
    )
    mgm.pretrain(headings, config, out=tmp_path / "run", show_progress=False)
    probe(tmp_path / "run", str(headings), baseline="motion")
    (result,) = read_results(tmp_path / "run" / "baseline.json")
    assert (result.protocol["frames"], result.protocol["stride"], result.protocol["size"]) == (4, 2, 32)
    shown = capsys.readouterr()
    assert "linear probe" in shown.out
    assert "next: mgm results" in shown.err


def test_wrong_uses_are_named(headings, tmp_path):
    with raises(ConfigError, "unknown_name", subject="baseline"):
        probe_baseline("sound", headings)
    with raises(ConfigError, "missing_value", subject="SET"):
        probe(headings)
    with raises(ConfigError, "conflict", subject="--out"):
        probe(tmp_path, str(headings), out=tmp_path / "file.json")
