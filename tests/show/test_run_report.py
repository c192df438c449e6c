"""The report of a run and its reference curves, from the files of a run."""

import json
import math
import shutil
from pathlib import Path

import pytest

from mgm.commands.report import report
from mgm.errors import ConfigError
from mgm.show.curves import POINTS, RunCurves, read_references, read_run
from mgm.show.run_report import judge_loss
from mgm.training import load_config
from mgm.training.results import Interval, Metric, Result, SetRecord, VideosRecord, keep_result
from tests.errors import raises

SETTINGS = ["pretrain.batch=4", "pretrain.repeats=2", "seed=3"]


@pytest.fixture
def folder(tmp_path):
    """A log of 1,000 steps that halves its loss, with a skipped step and a cut line, as a kill leaves it."""
    load_config("debug", SETTINGS).save(tmp_path / "config.yaml")
    lines = [
        {
            "step": step,
            "loss": None if step == 7 else 2 - step / 1000,
            "lr": 0.1,
            "gradient_norm": 1.0,
            "data_wait": 0.25,
        }
        for step in range(1000)
    ]
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"step": 1000, "lo')
    about = {
        "kind": "pretrain",
        "set": {"name": "a set", "train": 5, "classes": 2},
        "starts": [{"machine": "two cores"}],
    }
    (tmp_path / "run.json").write_text(json.dumps(about))
    return tmp_path


def test_a_run_is_thinned_to_means(folder):
    run = read_run(folder)
    assert len(run.clips) == POINTS
    assert run.clips[0] == 10 * 4 * 2
    assert run.clips[-1] == 1000 * 4 * 2
    assert run.values["loss"][1] == pytest.approx(2 - 14.5 / 1000, rel=1e-4)
    assert run.values["loss"][0] == pytest.approx(2 - (45 - 7) / 9 / 1000, rel=1e-4)  # without the skipped step
    assert "flow" not in run.values
    made = {"set": "a set", "seed": 3, "batch": 4, "machine": "two cores", "target": "normalised-pixels"}
    assert {name: run.made[name] for name in made} == made


def test_a_page_and_a_reference(folder, tmp_path, capsys):
    report([folder], curve=tmp_path / "debug-on-a-set.json")
    said = capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert said.startswith("The loss went from 2 to 1.01 in 8,000 clips.")
    assert "two cores" in page
    assert "waiting for data" in page
    saved = json.loads((tmp_path / "debug-on-a-set.json").read_text())
    assert saved["name"] == "debug on a set"
    assert (tmp_path / "debug-on-a-set.json").stat().st_size < 10_000


def curves(name, losses, **changes):
    made = {"size": "tiny", "target": "normalised-pixels", "classes": 4} | changes
    kind = made.pop("kind", "pretrain")
    return RunCurves(name, kind, made, tuple(range(100, 100 * len(losses) + 1, 100)), {"loss": tuple(losses)})


def test_the_loss_is_judged_beside_comparable_runs():
    run = curves("mine", [1.2, 1.1])
    assert run.is_comparable(curves("other", [1.0]))
    assert not run.is_comparable(curves("larger", [1.0], size="B"))
    assert not run.is_comparable(curves("other target", [1.0], target="hog"))
    assert not run.is_comparable(curves("more targets", [1.0], visible_target="motion"))
    said = judge_loss(run, [curves("longer", [1.2, 1.0, 0.9]), curves("shorter", [0.5])])
    assert said[-2:] == [
        "The reference longer has 1 after as many clips: this run is +10% from it.",
        "The reference shorter has 0.5 at its end: this run is +120% from it.",
    ]
    assert "nothing to be compared with" in judge_loss(run, [])[-1]
    assert f"ln 4 = {math.log(4):.3g}" in judge_loss(curves("tuned", [1.4, 1.0], kind="finetune"), [])[1]
    assert len(judge_loss(curves("broken", [None]), [])) == 1


def test_every_reference_is_whole():
    references = read_references()
    assert references
    for reference in references:
        assert len(reference.clips) == len(reference.values["loss"]) <= POINTS
        assert {"set", "seed", "machine", "version", "size", "target", "batch"} <= reference.made.keys()
        assert reference.made["machine"] != "unknown"


def test_a_folder_without_a_log(tmp_path):
    with raises(ConfigError, "not_found", message="report-no-log"):
        read_run(tmp_path)


def test_several_runs_are_one_page(folder, tmp_path, capsys, monkeypatch):
    for name, seed in (("x/a", 1), ("y/a", 2), ("y/b", 3)):
        shutil.copytree(folder, tmp_path / "runs" / name, ignore=shutil.ignore_patterns("runs"))
        load_config("debug", [*SETTINGS[:2], f"seed={seed}"]).save(tmp_path / "runs" / name / "config.yaml")
        keep_result(tmp_path / "runs" / name / "evaluation.json", result(0.5 + seed / 10))
    monkeypatch.chdir(tmp_path)
    report([Path("runs/x/a"), Path("runs/y/a"), Path("runs/y/b")])
    captured = capsys.readouterr()
    assert captured.out.startswith("The loss of x/a is the lowest at the end, 1.01.")
    assert "next: mgm compare runs/x/a runs/y/a SET" in captured.err
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert len(page) < 1_000_000
    for words in (
        "80.0%",
        "top-1: y/b",
        "70.0% to 90.0% (Wilson)",
        "Settings that differ",
        ">seed<",
        "mgm compare runs/x/a runs/y/a SET",
    ):
        assert words in page, words
    assert page.count("<h2") == 9


def test_a_reference_curve_is_of_one_run(folder, tmp_path):
    with raises(ConfigError, "conflict", message="report-curve-of-several-runs"):
        report([folder, folder], curve=tmp_path / "a.json")


def result(value):
    interval = Interval(low=value - 0.1, high=value + 0.1, method="Wilson")
    videos = SetRecord(name="a set", train=1, test=16, classes=2, split="", checksum="x")
    metric = Metric(name="top-1", value=value, count=16, intervals=(interval,))
    return Result(kind="evaluation", set=videos, videos=VideosRecord(expected=16, judged=16), metrics=(metric,))
