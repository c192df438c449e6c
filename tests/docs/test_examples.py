"""The scripts in examples/ run as a newcomer would run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("mask", ["mgm", "tube"])
def test_huggingface_pretraining(tiny_set: Path, mask: str) -> None:
    pytest.importorskip("transformers")
    arguments = ["--steps", "3", "--batch", "2", "--workers", "0", "--mask", mask]
    done = run("huggingface_pretraining.py", str(tiny_set / "test"), *arguments)

    assert done.returncode == 0, done.stderr
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in done.stdout.splitlines()]
    assert len(losses) == 3
    assert all(0 < loss < 10 for loss in losses)
    assert "384 of 512 tokens hidden" in done.stdout


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"huggingface_pretraining.py"}
