"""`mgm doctor`: what it prints about a step that stopped a run."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from mgm import load_config
from mgm.commands.doctor import doctor
from mgm.commands.pretrain import pretrain
from mgm.errors import ConfigError, ModelError
from mgm.files.torch_file import write_torch
from mgm.training.preflight import check_run
from mgm.training.replay_file import read_replay
from tests.errors import raises

SETTINGS = [
    "data.frames=4",
    "data.size=32",
    "data.workers=0",
    "model.size=debug",
    "pretrain.steps=4",
    "pretrain.batch=4",
]
DIVERGING = ["pretrain.warmup=0", "pretrain.base_lr=1e30", "pretrain.clip_grad=null", "pretrain.skip_limit=0"]


@pytest.fixture(scope="module")
def stopped(tiny_set, tmp_path_factory):
    """The folder of a run that diverged."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(ModelError, match="mgm doctor replay"):
        pretrain(str(tiny_set), [*SETTINGS, *DIVERGING], out=out)
    return out


def test_a_step_that_is_reproduced(stopped, capsys):
    doctor(["replay", str(stopped / "replay.pt")])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("step 1 of a pretraining run: its loss is nan")
    assert "4 clips in 1 micro-batch," in shown[1]
    assert shown[3] == "here      loss nan, gradient norm nan: reproduced"
    assert shown[4].startswith("the first output that is not finite: encoder.")
    assert "lower base_lr" in shown[-1]


def test_a_step_that_is_another_one_here(stopped, tmp_path, capsys):
    saved = read_replay(stopped / "replay.pt")
    for name in saved.weights:
        saved.weights[name].clamp_(-0.1, 0.1)
    saved.save(tmp_path / "replay.pt")
    with pytest.raises(typer.Exit) as ended:
        doctor(["replay", str(tmp_path / "replay.pt")])
    assert ended.value.exit_code == 1
    assert "NOT reproduced" in capsys.readouterr().out


def check(capsys, *words, status=0, out=Path("runs")):
    """The marks of the checks by name, and the lines after them."""
    try:
        doctor(list(map(str, words)), out=out)
        ended = 0
    except typer.Exit as error:
        ended = error.exit_code
    assert ended == status
    lines = capsys.readouterr().out.splitlines()
    checks = [re.match(r"(ok|note|CHANGE) +(\w+): ", line) for line in lines]
    return {found[2]: found[1] for found in checks if found}, lines[
        max(n for n, line in enumerate(lines) if "ready" in line) :
    ]


def test_a_machine(capsys):
    marks, last = check(capsys)
    assert list(marks) == ["versions", "codecs", "encoders", "kernels", "extras", "device"]
    assert last == ["ready"]


@pytest.mark.parametrize("settings", [(), ("data.memory=false", "data.workers=1")])
def test_a_run_that_can_start(tiny_set, tmp_path, capsys, settings):
    marks, last = check(capsys, "debug", tiny_set, *SETTINGS, *settings, out=tmp_path / "runs")
    assert list(marks)[6:] == ["set", "videos", "memory", "step", "speed", "disk"]
    assert {marks[name] for name in ("videos", "memory", "step", "disk")} == {"ok"}
    assert marks["set"] in ("ok", "note")
    assert last == ["ready"]
    assert not (tmp_path / "runs").exists()


def test_a_batch_larger_than_the_set(tiny_set, tmp_path):
    config = load_config("debug", [*SETTINGS, "pretrain.batch=1000000"])
    found = next(check_run(config, "pretrain", str(tiny_set), tmp_path / "runs"))
    assert found.verdict == "note"
    assert "batch 1,000,000: the set has only 16 videos: a step takes each 62,500.0 times" in found.found


def test_fine_tuning_without_labels(tiny_set, tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, path in enumerate(sorted(tiny_set.rglob("*.mp4"))[:4]):
        (videos / f"{number}.mp4").symlink_to(path)
    marks, last = check(capsys, "finetune-vitb-k400", videos, status=1)
    assert marks["set"] == "CHANGE"
    assert list(marks)[-1] == "set"
    assert last == ["not ready; 1 to change:", "- set: docs/data.md lists the formats"]


def test_videos_that_cannot_be_read(tmp_path, capsys):
    for number in range(3):
        (tmp_path / f"{number}.mp4").write_bytes(b"not a video")
    marks, last = check(capsys, "debug", tmp_path, *SETTINGS, status=1)
    assert marks["videos"] == "CHANGE"
    assert last[0] == "not ready; 1 to change:"


def test_a_step_that_does_not_fit_or_is_not_finite(tiny_set, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mgm.training.trial._free_on", lambda fabric: 1000)
    monkeypatch.setattr("mgm.training.preflight.clip_gradient", lambda *_: math.nan)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1000))
    marks, last = check(capsys, "debug", tiny_set, *SETTINGS, "pretrain.micro_batch=4", status=1, out=tmp_path)
    assert [name for name, mark in marks.items() if mark == "CHANGE"] == ["memory", "step", "disk"]
    assert last[1:] == [
        "- memory: set pretrain.micro_batch=auto, or model.checkpointing=true",
        "- step: set pretrain.precision=32-true",
        "- disk: free some space, or give another --out",
    ]


def test_files_and_words_of_other_kinds(tmp_path):
    write_torch({"format": "other"}, tmp_path / "other.pt")
    with raises(ModelError, "malformed"):
        doctor(["replay", str(tmp_path / "other.pt")])
    with raises(ConfigError, "invalid_value"):
        doctor(["replay"])
