"""`mgm recipes`: the list, one recipe as a recipe, the differences of two."""

import pytest
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.training.recipe import load_config
from mgm.training.recipe_file import list_recipes


@pytest.fixture
def mgm(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")

    def call(*arguments):
        done = CliRunner().invoke(app, ["recipes", *map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == 0
        return done

    return call


def test_every_recipe_is_listed_under_its_command(mgm):
    blocks = mgm().stdout.split("for mgm ")
    listed = {
        block.split()[0]: [line.split(maxsplit=1) for line in block.splitlines()[2:] if line.strip()]
        for block in blocks[1:]
    }
    assert sorted(words[0] for rows in listed.values() for words in rows) == sorted(list_recipes())
    assert all(len(words) == 2 for rows in listed.values() for words in rows)  # each has a title
    assert "mgm-vitb-k400" in [words[0] for words in listed["pretrain"]]
    assert "finetune-vitb-k400" in [words[0] for words in listed["finetune"]]


@pytest.mark.parametrize("name", ["debug", "mgm-vitb-ssv2"])
def test_what_is_shown_is_that_recipe(mgm, tmp_path, name):
    path = tmp_path / "shown.yaml"
    path.write_text(mgm("show", name, "pretrain.steps=20", "mask.options={jitter: false}").stdout)
    assert load_config(path) == load_config(name, ["pretrain.steps=20", "mask.options={jitter: false}"])
    assert "  steps: 20 # override\n" in path.read_text()


def test_the_next_command_is_that_of_the_recipe(mgm):
    assert "next: mgm pretrain SET --recipe debug seed=3\n" in mgm("show", "debug", "seed=3").stderr
    assert "next: mgm finetune RUN SET --recipe finetune-vitb-k400\n" in mgm("show", "finetune-vitb-k400").stderr


def test_differences(mgm, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: debug\ndata: {frames: 4}\n")
    header, _, *rows = mgm("diff", "debug", path).stdout.splitlines()
    assert header.split() == ["debug", str(path)]
    assert [row.split() for row in rows] == [["data.frames", "8", "4"]]
    assert mgm("diff", "debug", "debug").stdout == "no setting differs\n"
