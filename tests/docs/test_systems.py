"""Every command of docs/systems.md starts: on real clips, each model at its own depth but with small clips, ViTs at debug size."""

import re
import shlex
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.flow.raft import Raft
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.video_swin import VideoSwin
from mgm.models.replacement.swin import SWIN_SIZES
from mgm.training import load_config
from mgm.training.recipe_file import list_recipes
from tests.models.tokenizers.files import dvae, vqgan, write_dvae, write_vqgan

PAGE = (Path(__file__).parents[2] / "docs" / "systems.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of a table's rows."""
    part = PAGE.split(f"\n## {heading}")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def commands(cell: str) -> list[str]:
    """The commands of a cell; a further recipe, or another end of its name, is the last command with that recipe."""
    found: list[str] = []
    for chunk in re.findall(r"`([^`]+)`", cell):
        if chunk.startswith("mgm "):
            found.append(chunk)
        elif chunk in list_recipes() and found:
            found.append(re.sub(r"--recipe \S+", f"--recipe {chunk}", found[-1]))
        elif re.fullmatch(r"-[a-z]\w*", chunk) and found and "--recipe" in found[-1]:
            before = re.search(r"--recipe (\S+)", found[-1])
            assert before is not None
            other = before[1].rpartition("-")[0] + chunk
            assert other in list_recipes(), other
            found.append(found[-1].replace(before[1], other))
    return found


SUPERVISED = {row[0].partition(" ")[0]: commands(row[2]) for row in rows("Table 1: supervised")}
PRETRAINED = {row[0].partition(" ")[0]: commands(row[2]) for row in rows("Table 1: self-supervised")}
BESIDE = {row[0]: commands(row[2]) for row in rows("Beside the tables")}
ABLATIONS = [
    (f"{table} {name.strip()}", "" if setting.strip() == "none" else " ".join(re.findall(r"`([^`]+)`", setting)))
    for table, names, settings in rows("Table 4")
    for name, setting in zip(
        names.split(";"), settings.split(";") * (1 if ";" in settings else len(names.split(";"))), strict=True
    )
]


def test_every_row_of_the_paper_has_a_command():
    """14 systems of Table 1, 15 rows of Table 4; each recipe and network that a command names exists."""
    assert len(SUPERVISED) + len(PRETRAINED) == 14
    assert [sum(name.startswith(table) for name, _ in ABLATIONS) for table in "abcde"] == [3, 2, 2, 2, 6]
    for command in chain(*SUPERVISED.values(), *PRETRAINED.values()):
        arguments = shlex.split(command)
        if "--recipe" in arguments:
            load_config(arguments[arguments.index("--recipe") + 1])
        if "--model" in arguments:
            assert arguments[arguments.index("--model") + 1] in NETWORKS
    for found in (*SUPERVISED.values(), *PRETRAINED.values()):
        assert any(command.startswith(("mgm finetune none", "mgm pretrain")) for command in found)
    for _, setting in ABLATIONS:
        recipe = "ablation-vitb-ssv2" if "--recipe" not in setting else setting.split()[1]
        load_config(recipe, [one for one in setting.split() if "=" in one])


def slow(test):
    """A test that trains on the real clips."""
    return pytest.mark.slow(pytest.mark.real(test))


VIEWS = ["data.workers=0", "probe.temporal_views=1", "probe.spatial_views=1"]
SHORT = [
    "finetune.steps=1",
    "finetune.warmup=0",
    "finetune.batch=2",
    "finetune.repeats=1",
    "finetune.flip=auto",
    *VIEWS,
]
SMALL = ["data.frames=4", "data.stride=1", "data.size=32", "data.workers=0", "model.size=debug", "model.patch=8"]
PRETRAIN = [*SMALL, "pretrain.steps=1", "pretrain.warmup=0", "pretrain.batch=4", "pretrain.micro_batch=null"]


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    """Two surveillance clips of each class, in folders for training and testing."""
    root = tmp_path_factory.mktemp("real")
    for split, chosen in (("train", slice(0, 2)), ("test", slice(2, 3))):
        for kind in ("fight", "noFight"):
            (root / split / kind).mkdir(parents=True)
            for file in sorted((shared_data / "surv_fights" / kind).glob("*.mp4"))[chosen]:
                (root / split / kind / file.name).symlink_to(file)
    return root


def run(command: str, data: Path, more: list[str], out: Path, *, start: Path | None = None) -> Path:
    """Run a command of the page with further settings; returns its folder."""
    words = {"SET": str(data), "SSV2": str(data), "RUN": str(start)}
    arguments = [words.get(word, word) for word in shlex.split(command)[1:]]
    done = CliRunner().invoke(app, [*arguments, *more, "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return out


@slow
@pytest.mark.parametrize(
    ("system", "command"), [(name, one) for name, found in SUPERVISED.items() for one in found if "none" in one]
)
def test_a_supervised_system_starts(system, command, real, tmp_path):
    run(command, real, ["data.frames=8", "data.stride=2", "data.size=64", *SHORT], tmp_path / "run")
    assert (tmp_path / "run" / "evaluation.json").is_file()


@slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_network_starts_by_its_name(name, real, tmp_path):
    """Without a recipe and without a rate: `mgm finetune none SET --model NAME`."""
    clips = ["data.frames=8", "data.stride=2", "data.size=64"]
    run(f"mgm finetune none SET --model {name}", real, [*clips, *SHORT], tmp_path / "run")


def files(system, folder):
    """Settings with the files that a system needs, of random weights."""
    if system == "MAM2":
        return [f"model.tokenizer={write_vqgan(folder / 'vqgan.ckpt', vqgan(codes=16).state_dict())}"]
    if system == "BEVT":
        return [f"model.tokenizer={write_dvae(folder / 'encoder.pkl', dvae())}"]
    return ["model.decoder_dim=16"] if system == "STMAE" else []


def small_swin(options):
    return VideoSwin(SWIN_SIZES["debug"], **options.given("classes", "labels", "frames", "size"))


@slow
@pytest.mark.parametrize("system", PRETRAINED)
def test_a_self_supervised_system_starts_and_is_fine_tuned(system, real, tmp_path, monkeypatch):
    for name in ("video-swin-b-k400", "video-swin-b-ssv2"):
        monkeypatch.setitem(NETWORKS, name, replace(NETWORKS[name], build=small_swin))
    made = None
    for number, command in enumerate(PRETRAINED[system]):
        out = tmp_path / str(number)
        if command.startswith("mgm pretrain"):
            needs = files(system, tmp_path)
            if "PICTURES" in command:
                (tmp_path / "pictures").mkdir()
                for index in range(8):
                    Image.new("RGB", (48, 40), (30 * index, 90, 10)).save(tmp_path / "pictures" / f"{index}.png")
                command = command.replace("VIDEOS", str(real)).replace("PICTURES", str(tmp_path / "pictures"))
            command = re.sub(r" model\.tokenizer=\S+", "", command)
            made = run(command, real, [*PRETRAIN, *needs], out)
        elif "RUN" in command:
            assert made is not None
            clips = ["data.frames=4", "data.stride=1", "data.size=32"] if "--recipe" in command else []
            run(command, real, [*clips, *SHORT], out, start=made)


@slow
@pytest.mark.parametrize(("row", "setting"), ABLATIONS)
def test_an_ablation_starts(row, setting, real, tmp_path):
    command = (
        f"mgm pretrain SSV2 {setting}"
        if "--recipe" in setting
        else f"mgm pretrain SSV2 --recipe ablation-vitb-ssv2 {setting}"
    )
    command = re.sub(r" pretrain\.epochs=\d+", "", command)  # the length is that of `PRETRAIN`
    more = list(PRETRAIN)
    if "raft" in setting:
        torch.manual_seed(0)
        torch.save(Raft().state_dict(), tmp_path / "raft.pth")
        more.append(f"data.raft_weights={tmp_path / 'raft.pth'}")
        more[more.index("data.size=32")] = "data.size=64"
    run(command, real, more, tmp_path / "run")


@slow
@pytest.mark.parametrize("command", BESIDE["CoViAR's motion stream"][:1] + BESIDE["MaskFeat"][:1])
def test_systems_beside_the_tables_start(command, real, tmp_path):
    kind = [*PRETRAIN] if "pretrain" in command else ["data.frames=8", "data.size=64", *SHORT]
    run(command, real, kind, tmp_path / "run")
