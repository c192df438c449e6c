"""Every command prints a line before it imports what takes seconds; its output suits any encoding of the terminal."""

import json
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


# Forks for each line of words, and answers with the first line that the command prints to standard error, or with the module of
# `SLOW` that it imports before. A start of Python and of typer for each command would take most of the time.
FORKS = """
import json, os, signal, sys
slow = set(json.loads(sys.argv[1]))
from mgm.commands.main import run
found = [name for name in slow & set(sys.modules)]
for words in sys.stdin:
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        os.dup2(theirs, 2)
        sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(os.devnull, "w"), open(2, "w", buffering=1)
        def watch(event, arguments):
            if event == "import" and arguments[0].partition(".")[0] in slow:
                os.write(2, f"imports {arguments[0]}\\n".encode())
        sys.addaudithook(watch)
        sys.argv = ["mgm", *json.loads(words)]
        run()
        os._exit(0)
    os.close(theirs)
    with open(ours, errors="replace") as printed:
        line = printed.readline()
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(json.dumps([found, line]), flush=True)
"""


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    """A process that has loaded the command line alone, in an empty folder."""
    command = [sys.executable, "-c", FORKS, json.dumps(sorted(SLOW))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path_factory.mktemp("empty")
    ) as process:
        yield process
        process.stdin.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("name", CALLS)
def test_a_line_comes_before_slow_imports(name, forks):
    forks.stdin.write(json.dumps([*name.split(), *CALLS[name]]) + "\n")
    forks.stdin.flush()
    found, line = json.loads(forks.stdout.readline())
    assert found == [], "the command line itself imports them"
    assert line.startswith("mgm: ")
    assert "absent:" not in line, "the error is not the first line"


def test_every_command_is_called():
    assert {name.partition(" ")[0] for name in CALLS} == {command.__name__ for command in COMMANDS} | set(GROUPS)


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("latin-1", "utf-8"))]
)
def test_names_are_printed_in_any_encoding(tmp_path, encoding):
    for number, folder in enumerate(("é", "日本", "b")):
        make_translation(tmp_path / "v" / folder / f"{number}.mp4", velocity=(1, 0), frames=4, size=(32, 32))
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for words in (["data", "show", "v"], ["scan", "v", "--verbose"]):
        command = [sys.executable, "-c", RUN, *words]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
