"""`mgm models`: the list, one model, and the option --model of other commands."""

import json

import pytest
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.errors import ModelError
from mgm.models.networks.catalog import NETWORKS
from tests.errors import raises
from tests.models.networks.small import SMALL


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(NETWORKS, "small", SMALL)
    monkeypatch.setenv("COLUMNS", "200")


def mgm(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0
    return done


def test_every_model_has_a_row():
    done = mgm("models")
    assert "clip: frames x stride" in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()[2:] if line.strip()]
    assert [words[0] for words in lines] == ["debug", "tiny", "S", "B", "L", "H", *NETWORKS]


def test_the_rows_of_vits_are_the_published_figures():
    rows = {row["name"]: row for row in json.loads(mgm("models", "--json").stdout)}
    assert (rows["B"]["parameters"], rows["B"]["gmacs"]) == (86_534_800, 180.3)
    assert rows["small"]["parameters"] == SMALL.parameters
    assert rows["small"]["weights"] == ["Small's"]


def test_one_model():
    done = mgm("models", "small")
    assert "4 frames x stride 2, 32 px" in done.stdout
    assert "https://example.org/small" in done.stdout
    assert "mgm evaluate WEIGHTS SET --model small" in done.stderr


def test_a_near_name_is_suggested():
    with raises(ModelError, "unknown_name", subject="models") as caught:
        mgm("models", "smal")
    assert "small" in caught.value.advice


def test_a_network_is_trained_and_evaluated(tiny_set, tmp_path):
    short = ("finetune.steps=2", "finetune.batch=4", "finetune.warmup=1", "data.workers=0", "--recipe", "debug")
    done = mgm("finetune", "none", tiny_set, "--model", "small", *short, "--out", tmp_path / "run")
    assert "after 2 steps" in done.stdout
    again = mgm("evaluate", tmp_path / "run", tiny_set, "--json")
    assert json.loads(again.stdout)["protocol"]["frames"] == SMALL.frames
