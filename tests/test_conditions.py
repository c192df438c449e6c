"""Tests pass in any order and in odd surroundings: as a job of a script, without a home, in another place of the world."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOME = [
    "files",
    "workers",
    "training/test_signals.py",
    "training/test_loop.py",
    "commands/test_scan.py",
    "test_compiled.py",
]
SURROUNDINGS = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TZ": "Asia/Kathmandu", "HOME": "/nonexistent"}


def _as_a_job() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_some_pass_anywhere() -> None:
    arguments = ["-q", "-p", "no:cacheprovider", "--shuffle", "7", "-m", "not slow"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *(str(HERE / name) for name in SOME)],
        env={**os.environ, **SURROUNDINGS},
        cwd=HERE.parent,
        preexec_fn=_as_a_job,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
