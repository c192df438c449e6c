"""`mgm doctor`: what it prints about a step that stopped a run."""

import pytest
import typer

from mgm.commands.doctor import doctor
from mgm.commands.pretrain import pretrain
from mgm.errors import ConfigError, ModelError
from mgm.files.torch_file import write_torch
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
    assert "4 clips in 1 micro-batches" in shown[1]
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


def test_files_and_words_of_other_kinds(tmp_path):
    write_torch({"format": "other"}, tmp_path / "other.pt")
    with raises(ModelError, "malformed"):
        doctor(["replay", str(tmp_path / "other.pt")])
    with raises(ConfigError, "invalid_value"):
        doctor(["replay"])
