"""Figures 1 and 3: the published points, and results of runs in panels of their own."""

import json
from dataclasses import replace

import pytest

from mgm.data.annotations import load_set
from mgm.errors import FileError
from mgm.show.paper_figures.accuracy import figure_1, figure_3, read_measured
from mgm.training import load_config
from tests.errors import raises
from tests.evaluation.conftest import SMALL
from tests.results import result_of


@pytest.fixture(scope="module")
def runs(tiny_set, tmp_path_factory):
    """Three runs that differ in mask, ratio and length, with an evaluation each."""
    folder = tmp_path_factory.mktemp("runs")
    videos = load_set(tiny_set)
    for number, (mask, ratio, steps) in enumerate([("mgm", 0.75, 40), ("mgm", 0.5, 80), ("tube", 0.9, 40)]):
        run = folder / str(number)
        run.mkdir()
        settings = [f"mask.name={mask}", f"mask.ratio={ratio}", f"pretrain.steps={steps}", "pretrain.batch=4"]
        load_config("debug", [*SMALL, *settings, "pretrain.warmup=1"]).save(run / "config.yaml")
        result = result_of(videos, 0.25 * (number + 1), low=0.2 * (number + 1), high=0.3 * (number + 1))
        (run / "evaluation.json").write_text(json.dumps({"results": [result.model_dump(mode="json")]}))
    return folder


def test_the_published_points():
    made = figure_1()
    assert {"MGM (pixels)", "VideoMAE (pixels)", "MotionMAE (motion)", "BEVT (tokens)", "2400"} <= set(made.words)
    assert {"epochs of pretraining", "top-1 (%)"} <= set(made.words)
    assert not any(words.startswith("yours") for words in made.words)
    assert {"a) mask ratio, SSv2, 200 epochs", "b) epochs of pretraining, SSv2"} <= set(figure_3().words)


def test_own_results_are_in_panels_of_their_own(runs):
    measured = read_measured([runs])
    assert sorted(one.epochs for one in measured) == [10, 10, 20]  # 4 clips a step, 16 videos
    name = measured[0].result.set.name
    for draw, panels in ((figure_1, 1), (figure_3, 2)):
        made = draw(measured)
        assert made.words.count(f"yours 1: {name}") == panels
        assert made.words.count("tube") == panels
        assert any("95% intervals" in words for words in made.words)
        assert made.width > draw().width


def test_a_ratio_that_changes_has_no_place_on_the_axis_of_ratios(runs):
    measured = read_measured([runs])
    rising = load_config("debug", ["mask.ratio_schedule=linear", "mask.final_ratio=0.9"])
    made = figure_3([replace(one, config=rising) for one in measured])
    assert made.words.count("yours 1: " + measured[0].result.set.name) == 1  # over the epochs alone


def test_runs_without_results(tmp_path):
    assert read_measured([tmp_path]) == []
    (tmp_path / "probe.json").write_text('{"results": []}')
    assert read_measured([tmp_path]) == []
    with raises(FileError, "not_found"):
        read_measured([tmp_path / "runs"])
