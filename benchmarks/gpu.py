"""All checks on a GPU in ten minutes: `make check-gpu`. Every job has its own limit; one that fails does not end the others.

    python benchmarks/gpu.py [--out gpu-checks]
    python benchmarks/gpu.py --rehearse           # the same commands with a tiny model on the CPU, where no GPU is at hand

    tests      pytest -m gpu
    step       ViT-B in bfloat16 against transformers under the same autocast: clips/s, share of the largest matrix product, memory
    compiled   the same under torch.compile
    augment    augmentation of a clip on the device
    training   200 steps on synthetic clips by reading processes: the share of the time in which the device waits for clips

The output of each job is in a file of `--out`; the goals, and whether they are met, are printed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import print_header

ROOT = Path(__file__).parents[1]
SPEED, SHARE, WAIT = 1.5, 45, 0.05
"""Goals: times the speed of transformers, percent of the largest matrix product, fraction of the time spent waiting for clips."""
CLIPS, STEPS = 64, 200
MGM = "from mgm.commands.main import run; run()"
_STEP = re.compile(
    r"^(.+?): [\d,.]+ clips/s .*?([\d.]+) x the speed of .*?, (\d+)% of the largest rate(?:, ([\d.]+) GiB)?", re.M
)


def jobs(folder: Path, *, rehearse: bool) -> dict[str, tuple[int, str]]:
    """The limit in seconds and the arguments of Python of each job."""
    device, size, dtype = ("cpu", "tiny", "float32") if rehearse else ("cuda", "B", "bfloat16")
    step = f"benchmarks/step.py --device {device} --sizes {size} --ratios 0.9 --dtype {dtype} --no-eager --rounds 5"
    tune = "" if rehearse else " --steps 5 --tune"
    recipe = "debug" if rehearse else "mgm-vitb-ssv2"
    videos = shlex.quote(str(folder / "videos"))
    train = (
        f"-c {shlex.quote(MGM)} pretrain {videos} --recipe {recipe} --out {shlex.quote(str(folder / 'run'))} "
        f"pretrain.steps={2 if rehearse else STEPS} pretrain.batch={8 if rehearse else 64} data.workers={os.cpu_count() or 1}"
    )
    return {
        "tests": (170, "-m pytest -q -m gpu"),
        "step": (130, step + tune),
        "compiled": (170, f"{step}{tune} --compile"),
        "augment": (40, f"benchmarks/augment.py --device {device}"),
        "training": (80, train),
    }


def run(name: str, limit: int, arguments: str, out: Path) -> str:
    """Run one job, keep its output and return it; a line says how it ended."""
    began = time.monotonic()
    command = [sys.executable, *shlex.split(arguments)]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, check=False
        )
        text, ending = ended.stdout.decode(errors="replace"), f"status {ended.returncode}"
    except subprocess.TimeoutExpired as stopped:
        text, ending = (stopped.stdout or b"").decode(errors="replace"), f"stopped after {limit} s"
    (out / f"{name}.txt").write_text(text, encoding="utf-8")
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    print(f"{name:10s} {time.monotonic() - began:5.0f} s  {ending}: {last[:100]}", flush=True)
    return text


def make_clips(folder: Path) -> None:
    """Videos for the training job."""
    from mgm.data.synthetic.known_motion import make_translation

    folder.mkdir(parents=True)
    for number in range(CLIPS):
        make_translation(folder / f"{number}.mp4", velocity=(2, 1), frames=72, size=(256, 340), seed=number)


def judge(name: str, text: str) -> None:
    """Print the figures of the step job, and whether they meet their goals."""
    found = {row[0]: row for row in _STEP.findall(text)}
    own = found.get("mgm")
    if own is None:
        print(f"{name}: no figures")
        return
    speed, share = float(own[1]), int(own[2])
    print(f"{name}: {speed:.2f} x the speed of transformers, goal {SPEED}: {'met' if speed >= SPEED else 'missed'}")
    print(f"{name}: {share}% of the largest matrix product, goal {SHARE}: {'met' if share >= SHARE else 'missed'}")
    peer = next((row for other, row in found.items() if other.startswith("transformers") and row[3]), None)
    if peer is not None and own[3]:
        word = "met" if float(own[3]) <= float(peer[3]) else "missed"
        print(f"{name}: {own[3]} GiB in a step, goal: the {peer[3]} GiB of transformers: {word}")


def main() -> None:
    """Run all jobs and print the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu-checks"))
    parser.add_argument("--rehearse", action="store_true")
    arguments = parser.parse_args()
    print_header("checks on a GPU" + " rehearsed on the CPU" * arguments.rehearse, 0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clips(folder / "videos")
        texts = {
            job: run(job, limit, command, arguments.out)
            for job, (limit, command) in jobs(folder, rehearse=arguments.rehearse).items()
        }
        log = folder / "run" / "log.jsonl"
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    for job in ("step", "compiled"):
        judge(job, texts[job])
    waits = [line["data_wait"] for line in lines[len(lines) // 4 :] if "data_wait" in line]
    if waits:
        wait = statistics.median(waits)
        print(
            f"training: waits for clips {wait:.1%} of the time, goal {WAIT:.0%}: {'met' if wait <= WAIT else 'missed'}"
        )
    else:
        print("training: no figures")


if __name__ == "__main__":
    main()
