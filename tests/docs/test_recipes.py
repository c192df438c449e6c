"""docs/recipes.md has a row for every recipe, with its figures; the overrides that it names are settings."""

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.data.synthetic.known_motion import make_translation
from mgm.evaluation.paper import FIGURES
from mgm.masks import build_mask
from mgm.models import Encoder
from mgm.training.config import Config
from mgm.training.pretrain import pretrain
from mgm.training.recipe import config_for, load_config, override
from mgm.training.recipe_file import list_recipes
from mgm.training.results import read_results
from tests.markdown import blocks
from tests.training.test_recipe_facts import OWN

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, dict[str, str]]:
    """Recipe -> its cells by column, of the first table below a heading."""
    table_text = re.search(r"(?:^\|.*\n)+", PAGE.split(f"\n## {heading}\n")[1], re.MULTILINE)
    assert table_text is not None
    lines = [line for line in table_text[0].splitlines() if line.startswith("| ")]
    table = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    columns = table[0]
    return {cells[0]: dict(zip(columns, cells, strict=True)) for cells in table[1:]}


PRETRAINING, FINETUNING, PROBES = rows("Pretraining"), rows("Fine-tuning"), rows("Probes")


def test_every_recipe_has_a_row():
    assert {*PRETRAINING, *FINETUNING, *PROBES} == set(list_recipes()) - OWN


@pytest.mark.parametrize("name", PRETRAINING)
def test_figures_of_pretraining(name):
    row, config = PRETRAINING[name], load_config(name)
    assert row["size"] == config.model.size
    assert row["mask"].replace("`", "").split() == [config.mask.name, f"{config.mask.ratio:g}".lstrip("0")]
    assert (int(row["batch"]), int(row["epochs"])) == (config.pretrain.batch, config.pretrain.epochs)
    assert (float(row["base lr"]), int(row["repeats"])) == (config.pretrain.base_lr, config.repeats("pretrain"))


@pytest.mark.parametrize("name", FINETUNING)
def test_figures_of_fine_tuning(name):
    row, config = FINETUNING[name], load_config(name)
    assert (int(row["batch"]), int(row["epochs"])) == (config.finetune.batch, config.finetune.epochs)
    assert (float(row["base lr"]), int(row["repeats"])) == (config.finetune.base_lr, config.repeats("finetune"))
    assert row["views"] == f"{config.probe.temporal_views} x {config.probe.spatial_views}"


PAPER_ROWS = rows("Rows of the paper")


@pytest.mark.parametrize("name", PROBES)
def test_figures_of_probes(name):
    row, probe = PROBES[name], load_config(name).probe
    assert tuple(row["heads"].split()) == probe.heads
    assert row["views"] == f"{probe.temporal_views} x {probe.spatial_views}"


def test_every_figure_of_the_paper_has_a_row():
    """The tables of the page and of `mgm results` agree; ST-MAE is not in the latter, and MGM (dense) there in one table only."""
    found = Counter(
        (name.split(",")[0].removeprefix("Table "), float(figure))
        for name, row in PAPER_ROWS.items()
        for figure in row["top-1"].split(", ")
        if figure
    )
    known = Counter((f.table, round(100 * f.value, 1)) for f in FIGURES if f.kind != "saliency")
    assert found - known == Counter([("1", 81.3), ("4e", 67.3)])
    assert not known - found


def parsed(command: str) -> dict[str, Any]:
    """The arguments of a command, as the command line reads them."""
    program, name, *arguments = shlex.split(command)
    assert program == "mgm"
    group = typer.main.get_command(app)
    return {"command": name} | group.commands[name].make_context(name, arguments).params


def commands_of(cell: str) -> list[dict[str, Any]]:
    return [parsed(command) for command in re.findall(r"mgm [^`]*", cell)]


def tuned_config(arguments: dict[str, Any], pretrained: Config | None) -> Config:
    """The settings of `mgm finetune` or `mgm probe`, as the command finds them."""
    recipe, settings = arguments["recipe"], arguments["settings"] or ()
    if arguments["run"] == Path("none"):
        return load_config(recipe, settings)
    assert pretrained is not None
    if recipe is None:
        return override(pretrained, settings)
    with torch.device("meta"):
        return config_for(Encoder(pretrained.model_spec()), recipe, settings)


@pytest.mark.parametrize("name", PAPER_ROWS)
def test_a_row_of_the_paper_is_a_command(name):
    """It is read by the command line, its settings are valid, and they are those of the row's set and length."""
    row, pretrained = PAPER_ROWS[name], None
    for arguments in [*commands_of(row["pretraining"]), *commands_of(row["then"])]:
        if arguments["command"] == "pretrain":
            pretrained = config = load_config(arguments["recipe"], arguments["settings"] or ())
            epochs = re.search(r"(\d+) epochs", name)
            assert config.pretrain.epochs == (int(epochs[1]) if epochs else 800)
        else:
            base = pretrained or load_config("mgm-vitb-ssv2" if "2b" in name or "2d" in name else "mgm-vitb-k400")
            config = tuned_config(arguments, base)
            assert config.data.stride == base.data.stride or arguments["run"] == Path("none")
        if arguments["command"] == "finetune":
            assert (config.finetune.sampling == "sparse") == (arguments["data"] == "SSV2")
        assert config.data.stride == 2 or arguments["data"] != "SSV2"
        assert config.data.stride == 4 or "K400" not in arguments["data"]
        model = {"ViT-S": "S"}.get(name.split(",")[1].strip(), "B")
        assert (config.model_spec().size, config.data.frames, config.data.size) == (model, 16, 224)


@pytest.mark.parametrize(
    "name", ["mgm-vitb-k400", "mgm-vitb-ssv2", "mgm-vitb-ucf101", "mgm-vitb-hmdb51", "mgm-vitb-diving48"]
)
def test_every_size_mask_and_length_is_an_override(name):
    for setting in (
        *(f"model.size={size}" for size in "SBLH"),
        *(f"mask.name={mask}" for mask in ("mgm", "tube", "random", "block", "smm", "smm-sparse", "mgm-sparse")),
        *(f"pretrain.epochs={epochs}" for epochs in (200, 400, 800, 1200, 1600, 2400)),
        "model.backbone=timesformer",
    ):
        config = load_config(name, [setting])
        key, _, value = setting.partition("=")
        section, key = key.split(".")
        assert str(getattr(getattr(config, section), key)) == value


def test_counts_that_differ_from_the_reference():
    grid = (8, 14, 14)
    assert build_mask("random").count(grid, 0.9) == 1411
    assert 196 - build_mask("mgmae").count(grid, 0.9) == 20
    for figure in ("1,411", "1,412", "20 of 196", "= 19"):
        assert figure in PAGE


def test_the_commands_of_table_3_run(tmp_path, monkeypatch):
    """Source and target name their classes differently; the target has half of them."""
    monkeypatch.chdir(tmp_path)
    for split, folders in (("ucf101_train_uh", ["Rock", "Diving"]), ("hmdb51_test_uh", ["climb"])):
        root = tmp_path / split.partition("_")[0]
        lines = [f"{n}\t{label}\t{folder}/{n}.mp4" for label, folder in enumerate(folders) for n in range(3)]
        Path(f"{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            make_translation(root / line.split("\t")[2], velocity=(2, 1), frames=12, size=(40, 48))
    small = ["model.size=debug", "data.frames=4", "data.size=32", "data.workers=0"]
    pretrain("ucf101", load_config("debug", [*small, "pretrain.steps=1"]), out="runs/k400", show_progress=False)
    (block,) = [text for _, text in blocks(PAGE) if "mgm transfer" in text]
    tune, judge = (shlex.split(line)[1:] for line in block.splitlines())
    for arguments in ([*tune, *small[-1:], "finetune.steps=1", "finetune.batch=2"], judge):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    scores, *_ = read_results(Path("runs/ucf14/transfer.json"))
    assert (len(scores.details["classes"]), scores.metric("top-1").count) == (2, 3)


def test_overrides_are_settings():
    codes = re.findall(r"`((?:data|mask|model|pretrain|finetune|probe)\.[\w.]+=[^`]*)`", PAGE)
    assert codes
    for code in codes:
        load_config("ablation-vitb-ssv2", re.split(r" (?=[\w.]+=)", code))
