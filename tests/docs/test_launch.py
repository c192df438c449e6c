"""The commands of docs/launch.md work word for word: on one machine, on two simulated ones, and under a simulated SLURM."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mgm.training import load_checkpoint
from mgm.training.folder import checkpoint_folders
from mgm.training.pretrain import pretrain
from mgm.training.recipe import load_config
from mgm.training.signals import STOPPED_STATUS
from tests.markdown import blocks_in

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "launch.md").read_text(encoding="utf-8")
ONE, TWO, SLURM = (text.removesuffix("\n") for text in blocks_in(PAGE, ""))
LESS = "pretrain.steps=60 pretrain.warmup=1 pretrain.batch=4 pretrain.checkpoint_every=3 data.workers=1 data.frames=4 data.size=32"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="commands of a POSIX shell")]

# One task per process: sets the variables of SLURM, passes signals on, ends all if one fails, and returns the largest status.
SRUN = """
import os, signal, subprocess, sys, time
assert sys.argv[1] == "--kill-on-bad-exit=1"
tasks = []
for rank in range(int(os.environ["SLURM_NTASKS"])):
    mine = {"SLURM_STEP_ID": "0", "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank), "SLURM_LOCALID": "0"}
    tasks.append(subprocess.Popen(sys.argv[2:], env=os.environ | mine))
signal.signal(signal.SIGUSR1, lambda *_: [task.send_signal(signal.SIGUSR1) for task in tasks])
open("srun.pid", "w").write(str(os.getpid()))
while any(task.poll() is None for task in tasks):
    if any(task.poll() for task in tasks):
        time.sleep(5)
        [task.kill() for task in tasks]
    time.sleep(0.1)
sys.exit(max(status if status >= 0 else 128 - status for status in (task.returncode for task in tasks)))
"""
SCONTROL = "import sys; open('requeued', 'a').write(' '.join(sys.argv[1:]) + chr(10))"


@pytest.fixture
def desk(tiny_set, tmp_path):
    """A working directory with `videos/`, and the commands on the path."""
    shutil.copytree(tiny_set, tmp_path / "videos")
    commands = tmp_path / "bin"
    commands.mkdir()
    programs = {
        "mgm": "from mgm.commands.main import run; run()",
        "torchrun": "from torch.distributed.run import main; main()",
        "srun": SRUN,
        "scontrol": SCONTROL,
    }
    for name, program in programs.items():
        (commands / name).write_text(f"#!{sys.executable}\n{program}\n")
        (commands / name).chmod(0o755)
    return tmp_path


def environment(desk, **more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "MASTER_"))}
    return clean | {"PATH": f"{desk / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"} | more


def shell(desk, command, **more):
    return subprocess.Popen(
        ["bash", "-c", f"exec {command} {LESS}"],
        cwd=desk,
        env=environment(desk, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def weights(run):
    return load_checkpoint(run)["model"]


@pytest.fixture
def alone(desk):
    """The weights of one process."""
    config = load_config("debug", LESS.split())
    pretrain(desk / "videos", config, out=desk / "alone", show_progress=False)
    return weights(desk / "alone")


def check_close(found, expected):
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=0, atol=1e-5 * max(float(value.abs().max()), 1.0)), name


def test_one_machine(desk, alone):
    run = shell(desk, ONE)
    printed, _ = run.communicate(timeout=300)
    assert run.returncode == 0, printed
    assert load_checkpoint(desk / "runs" / "one")["data"]["ranks"] == 2
    check_close(weights(desk / "runs" / "one"), alone)


def test_two_machines_on_loopback(desk, alone):
    machines = [shell(desk, TWO, HOST="127.0.0.1") for _ in range(2)]
    printed = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], printed
    assert load_checkpoint(desk / "runs" / "two")["data"]["ranks"] == 2
    check_close(weights(desk / "runs" / "two"), alone)


def test_slurm_requeues_a_run_until_it_is_finished(desk, alone):
    """The simulated scheduler asks the job to end twice, and starts it again each time."""
    words = shlex.split(SLURM)
    assert words[0] == "sbatch"
    script, run = ROOT / words[1], desk / "runs" / "slurm"
    directives = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", script.read_text(), re.MULTILINE))
    assert (directives["nodes"], directives["signal"]) == ("2", "USR1@300")
    slurm = {"SLURM_JOB_ID": "4711", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NTASKS": "2",
             "SLURM_NODELIST": "127.0.0.1", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "mgm"}  # fmt: skip
    statuses = []
    for limit in (6, 21, None):
        job = shell(desk, shlex.join(["bash", str(script), *words[2:]]), **slurm)
        while limit is not None and not any(int(f.name[5:]) >= limit for f in checkpoint_folders(run)):
            assert job.poll() is None, job.communicate()[0]
            time.sleep(0.05)
        if limit is not None:
            os.kill(int((desk / "srun.pid").read_text()), signal.SIGUSR1)
        printed, _ = job.communicate(timeout=300)
        statuses.append(job.returncode)
        assert ("saved after step" in printed) == (limit is not None), printed
    assert statuses == [STOPPED_STATUS, STOPPED_STATUS, 0]
    assert (desk / "requeued").read_text().splitlines() == ["requeue 4711"] * 2
    assert load_checkpoint(run)["data"]["ranks"] == 2
    check_close(weights(run), alone)
    lines = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines == list(range(60))
