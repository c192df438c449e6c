"""docs/recipes.md has a row for every recipe, with its figures; the overrides that it names are settings."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.data.synthetic.known_motion import make_translation
from mgm.masks import build_mask
from mgm.training.pretrain import pretrain
from mgm.training.recipe import load_config
from mgm.training.recipe_file import list_recipes
from mgm.training.results import read_results

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, dict[str, str]]:
    """Recipe -> its cells by column, of the first table below a heading."""
    lines = [
        line for line in PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0].splitlines() if line.startswith("| ")
    ]
    table = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    columns = table[0]
    return {cells[0]: dict(zip(columns, cells, strict=True)) for cells in table[1:]}


PRETRAINING, FINETUNING = rows("Pretraining"), rows("Fine-tuning")


def test_every_recipe_has_a_row():
    assert {*PRETRAINING, *FINETUNING} == set(list_recipes()) - {"debug"}


@pytest.mark.parametrize("name", PRETRAINING)
def test_figures_of_pretraining(name):
    row, config = PRETRAINING[name], load_config(name)
    assert row["mask"].replace("`", "").split() == [config.mask.name, f"{config.mask.ratio:g}".lstrip("0")]
    assert (int(row["batch"]), int(row["epochs"])) == (config.pretrain.batch, config.pretrain.epochs)
    assert (float(row["base lr"]), int(row["repeats"])) == (config.pretrain.base_lr, config.repeats("pretrain"))


@pytest.mark.parametrize("name", FINETUNING)
def test_figures_of_fine_tuning(name):
    row, config = FINETUNING[name], load_config(name)
    assert (int(row["batch"]), int(row["epochs"])) == (config.finetune.batch, config.finetune.epochs)
    assert (float(row["base lr"]), int(row["repeats"])) == (config.finetune.base_lr, config.repeats("finetune"))
    assert row["views"] == f"{config.probe.temporal_views} x {config.probe.spatial_views}"


def test_counts_that_differ_from_the_reference():
    grid = (8, 14, 14)
    assert build_mask("random").count(grid, 0.9) == 1411
    assert 196 - build_mask("mgmae").count(grid, 0.9) == 20
    for figure in ("1,411", "1,412", "20 of 196", "= 19"):
        assert figure in PAGE


def test_the_commands_of_table_3_run(tmp_path, monkeypatch):
    """Source and target name their classes differently; the target has half of them."""
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("climb\ndive\n")
    for split, folders in (("ucf101_train_uh", ["Rock", "Diving"]), ("hmdb51_test_uh", ["climb"])):
        root = tmp_path / split.partition("_")[0]
        lines = [f"{n}\t{label}\t{folder}/{n}.mp4" for label, folder in enumerate(folders) for n in range(3)]
        Path(f"{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            make_translation(root / line.split("\t")[2], velocity=(2, 1), frames=12, size=(40, 48))
    small = ["model.size=debug", "data.frames=4", "data.size=32", "data.workers=0"]
    pretrain("ucf101", load_config("debug", [*small, "pretrain.steps=1"]), out="runs/k400", show_progress=False)
    (block,) = [text for text in re.findall(r"^```\w*\n(.*?)^```$", PAGE, re.M | re.S) if "names.txt" in text]
    tune, judge = (shlex.split(line)[1:] for line in block.splitlines())
    for arguments in ([*tune, *small[-1:], "finetune.steps=1", "finetune.batch=2"], judge):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    scores, *_ = read_results(Path("runs/ucf14/evaluation.json"))
    assert (len(scores.details["classes"]), scores.metric("top-1").count) == (2, 3)


def test_overrides_are_settings():
    codes = re.findall(r"`((?:data|mask|model|pretrain|finetune|probe)\.[\w.]+=[^`]*)`", PAGE)
    assert codes
    for code in codes:
        load_config("ablation-vitb-ssv2", code.split())
