"""The commands of the guide, the README and other pages work in their order, typed by a user in a folder with videos."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mgm.data.synthetic.known_motion import make_translation
from tests.markdown import blocks_in

PAGES = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from mgm.commands.main import run; run()"]
LESS = {
    "preview": ["--draws=2"],
    "pretrain": ["pretrain.steps=2", "pretrain.warmup=1", "finetune.steps=2", "finetune.warmup=1", "probe.steps=2"],
    "finetune": ["finetune.steps=2", "finetune.warmup=1", "finetune.batch=8", "probe.temporal_views=1"],
}
TYPED = re.compile(
    r"mgm (?!demo|explore)"
)  # which have their own tests: one takes minutes, the other serves until Ctrl-C
PLACES = {"SET": "videos/", "DIR": "videos/", "SRC": "videos/", "DST": "made", "SHARDS": "shards", "VIDEO": "video.mp4"}


def of_the_guide() -> list[str]:
    page = (PAGES / "docs" / "guide.md").read_text(encoding="utf-8")
    inline = re.findall(r"`(mgm (?:bench data|pack|pretrain) [^`]*/[^`]*)`", page)
    return [line for line in "".join(blocks_in(page, "")).splitlines() if TYPED.match(line)] + inline


def of_the_readme() -> list[str]:
    page = (PAGES / "README.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `mgm ")]
    lines = [re.sub(r"\[[^]]*\]", "", line) for cell in cells for line in re.findall(r"`(mgm [^`]*)`", cell)]
    return [shlex.join(PLACES.get(word, word) for word in line.split()) for line in lines if TYPED.match(line)]


def of_a_page(name: str) -> list[str]:
    """The blocks of commands of a page that is about runs, after these runs."""
    page = (PAGES / "docs" / name).read_text(encoding="utf-8")
    lines = [line for line in "".join(blocks_in(page, "")).splitlines() if TYPED.match(line) and " doctor" not in line]
    runs = sorted(set(re.findall(r"\bruns/[abc]\b", "\n".join(lines))))
    return [*(f"mgm pretrain videos/ --recipe debug --out {run}" for run in runs), *lines]


def shortened(words: list[str]) -> list[str]:
    """The words with fewer steps; lengths that a page names stay different."""
    if any(word.startswith("pretrain.schedule=") for word in words):
        few = re.compile(r"pretrain\.steps=(\d)00")
        return [few.sub(r"pretrain.steps=\1", word) for word in words] + ["pretrain.warmup=0"]
    return [*words, *LESS.get(words[0], ())]


PAGES_ABOUT_RUNS = ["figures.md", "runs.md", "training.md"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "commands",
    [of_the_guide(), of_the_readme(), *map(of_a_page, PAGES_ABOUT_RUNS)],
    ids=["guide", "README", *PAGES_ABOUT_RUNS],
)
def test_the_commands_work_in_order(tiny_set: Path, tmp_path: Path, commands: list[str]) -> None:
    assert len(commands) > 1
    for name in ("videos", "ucf101"):
        shutil.copytree(tiny_set, tmp_path / name)
    make_translation(tmp_path / "video.mp4", velocity=(2, 0), frames=32, size=(64, 96))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for line in commands:
        _, *words = shlex.split(line, comments=True)
        command = [*PROGRAM, *shortened(words)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stderr.startswith("mgm: ")
        assert "\nnext: " in done.stderr
