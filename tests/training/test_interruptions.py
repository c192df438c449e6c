"""A run that is stopped at random moments, by signals, ends with the weights of one that was not: one process, and two.

`experiments/interruptions/run.py` stops one at chosen system calls.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mgm.training import load_checkpoint
from mgm.training.signals import STOPPED_STATUS
from tests.training.helpers import checkpoint_steps, flip_bit, newest, numbered_videos, read_log, same_weights
from tests.training.test_ranks import TOGETHER

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")]

STEPS, TOGETHER_STEPS = 60, 240
PATIENCE_SECONDS = 1800
"""For a hang alone: on a shared core two processes need minutes to import torch."""
KILLS = [signal.SIGKILL] * 10 + [signal.SIGTERM] * 5 + [signal.SIGUSR1] * 3


def in_child(block):
    """Run a block in a fork; returns the process."""
    child = os.fork()
    if not child:
        status = 1
        try:
            block()
            status = 0
        except SystemExit as ended:
            status = ended.code
        finally:
            os._exit(status)
    return child


def test_stops_at_random_moments(run, small):
    """Ten times SIGKILL, five times SIGTERM, three times SIGUSR1, each a random time after the run began or continued."""
    config = small(f"pretrain.steps={STEPS}", "pretrain.checkpoint_every=3", "pretrain.ema=0.9")
    began = time.monotonic()
    whole = run(config, "whole")
    seconds = time.monotonic() - began
    rng = random.Random(0)
    out = whole.out.parent / "run"
    ends = []
    for number in rng.sample(KILLS, len(KILLS)):
        child = in_child(lambda: run(config, resume="auto"))
        time.sleep(rng.uniform(0, seconds / 6))
        os.kill(child, number)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        # A request ends a run that has not begun to train as it ends any program.
        assert status in (0, STOPPED_STATUS, -number), number
        ends.append(status)
    assert -signal.SIGKILL in ends
    resumed = run(config, resume="auto")
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)
    assert [entry["step"] for entry in read_log(out)] == list(range(STEPS))
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
@pytest.mark.parametrize("name", ["state.pt", "weights.safetensors"])
def test_a_damaged_newest_checkpoint_in_the_middle_of_a_run(run, small, capsys, damage, name):
    config = small("pretrain.steps=12", "pretrain.checkpoint_every=3")
    whole = run(config, "whole")
    out = whole.out.parent / "run"

    def stop(line):
        if line.startswith("step 8 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, progress=stop)
    file = newest(out) / name
    if damage == "flipped":
        flip_bit(file, random.Random(0).random())
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    capsys.readouterr()
    resumed = run(config, resume="auto")
    printed = capsys.readouterr().out
    assert str(file) in printed
    assert "step-00000006 is used" in printed
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


# Two processes under torchrun.


@pytest.fixture(scope="module")
def folder(tiny_set, tmp_path_factory):
    return numbered_videos(tiny_set, tmp_path_factory.mktemp("videos"))


PROGRAM = """
import time

import torch

from mgm.commands.main import run
from mgm.training.log import StepLog

write = StepLog.write


def write_slowly(*arguments, **named):
    # A step of this size ends within milliseconds: the stops would meet a run that is over.
    time.sleep(0.05)
    return write(*arguments, **named)


StepLog.write = write_slowly
torch.set_num_threads(1)
run()
"""


def begin(folder, out):
    """Start or continue a run of two processes."""
    settings = [f"pretrain.steps={TOGETHER_STEPS}", "pretrain.checkpoint_every=3", "pretrain.batch=4",
                "pretrain.warmup=1", "data.frames=4", "data.size=32", "data.memory=false", "data.workers=0",
                "data.motion=codec"]  # fmt: skip
    script = out.parent / "program.py"
    script.write_text(PROGRAM)
    command = [*TOGETHER, str(script), "pretrain", str(folder), "--out", str(out), "--resume", "auto", *settings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def process_of(launcher, rank):
    """The process number of a rank."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"PPid:\t{launcher.pid}\n" in (place / "status").read_text()
            if mine and f"RANK={rank}".encode() in (place / "environ").read_bytes().split(b"\0"):
                return int(place.name)
        except OSError:
            continue
    return None


def last_step(out):
    return max(checkpoint_steps(out), default=0)


def next_checkpoint(launcher, out, before):
    """The last step of the newest checkpoint, once there is one after step `before`."""
    for _ in range(10 * PATIENCE_SECONDS):
        if (step := last_step(out)) > before:
            return step
        assert launcher.poll() is None, launcher.communicate()[0]
        time.sleep(0.1)
    raise AssertionError(f"no checkpoint after step {before}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_two_processes_stopped_at_random_moments(folder, tmp_path):
    """The same eighteen stops, each after at least one more checkpoint: of either process, a request also of the launcher."""
    whole = begin(folder, tmp_path / "whole")
    printed = whole.communicate(timeout=PATIENCE_SECONDS)[0]
    assert whole.returncode == 0, printed
    out, rng = tmp_path / "run", random.Random(0)
    for number in rng.sample(KILLS, len(KILLS)):
        before = last_step(out)
        launcher = begin(folder, out)
        step = next_checkpoint(launcher, out, before)
        rank = rng.choice((0, 1, None) if number is signal.SIGTERM else (0, 1))
        time.sleep(rng.uniform(0, 0.3))
        os.kill(launcher.pid if rank is None else process_of(launcher, rank), number)
        printed, _ = launcher.communicate(timeout=PATIENCE_SECONDS)
        print(
            f"{signal.Signals(number).name} to {'the launcher' if rank is None else f'process {rank}'} after step {step}"
        )
        assert launcher.returncode != 0
        if number is signal.SIGKILL:
            assert f"process {rank} of 2 has ended in step" in printed
            assert "continue with the same command and --resume auto" in printed
        else:
            assert "saved after step" in printed
    last = begin(folder, out)
    printed = last.communicate(timeout=PATIENCE_SECONDS)[0]
    assert last.returncode == 0, printed
    first, second = load_checkpoint(tmp_path / "whole"), load_checkpoint(out)
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])
    losses = [[entry["loss"] for entry in read_log(place)] for place in (tmp_path / "whole", out)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == TOGETHER_STEPS
