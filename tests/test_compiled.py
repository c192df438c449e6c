"""Compiled loops run wherever the package does: also where nothing can be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mgm

LOOP = """
from mgm.compiled import compiled

@compiled()
def double(x):
    return 2 * x
"""


def run(folder: Path, code: str, **environment: str) -> None:
    """Run code beside a module with a compiled loop, without an inherited cache."""
    (folder / "loop.py").write_text(LOOP)
    paths = os.pathsep.join([str(folder), *sys.path])
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", code], env={**kept, "PYTHONPATH": paths, **environment}, check=True)


def test_without_a_folder_to_write_they_are_compiled_in_memory(tmp_path):
    (tmp_path / "__pycache__").write_text("in the way")
    nowhere = str(tmp_path / "__pycache__" / "x")
    run(tmp_path, "import loop; assert loop.double(21) == 42", HOME=nowhere, XDG_CACHE_HOME=nowhere)


@pytest.mark.parametrize("moment", ["before the code is kept", "before it is read"])
def test_a_cache_that_vanishes_is_not_missed(tmp_path, moment):
    cache = tmp_path / "cache"
    in_the_way = f"import shutil; shutil.rmtree({str(cache)!r}); open({str(cache)!r}, 'w').close();"
    before, after = (in_the_way, "") if moment.endswith("kept") else ("", in_the_way)
    code = f"import loop; {before} assert loop.double(21) == 42; {after} assert loop.double(1.5) == 3"
    run(tmp_path, code, NUMBA_CACHE_DIR=str(cache))


def test_no_loop_is_compiled_another_way():
    sources = Path(mgm.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "njit" in path.read_text(encoding="utf-8")] == ["compiled.py"]


def test_the_wait_is_announced_once_and_they_are_kept(tmp_path):
    code = (
        "from mgm.waits import announce_compilation\n"
        "said = []\n"
        "announce_compilation(lambda: said.append(1))\n"
        "import loop; loop.double(1); loop.double(1.5)\n"
        "assert len(said) == {times}, said\n"
        "assert bool(loop.double.stats.cache_hits) == {kept}"
    )
    run(tmp_path, code.format(times=1, kept=False), NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    run(tmp_path, code.format(times=0, kept=True), NUMBA_CACHE_DIR=str(tmp_path / "cache"))
