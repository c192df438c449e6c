"""The first seconds: `mgm --help`, the first line of every command, imports, pretraining up to its first step, and on a fresh
installation, which has compiled no loop yet, the first mask and the explorer's address.

    python benchmarks/start.py [--rounds 7]

Wall and processor time of a process, medians over interleaved rounds with everything in the disk's cache; processor time until the
line appears, of all threads, and of the whole process where it ends by itself. The inputs are eight synthetic clips and a model of
one step. A first round, which compiles what is not compiled and reads what is not in memory, is not counted.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mgm.data.synthetic.known_motion import make_translation
from timing import print_header

SEED = 0
MGM = [sys.executable, "-c", "from mgm.commands.main import run; run()"]
FRESH = "fresh installation"
IMPORTS = ("mgm", "mgm.masks", "mgm.video")


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of the processor."""

    wall: float
    cpu: float


def start(command: list[str], folder: Path, *, until: str | None = None, fresh: bool = False) -> Spent:
    """Run a command to its end, or up to the first line of its output that contains `until`, and stop it there.

    Args:
        fresh: no loop is compiled yet, as after `pip install`: the folder of compiled loops is empty.
    """
    environment = dict(os.environ)
    if fresh:
        environment["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(dir=folder)
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    wall, printed = None, []
    for line in process.stdout:
        printed.append(line.decode(errors="replace"))
        if until is not None and until in printed[-1]:
            wall = time.perf_counter() - began
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    if until is None:
        wall = time.perf_counter() - began
    if wall is None or (until is None and status):
        raise SystemExit(f"{' '.join(command[2:])}: no line with {until!r}, status {status}:\n{''.join(printed)}")
    return Spent(wall, used.ru_utime + used.ru_stime)


def make_inputs(folder: Path) -> None:
    """Clips in two classes, a model, and a classifier."""
    for number in range(8):
        place = folder / "videos" / ("train", "test")[number % 2] / ("left", "right")[number // 2 % 2]
        place.mkdir(parents=True, exist_ok=True)
        make_translation(place / f"{number}.mp4", velocity=(2, 1), frames=24, size=(64, 64), seed=number)
    make_translation(folder / "wide.mp4", velocity=(3, 1), frames=75, size=(360, 640), seed=SEED)
    few = ["--recipe", "debug", "pretrain.steps=1", "finetune.steps=1", "data.workers=0"]
    start([*MGM, "pretrain", "videos", "--out", "model", *few], folder)
    start([*MGM, "finetune", "model", "videos", "--out", "classifier", *few[2:]], folder)


def commands() -> dict[str, list[str]]:
    """The arguments of every command."""
    video = "videos/train/left/0.mp4"
    return {
        "doctor": ["doctor"],
        "scan": ["scan", "videos"],
        "prepare": ["prepare", "videos", "prepared"],
        "pack": ["pack", "videos", "packed"],
        "data show": ["data", "show", "videos"],
        "bench data": ["bench", "data", "videos"],
        "motion": ["motion", video],
        "preview": ["preview", "videos"],
        "saliency": ["saliency", "videos"],
        "pretrain": ["pretrain", "videos", "--out", "other"],
        "finetune": ["finetune", "model", "videos", "--out", "third"],
        "report": ["report", "model"],
        "probe": ["probe", "model", "videos"],
        "evaluate": ["evaluate", "classifier", "videos"],
        "transfer": ["transfer", "classifier", "videos"],
        "compare": ["compare", "classifier", "classifier", "videos"],
        "results": ["results", "."],
        "predict": ["predict", "classifier", video],
        "embed": ["embed", "model", "videos", "--out", "features.npz"],
        "reconstruct": ["reconstruct", "model", video, "--out", "rebuilt.mp4"],
        "attention": ["attention", "model", video],
        "export": ["export", "model", "--to", "safetensors", "--out", "exported"],
        "models": ["models"],
        "figure": ["figure"],
        "recipes": ["recipes"],
        "recipes show": ["recipes", "show", "debug"],
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=[], help="rows whose names contain one of these words")
    arguments = parser.parse_args()
    print_header(f"seconds to start, medians of {arguments.rounds} interleaved rounds [smallest, largest]", SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder)
        python = [sys.executable, "-c"]
        rows: dict[str, tuple[list[str], str | None]] = {"python alone": ([*python, "pass"], None)}
        rows |= {f"import {module}": ([*python, f"import {module}"], None) for module in IMPORTS}
        rows |= {
            "import mgm.masks, make_mask": ([*python, "import mgm.masks; mgm.masks.make_mask"], None),
            "import mgm.video, read_clip": ([*python, "import mgm.video; mgm.video.read_clip"], None),
            "mgm --help": ([*MGM, "--help"], None),
        }
        rows |= {f"mgm {name}, first line": ([*MGM, *words], "") for name, words in commands().items()}
        training = [*MGM, "pretrain", "videos", "--out", "fresh", "pretrain.steps=1", "data.workers=2"]
        rows["mgm pretrain, first step"] = (training, "loss ")  # and its checkpoint: the last line of a run of one step
        # its sheet and its video
        rows[f"{FRESH}: first mask"] = ([*MGM, "preview", "wide.mp4", "--out", "other"], None)
        rows[f"{FRESH}: mgm explore, address"] = ([*MGM, "explore", "videos", "--no-browser"], "http://")
        rows = {name: row for name, row in rows.items() if not arguments.only or any(w in name for w in arguments.only)}
        spent: dict[str, list[Spent]] = {name: [] for name in rows}
        for number in range(arguments.rounds + 1):
            for name, (command, until) in rows.items():
                found = start(command, folder, until=until, fresh=name.startswith(FRESH))
                subprocess.run(["rm", "-rf", "fresh", "other", "third", "prepared", "packed"], cwd=folder, check=True)
                if number:
                    spent[name].append(found)
        for name, rounds in spent.items():
            cells = (sorted(values) for values in ([one.wall for one in rounds], [one.cpu for one in rounds]))
            shown = (f"{statistics.median(values):6.2f} [{values[0]:.2f}, {values[-1]:.2f}]" for values in cells)
            print(f"{name:40s} wall {'   cpu '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
