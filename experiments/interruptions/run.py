"""Kills, full disks, flipped bits and second runs: is a training run lost, or different, after any of them?

    python experiments/interruptions/run.py --kills 20 --seed 0

A tiny run of 12 steps with a checkpoint after every third is stopped after seven and resumed. It is killed (SIGKILL) at random
system calls on its folder, half of them while it resumes, half from its first checkpoint on. In other trials its disk is full from
one of its writes on, a bit of its checkpoint flips, or a second run starts in its folder. Each time it is then resumed without
trouble, and its weights, its losses and its log are compared with those of a run that nothing happened to. Needs Linux and strace.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from faults import DOCUMENTED_ERROR, FINISHED, WRITING, Call, calls_on, happened, run_forked

from mgm.data.synthetic.labelled import make_dataset
from mgm.errors import MgmError
from mgm.machine import machine, versions
from mgm.training import load_checkpoint, load_config
from mgm.training.folder import CHECKPOINTS, checkpoint_folders
from mgm.training.log import StepLog, StepRecord
from mgm.training.pretrain import pretrain

STEPS, STOPPED_AT = 12, 7
SETTINGS = ["data.frames=4", "data.size=32", "data.workers=0", "data.memory=false", "model.size=debug", "pretrain.batch=4",
            "pretrain.warmup=2", f"pretrain.steps={STEPS}", "pretrain.checkpoint_every=3"]  # fmt: skip


class Experiment:
    """A set of videos, the result of a run that nothing happened to, and a run that was stopped in the middle.

    folder: holds everything; the run that faults happen to is its sub-folder `run`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.videos, self.run = folder, folder / "videos", folder / "run"
        make_dataset(self.videos, train=8, test=8, frames=8, size=64, workers=1)
        assert self.traced(self.train, []) == FINISHED
        self.expected = self.result()
        shutil.rmtree(self.run)
        assert self.traced(self.train_half, []) == FINISHED
        self.run.rename(folder / "stopped")
        self.restore()
        assert self.traced(self.train, []) == FINISHED
        self.calls = calls_on(self.run, self.folder / "trace")

    def train(self) -> None:
        """Start or resume the run."""
        pretrain(self.videos, load_config("debug", SETTINGS), out=self.run, resume=True, show_progress=False)

    def train_half(self) -> None:
        """End the process without any farewell in the middle of the run."""
        write = StepLog.write

        def stopping(log: StepLog, record: StepRecord) -> None:
            if record.step == STOPPED_AT:
                os._exit(FINISHED)
            write(log, record)

        StepLog.write = stopping  # type: ignore
        self.train()

    def train_slowly(self) -> None:
        """Train with pauses in which other processes can start."""
        write = StepLog.write

        def pausing(log: StepLog, record: StepRecord) -> None:
            time.sleep(4)
            write(log, record)

        StepLog.write = pausing  # type: ignore
        self.train()

    def traced(self, block: Callable[[], None], options: list[str]) -> int:
        """Run a block in another process under strace; returns its exit status."""
        return run_forked(block, options, self.folder / "trace")

    def restore(self) -> None:
        """Put the stopped run into place."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.folder / "stopped", self.run)

    def result(self) -> tuple[str, list[float], list[int]]:
        """The finished run: a digest of its weights, its losses and the steps of its log."""
        digest = hashlib.sha256()
        for value in load_checkpoint(self.run)["model"].values():
            digest.update(value.numpy().tobytes())
        entries = [json.loads(line) for line in (self.run / "log.jsonl").read_text().splitlines()]
        return digest.hexdigest(), [entry["loss"] for entry in entries], [entry["step"] for entry in entries]

    def recovers(self) -> str:
        """Resume in peace; returns "the same" or what differs."""
        if self.traced(self.train, []) != FINISHED:
            return "resume refused"
        found = self.result()
        names = ("weights", "losses", "log")
        return ", ".join(n for n, a, b in zip(names, found, self.expected, strict=True) if a != b) or "the same"

    def fault(self, options: list[str]) -> str:
        """Resume the stopped run with a fault, then in peace: how the first ended, and whether the second is the same."""
        self.restore()
        status = self.traced(self.train, options)
        ending = {FINISHED: "finished", DOCUMENTED_ERROR: "error", -9: "killed"}.get(status, f"status {status}")
        if status == FINISHED and not happened(self.folder / "trace"):  # some runs write once less than the traced one
            ending = "ended before it"
        return f"{ending}; then {self.recovers()}"

    def kills(self, count: int, rng: random.Random) -> Counter[str]:
        """SIGKILL at random calls, half while the run resumes, half from its first checkpoint on."""
        saving = next(number for number, call in enumerate(self.calls) if CHECKPOINTS in call.text)
        chosen = _spread(self.calls[:saving], count // 2, rng) + _spread(self.calls[saving:], count - count // 2, rng)
        return Counter(_told(call, self.fault(call.kill())) for call in chosen)

    def full_disks(self, every: int) -> Counter[str]:
        """A full disk from a write on: every one outside of checkpoints, every nth within."""
        writes = [call for call in self.calls if call.name in WRITING]
        small = [call for call in writes if CHECKPOINTS not in call.text]
        large = [call for call in writes if CHECKPOINTS in call.text][::every]
        return Counter(_told(call, self.fault(call.fill_disk())) for call in small + large)

    def flips(self, count: int, rng: random.Random) -> Counter[str]:
        """One flipped bit of the newest checkpoint: is it found when it is loaded, and every tenth time, does the run go on?"""
        found: Counter[str] = Counter()
        for number in range(count):
            self.restore()
            file = checkpoint_folders(self.run)[0] / ("state.pt" if number % 2 else "weights.safetensors")
            content = bytearray(file.read_bytes())
            bit = rng.randrange(8 * len(content))
            content[bit // 8] ^= 1 << bit % 8
            file.write_bytes(content)
            try:
                load_checkpoint(self.run)
                found["loaded"] += 1
            except MgmError:
                found["found"] += 1
            if number % 10 == 0:
                found[f"resumed: {self.recovers()}"] += 1
        return found

    def second_runs(self) -> Iterator[str]:
        """A new, a resumed and a fine-tuning run in the folder of one that trains: how soon each is refused; the first's result."""
        self.restore()
        child = os.fork()
        if not child:
            self.train_slowly()
            os._exit(FINISHED)
        while not (self.run / ".mgm.lock").exists():
            time.sleep(0.1)
        program = [sys.executable, "-c", "from mgm.commands.main import run; run()"]
        for words in (["pretrain"], ["pretrain", "--resume", "auto"], ["finetune", str(self.folder / "stopped")]):
            started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            second = subprocess.run(
                [*program, *words, str(self.videos), "--out", str(self.run)],
                capture_output=True,
                text=True,
                check=False,
            )
            seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            named = "names" if f"process {child} " in second.stderr else "DOES NOT NAME"
            kind = f"{words[0]} {'--resume' if '--resume' in words else ''}".strip()
            yield f"{kind}: status {second.returncode}, {named} the process, after {seconds:.1f} s, {used:.2f} s of the processor"
        os.waitpid(child, 0)
        yield f"the first: {'the same' if self.result() == self.expected else 'DIFFERENT'}"


def _spread(calls: Sequence[Call], count: int, rng: random.Random) -> list[Call]:
    """Random calls, as many of each name as there are."""
    of_name: Counter[str] = Counter()
    order = {}
    for call in rng.sample(calls, len(calls)):
        order[call] = of_name[call.name]
        of_name[call.name] += 1
    return sorted(order, key=order.__getitem__)[:count]


def _told(call: Call, outcome: str) -> str:
    print(f"    {call.name} {call.number}: {outcome}", flush=True)
    return outcome


def _show(title: str, outcomes: Counter[str]) -> None:
    print(title)
    for outcome, count in outcomes.most_common():
        print(f"  {count:4} {outcome}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--flips", type=int, default=40)
    parser.add_argument(
        "--every", type=int, default=4, help="of the writes within checkpoints, the nth at which the disk is full"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()) + f", seed {options.seed}", flush=True)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(Path(folder))
        _show("kills", experiment.kills(options.kills, rng))
        _show("full disks", experiment.full_disks(options.every))
        _show("flipped bits", experiment.flips(options.flips, rng))
        print("second runs")
        for line in experiment.second_runs():
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
