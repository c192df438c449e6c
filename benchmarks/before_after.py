"""A clip, a mask and a training step of this checkout against those of another checkout of mgm, interleaved.

    git worktree add ../before COMMIT
    python benchmarks/before_after.py --before ../before/src | tee benchmarks/results/before_after.txt

Each checkout runs in a process of its own, which stays alive and times the stages it is sent; both measure processor time. All
calls use names that both checkouts have. A step is the difference between a long and a short training run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from timing import print_header, ratios

SEED, ROUNDS = 0, 11
OURS = Path(__file__).parents[1] / "src"

WORKER = """
import json, shutil, sys, tempfile, time
from pathlib import Path
import numpy as np
import mgm
from mgm.video import MotionField

folder = Path(sys.argv[1])
video = str(folder / "video.mp4")
rng = np.random.default_rng(0)
motion = MotionField(
    rng.normal(size=(16, 32, 32, 2)).astype(np.float32), np.ones((16, 32, 32), np.bool_), "codec", (256, 256)
)

def clip():
    for start in range(0, 200, 10):
        mgm.read_clip(video, start=start, size=112)

def clip_of_reader():
    with mgm.VideoReader(video) as reader:
        for start in range(0, 200, 10):
            reader.read_clip(start=start, size=112)

def mask():
    for seed in range(300):
        mgm.make_mask("mgm", grid=(8, 14, 14), ratio=0.75, motion=motion, rng=np.random.default_rng(seed))

def steps(count):
    out = Path(tempfile.mkdtemp())
    settings = [f"pretrain.steps={count}", "pretrain.warmup=2"]
    began = time.process_time()
    mgm.pretrain(folder / "set", mgm.load_config("debug", settings), out=out / "run", show_progress=False)
    seconds = time.process_time() - began
    shutil.rmtree(out)
    return seconds

def seconds(what):
    if what == "step":
        return (steps(34) - steps(4)) / 30
    began = time.process_time()
    {"clip": clip, "clip of an open reader": clip_of_reader, "mask": mask}[what]()
    return (time.process_time() - began) / (300 if what == "mask" else 20)

for line in sys.stdin:
    print("RESULT", json.dumps(seconds(line.strip())), flush=True)
"""


def start_worker(source: Path, folder: Path) -> subprocess.Popen[str]:
    """A process that times the checkout under `source`."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment: dict[str, Any] = {**os.environ, **threads, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", WORKER, str(folder)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(worker: subprocess.Popen[str], what: str) -> float:
    """Processor seconds of one unit of `what`."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(what + "\n")
    worker.stdin.flush()
    for line in worker.stdout:
        if line.startswith("RESULT "):
            return float(json.loads(line.removeprefix("RESULT ")))
    raise SystemExit(f"the process that measures {what} ended")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="folder with the other checkout's package `mgm`")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    from mgm.data.synthetic.known_motion import make_translation
    from mgm.data.synthetic.labelled import make_dataset

    print_header(f"this checkout against {args.before}, processor time, {args.rounds} rounds", SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_translation(folder / "video.mp4", velocity=(3.0, -2.0), frames=300, size=(256, 340), gop=48, bframes=2)
        make_dataset(folder / "set", train=32, test=16, frames=8, size=64)
        workers = {"before": start_worker(args.before, folder), "now": start_worker(OURS, folder)}
        for what in ("clip", "clip of an open reader", "mask", "step"):
            taken: dict[str, list[float]] = {"before": [], "now": []}
            for number in range(args.rounds + 1):
                for name in ("before", "now") if number % 2 else ("now", "before"):
                    seconds = measure(workers[name], what)
                    if number:  # the first round warms up
                        taken[name].append(seconds)
            ratio, low, high = ratios(taken["now"], taken["before"])
            each = "   ".join(f"{name} {statistics.median(values) * 1e3:8.3f} ms" for name, values in taken.items())
            print(f"{what:24s} {each}   ratio {ratio:.3f} [{low:.3f}, {high:.3f}]", flush=True)
        for worker in workers.values():
            worker.terminate()


if __name__ == "__main__":
    main()
