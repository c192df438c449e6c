"""Every code block of the pages is run by a test, or has a reason here why not; those that are not run are still parsed."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

import mgm
from mgm.training import list_recipes
from tests.commands.typed import parse
from tests.docs.test_pages import PAGES
from tests.markdown import blocks

TESTS = Path(__file__).parents[1]
COMMAND = re.compile(r"^(?:\$ )?(?:torchrun .* --no-python )?mgm |^sbatch examples/slurm\.sh ")
SETTING = re.compile(r"^(?:(?:data|model|mask|pretrain|finetune|probe|log)\.[a-z_.]+|seed)=")

IN_ORDER = "docs/test_in_order.py"
RUN_BY = {
    "README.md": {"import mgm, numpy as np": "docs/test_pages.py"},
    "adding-a-mask.md": {"from dataclasses": "masks/test_catalog.py"},
    "checkpoints.md": {"": "docs/test_checkpoints.py"},
    "data.md": {"# set.yaml": __file__, "summary = mgm.data.summarise_set": __file__},
    "figures.md": {"": IN_ORDER},
    "gpu.md": {"import torch": "models/test_waits.py"},
    "guide.md": {
        "mgm ": IN_ORDER,
        "import mgm": __file__,
        "from torch.utils.data": __file__,
        "import numpy": __file__,
    },
    "launch.md": {"torchrun": "docs/test_launch.py", "sbatch": "docs/test_launch.py"},
    "loading.md": {"from mgm.data.loading.loader": "docs/test_loading.py"},
    "masks.md": {"import mgm": "docs/test_masks.py"},
    "models.md": {"": "docs/test_models.py"},
    "motion.md": {"": "docs/test_motion.py"},
    "recipes.md": {"base: mgm-vitb-ssv2": __file__},
    "runs.md": {"mgm report": IN_ORDER},
    "training.md": {"mgm pretrain": IN_ORDER},
    "transforms.md": {"import mgm": "docs/test_motion.py"},
}
"""page -> beginning of a block -> the file that runs it; "" is every block of the page."""
OUTPUT = "output, not input"
NOT_RUN = {
    "README.md": {"make demo": "minutes; CI runs both", "pip install": "installs packages"},
    "data.md": {
        "mgm data show": "names lists of others' sets; tests/data/annotations runs each form",
        "$ mgm data show": "needs the real clips",
        "surv_fights/": OUTPUT,
        "mgm pretrain data=": "needs pictures; tests/training/test_sets.py runs the form",
    },
    "evidence.md": {"python experiments/": "hours; tests/experiments runs it small"},
    "evidence-tables.md": {"python experiments/": "hours; tests/experiments runs it small"},
    "explore.md": {"pip install": "serves until Ctrl-C; tests/explore runs it"},
    "guide.md": {"$ mgm prepare": "its output depends on the machine; tests/commands/test_prepare.py runs the form"},
    "launch.md": {"mgm: runs/one": OUTPUT},
    "loading.md": {
        "mgm: runs/a": OUTPUT,
        "videos/g001": OUTPUT,
        "$ mgm pack": "needs the real clips",
        "mgm pretrain shards/": "days on GPUs, and a bucket",
        "$ mgm bench data": "needs the real clips",
    },
    "recipes.md": {
        "mgm bench data": "needs a set of that size",
        "mgm pretrain k400/": "days on GPUs, and Kinetics-400",
        "mgm finetune runs/k400": "hours on GPUs, and UCF101; tests/evaluation/test_transfer.py runs the form",
    },
    "reproduce.md": {"torchrun": "days on GPUs, and Something-Something", "mgm results": "needs the runs above"},
    "runs.md": {
        "mgm doctor  ": "the second line needs a GPU; tests/commands/test_doctor.py runs the forms",
        "368 videos": OUTPUT,
        "mgm doctor replay": "needs a run that stopped; tests/training/test_replay.py makes one",
    },
    "systems.md": {"mgm models": "needs weights to download; tests/training/test_networks.py runs the forms"},
    "transforms.md": {"dense, stride 4": "a drawing"},
}
"""page -> beginning of a block -> the reason why it is not run."""


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


BLOCKS = [
    Block(page.name, *found)
    for page in PAGES
    if page.name != "CHANGELOG.md"
    for found in blocks(page.read_text(encoding="utf-8"))
]


def entry(block: Block, table: dict[str, dict[str, str]]) -> str | None:
    """The beginning in `table` that stands for a block: the longest that fits."""
    fitting = [start for start in table.get(block.page, {}) if block.text.startswith(start)]
    return max(fitting, key=len) if fitting else None


def commands(block: Block) -> list[list[str]]:
    """The words after `mgm` of each command of a block."""
    if block.language not in ("", "bash"):
        return []
    lines = [line for line in block.text.splitlines() if COMMAND.match(line)]
    return [shlex.split(COMMAND.sub("", line), comments=True) for line in lines]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}-{block.text[:24]!r}")
def test_a_block_is_run_or_has_a_reason(block: Block) -> None:
    run, not_run = entry(block, RUN_BY), entry(block, NOT_RUN)
    assert run is not None or not_run is not None, "run this block in a test, or say in NOT_RUN why not"
    if run is not None and (not_run is None or len(run) > len(not_run)):
        file = TESTS / RUN_BY[block.page][run]
        assert Path(block.page).stem in file.read_text(encoding="utf-8"), f"{file} does not read {block.page}"


def test_no_entry_is_left_over() -> None:
    for table in (RUN_BY, NOT_RUN):
        for page, starts in table.items():
            for start in starts:
                assert any(b.page == page and b.text.startswith(start) for b in BLOCKS), f"{page}: {start!r}"


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if commands(b)], ids=lambda block: f"{block.page}-{block.text[:24]!r}"
)
def test_commands_parse_and_their_settings_are_valid(block: Block) -> None:
    for words in commands(block):
        parse(words)
        recipe = words[words.index("--recipe") + 1] if "--recipe" in words else "mgm-vitb-k400"
        settings = [word for word in words if SETTING.match(word)]
        mgm.load_config(recipe if recipe in list_recipes() else "mgm-vitb-k400", settings)


def python_of(page: str, start: str) -> str:
    (code,) = (b.text for b in BLOCKS if b.page == page and b.language == "python" and b.text.startswith(start))
    return code


def test_a_set_is_described_in_a_file(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = (b.text for b in BLOCKS if b.page == "data.md" and b.language == "yaml")
    videos = [str(path.relative_to(tiny_set)) for path in sorted(tiny_set.rglob("*.mp4"))]
    classes = sorted({Path(path).parent.name for path in videos})
    described = yaml.safe_load(text)
    for name in [*described["train"], described["test"]]:
        lines = [
            f"{path} {classes.index(Path(path).parent.name)}\n" for path in videos if "test" in path or "k400" in name
        ]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("".join(lines))
    (tmp_path / described["classes"]).write_text("\n".join(classes))
    (tmp_path / "set.yaml").write_text(text.replace("/videos", str(tiny_set)))
    monkeypatch.chdir(tmp_path)
    found = mgm.load_set("set.yaml")
    assert found.classes == tuple(classes)
    assert len(found.test) == len(videos)


def test_a_set_is_summarised(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = python_of("data.md", "summary").replace("/videos", str(tiny_set)).partition("mgm.pretrain(")[0]
    for split in ("train", "test"):
        lines = [f"{p.relative_to(tiny_set)},{p.parent.name}\n" for p in sorted((tiny_set / split).rglob("*.mp4"))]
        (tmp_path / {"train": "train.csv", "test": "val.csv"}[split]).write_text("path,label\n" + "".join(lines))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"mgm": mgm}
    exec(compile(code, "docs/data.md", "exec"), names)
    assert not names["summary"].missing  # type: ignore[attr-defined]
    assert len(names["videos"].train) == 16  # type: ignore[attr-defined]


def test_masks_fit_other_training_code(tiny_set: Path) -> None:
    import torch

    given: list[torch.Tensor] = []

    class Clips(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> dict:
            clip = mgm.read_clip(path, frames=16, stride=4, size=224)
            return {"pixel_values": torch.zeros(1), "motion": clip.motion}

    class Output(NamedTuple):
        loss: float

    def model(pixel_values: torch.Tensor, bool_masked_pos: torch.Tensor) -> Output:
        given.append(bool_masked_pos)
        return Output(0.0)

    path = sorted(tiny_set.rglob("*.mp4"))[0]
    names = {"path": path, "seed": 0, "epoch": 0, "index": 0, "model": model, "torch": torch, "mgm": mgm}
    names |= {"pixel_values": None, "my_clips": Clips()}
    for start in ("import mgm", "from torch.utils.data"):
        code = python_of("guide.md", start).replace("num_workers=4", "num_workers=0")
        exec(compile(code, "docs/guide.md", "exec"), names)
    assert [mask.shape for mask in given] == [(1, 1568), (8, 1568)]
    assert all(mask.sum(dim=1).eq(1176).all() for mask in given)


def test_similar_videos_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "features.npz", features=[[1, 0], [0, 3], [5, 1]], path=["a.mp4", "b.mp4", "c.mp4"])
    monkeypatch.chdir(tmp_path)
    exec(compile(python_of("guide.md", "import numpy"), "docs/guide.md", "exec"), {})
    assert capsys.readouterr().out.split() == ["['a.mp4'", "'c.mp4'", "'b.mp4']"]


def test_a_recipe_has_a_base(tmp_path: Path) -> None:
    (text,) = (b.text for b in BLOCKS if b.page == "recipes.md" and b.language == "yaml")
    (tmp_path / "mine.yaml").write_text(text)
    mine, base = mgm.load_config(tmp_path / "mine.yaml"), mgm.load_config("mgm-vitb-ssv2")
    assert mine.pretrain.batch == 512
    assert mine.data == base.data
