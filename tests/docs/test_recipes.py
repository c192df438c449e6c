"""docs/recipes.md has a row for every recipe, with its figures; the overrides that it names are settings."""

import re
from pathlib import Path

import pytest

from mgm.masks import build_mask
from mgm.training.recipe import list_recipes, load_config

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


def test_overrides_are_settings():
    for code in re.findall(r"`((?:data|mask|model|pretrain|finetune|probe)\.[\w.]+=[^`]*)`", PAGE):
        load_config("ablation-vitb-ssv2", code.split())
