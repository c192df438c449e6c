"""Every command prints a line before it imports what takes seconds; its output suits any encoding of the terminal."""

import os
import subprocess
import sys

import pytest

from mgm.commands.main import COMMANDS, GROUPS
from mgm.data.synthetic.known_motion import make_translation

RUN = "from mgm.commands.main import run; run()"
SLOW = {"torch", "numba", "av", "numpy", "PIL", "lightning_fabric", "cv2"}
CALLS = {
    "demo": ["--data", "absent", "--out", "demo"],
    "scan": ["absent"],
    "prepare": ["absent", "out"],
    "pack": ["absent", "out"],
    "motion": ["absent.mp4", "--out", "m.npz"],
    "preview": ["absent"],
    "explore": ["absent", "--no-browser"],
    "pretrain": ["absent"],
    "finetune": ["absent", "absent"],
    "probe": ["absent", "absent"],
    "evaluate": ["absent", "absent"],
    "compare": ["absent", "absent", "absent"],
    "results": ["absent"],
    "predict": ["absent", "absent"],
    "embed": ["absent", "absent"],
    "transfer": ["absent", "absent"],
    "saliency": ["absent"],
    "export": ["absent", "--to", "hf", "--out", "out"],
    "doctor": [],
    "report": ["absent"],
    "reconstruct": ["absent", "absent.mp4"],
    "attention": ["absent", "absent.mp4"],
    "figure": ["4", "absent.mp4"],
    "models": ["absent"],
    "bench data": ["absent"],
    "data show": ["absent"],
    "recipes show": ["absent"],
}


@pytest.mark.parametrize("name", CALLS)
def test_a_line_comes_before_slow_imports(name, tmp_path):
    command = [sys.executable, "-X", "importtime", "-c", RUN, *name.split(), *CALLS[name]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        imported = set()
        for line in process.stderr:
            if not line.startswith("import time:"):
                break
            imported.add(line.rpartition("|")[2].strip().partition(".")[0])
        process.kill()
    assert not imported & SLOW
    assert line.startswith("mgm: ")
    assert "absent:" not in line, "the error is not the first line"


def test_every_command_is_called():
    assert {name.partition(" ")[0] for name in CALLS} == {command.__name__ for command in COMMANDS} | set(GROUPS)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_are_printed_in_any_encoding(tmp_path, encoding):
    for number, folder in enumerate(("é", "日本", "b")):
        make_translation(tmp_path / "v" / folder / f"{number}.mp4", velocity=(1, 0), frames=4, size=(32, 32))
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for words in (["data", "show", "v"], ["scan", "v", "--verbose"], ["motion", "v/é/0.mp4", "--out", "é.npz"]):
        command = [sys.executable, "-c", RUN, *words]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
