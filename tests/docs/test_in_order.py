"""The commands of the guide and of the README work in their order, typed by a user in a folder with videos."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mgm.data.synthetic.known_motion import make_translation

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
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`(mgm (?:bench data|pack|pretrain) [^`]*/[^`]*)`", page)
    return [line for line in "".join(blocks).splitlines() if TYPED.match(line)] + inline


def of_the_readme() -> list[str]:
    page = (PAGES / "README.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `mgm ")]
    lines = [re.sub(r"\[[^]]*\]", "", line) for cell in cells for line in re.findall(r"`(mgm [^`]*)`", cell)]
    return [shlex.join(PLACES.get(word, word) for word in line.split()) for line in lines if TYPED.match(line)]


@pytest.mark.slow
@pytest.mark.parametrize("commands", [of_the_guide(), of_the_readme()], ids=["guide", "README"])
def test_the_commands_work_in_order(tiny_set: Path, tmp_path: Path, commands: list[str]) -> None:
    assert len(commands) > 10
    for name in ("videos", "ucf101"):
        shutil.copytree(tiny_set, tmp_path / name)
    make_translation(tmp_path / "video.mp4", velocity=(2, 0), frames=32, size=(64, 96))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for line in commands:
        _, *words = shlex.split(line, comments=True)
        command = [*PROGRAM, *words, *LESS.get(words[0], ())]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stderr.startswith("mgm: ")
        assert "\nnext: " in done.stderr
