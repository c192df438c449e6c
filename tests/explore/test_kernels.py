"""The explorer prints its address before it compiles anything, and compiles while it answers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra explore is not installed")

from mgm.explore.explorer import Explorer
from mgm.explore.library import Library, list_folder
from mgm.explore.server import create_app
from tests.explore.visitors import TOKEN, Visitor, client_of

SERVE = """
import sys
from pathlib import Path
from mgm.explore.serve import explore

def announce(address):
    assert address.startswith("http://127.0.0.1:"), address
    assert not [*Path(sys.argv[2]).rglob("*.nb?")], "compiled before"
    raise KeyboardInterrupt  # the visitor leaves

if __name__ == "__main__":
    try:
        explore(sys.argv[1], open_browser=False, announce=announce)
    except KeyboardInterrupt:
        print("announced")
"""
COMPILE = """
import sys
from pathlib import Path
from mgm.explore.kernels import KernelLoader

if __name__ == "__main__":
    with KernelLoader() as kernels:
        kernels.start()
        kernels.wait()
        assert not kernels.compiling
    assert [*Path(sys.argv[1]).rglob("*.nbc")]
    with KernelLoader() as again:
        again.start()
        again.wait()
"""


def run(place: Path, code: str, *words: object, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with a cache of its own."""
    program = place / "program.py"
    program.write_text(code)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(program), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_the_address_is_printed_before_anything_is_compiled(tmp_path, folder):
    cache = tmp_path / "cache"
    cache.mkdir()
    assert run(tmp_path, SERVE, folder, cache, cache=cache).stdout.strip() == "announced"


@pytest.mark.slow
def test_loops_are_compiled_once_in_another_process_and_kept(tmp_path):
    said = run(tmp_path, COMPILE, tmp_path / "cache", cache=tmp_path / "cache").stderr
    assert said.count("compiling loops") == 1
    assert said.count("the loops are compiled") == 1


@pytest.mark.slow
def test_an_interrupt_ends_the_compilation(tmp_path, folder):
    words = [sys.executable, "-c", "from mgm.commands.main import run; run()", "explore", str(folder), "--no-browser"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as process:
        assert process.stderr is not None
        assert any("compiling loops" in line for line in process.stderr)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all processes
        said = process.stderr.read()
        assert process.wait(60) == 0
    assert "the explorer has ended" in said
    assert "Traceback" not in said
    assert "the loops are compiled" not in said


class Delayed:
    """Kernels that are being compiled."""

    compiling = True


def test_the_page_is_told_why_pictures_take_longer(folder, reader, tmp_path):
    library = Library(list_folder(folder), inside=folder, scratch=tmp_path)
    explorer = Explorer(library, reader, kernels=Delayed())
    visitor = Visitor(client_of(create_app(explorer, token=TOKEN)))
    clip = {"video": "slow.mp4", "clip": {"frames": 4, "stride": 1}}
    mask = {**clip, "masks": [{"name": "tube", "ratio": 0.5}], "seed": 0}

    def told() -> list[str | None]:
        return [
            visitor.post(route, body).json()["delay"]
            for route, body in (("start", {}), ("clip", clip), ("masks", mask))
        ]

    assert told() == ["compiling"] * 3
    explorer.kernels = None
    assert told() == [None] * 3
