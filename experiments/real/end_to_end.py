"""From real clips to predictions by the commands of mgm alone: pretrain, stop, resume, probe, fine-tune, evaluate, predict.

    python experiments/real/end_to_end.py DATA --seeds 0 1 2 --out runs/end-to-end

DATA contains the folders surv_fights and tank_wagon. Each seed pretrains the recipe `laptop` on the training clips of both sets, is
asked to end by SIGTERM at a random step, and is resumed. Its encoder is fine-tuned on either set, and
compared with the same network trained from scratch for as many steps. Test clips are of other source videos and other cameras.
What is finished in --out is not run again. Prints every command and its answer.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sets import load_sets

from mgm.data.items import VideoSet
from mgm.machine import machine, versions
from mgm.training.signals import STOPPED_STATUS

MGM = (sys.executable, "-c", "from mgm.commands.main import run; run()")
IN_MEMORY = ("data.memory=true", "data.memory_side=72")
SYSTEMS = {
    "scratch": (),
    "pretrained": (),
    "pretrained, attentive": ("finetune.pooling=attentive",),
}
"""Settings of each system in fine-tuning."""
CLASS_MAP = {"train": "train_in_out", "nothing": "no_action"}
"""Classes of the target of the transfer, other cameras that see less, and their names in tank_wagon."""


def main() -> None:
    """Run every command for every seed, and then the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2500, help="of pretraining")
    parser.add_argument("--attentive", action="store_true", help="fine-tune with attentive pooling, too")
    parser.add_argument("--out", type=Path, default=Path("runs/end-to-end"))
    arguments = parser.parse_args()
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    sets = load_sets(arguments.data)
    unlabelled = arguments.out / "unlabelled.csv"
    write_set(unlabelled, sets.values(), labels=False)
    for name, videos in sets.items():
        write_set(arguments.out / f"{name}.csv", [videos], labels=True)
    write_groups(arguments.out / "groups.csv", arguments.data)
    for seed in arguments.seeds:
        pretrain(arguments.out, seed, tuple(sets), steps=arguments.steps)
    for seed in arguments.seeds:
        for system in ("scratch", "pretrained"):
            for name in sets:
                finetune(arguments.out, seed, name, system)
        use(arguments.out, seed)
    if arguments.attentive:
        for seed in arguments.seeds:
            for name in sets:
                finetune(arguments.out, seed, name, "pretrained, attentive")
    for name in sets:
        for system in list(SYSTEMS)[1 : 3 if arguments.attentive else 2]:
            pairs = (str(arguments.out / f"{run_name(one, name)}-*") for one in ("scratch", system))
            mgm("compare", *pairs, arguments.out / f"{name}.csv", "--groups", groups(arguments.out, name))
    mgm("results", arguments.out, "--all")


def pretrain(out: Path, seed: int, sets: Sequence[str], *, steps: int) -> None:
    """Pretrain with a stop in the middle, and probe on every set."""
    run = out / f"pretrain-{seed}"
    command = ("pretrain", out / "unlabelled.csv", "--recipe", "laptop", "--out", run, "--resume", "auto", *IN_MEMORY,
               f"seed={seed}", f"pretrain.steps={steps}", f"pretrain.warmup={steps // 50}")  # fmt: skip
    stop_at = random.Random(seed).randrange(steps // 4, steps // 2)
    if logged_steps(run) < stop_at:
        interrupted(run, stop_at, *command)
    if logged_steps(run) < steps:
        mgm(*command)
        mgm("report", run)
    for name in sets:
        if not (run / f"probed-{name}").exists():
            mgm("probe", run, out / f"{name}.csv")
            (run / f"probed-{name}").touch()


def finetune(out: Path, seed: int, name: str, system: str) -> None:
    """Fine-tune on a set, and evaluate."""
    run, table = out / f"{run_name(system, name)}-{seed}", out / f"{name}.csv"
    if (run / "evaluated").exists():
        return
    start = "none" if system == "scratch" else out / f"pretrain-{seed}"
    mgm("finetune", start, table, "--recipe", "laptop", "--out", run, "--resume", "auto", *IN_MEMORY, f"seed={seed}",
        *SYSTEMS[system])  # fmt: skip
    mgm("evaluate", run, table, "--groups", groups(out, name))
    (run / "evaluated").touch()


def use(out: Path, seed: int) -> None:
    """Judge a classifier where only half of its classes occur, under other names, and print its answers for a few clips."""
    run, target, class_map = (
        out / f"{run_name('pretrained', 'tank_wagon')}-{seed}",
        out / "target.csv",
        out / "classes.csv",
    )
    class_map.write_text("".join(f"{name},{source}\n" for name, source in CLASS_MAP.items()), encoding="utf-8")
    names = {source: name for name, source in CLASS_MAP.items()}
    with (out / "tank_wagon.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *([*row[:-1], names[row[-1]]] for row in rows if row[-1] in names)])
    mgm("transfer", run, target, "--map", class_map)
    with (out / "tank_wagon.csv").open(encoding="utf-8", newline="") as file:
        tests = [row["path"] for row in csv.DictReader(file) if row["split"] == "test"]
    mgm("predict", run, *tests[:3])


def run_name(system: str, name: str) -> str:
    """The folder of a system's runs on a set, without the seed."""
    return f"{system.replace(', ', '-')}-{name}"


def groups(out: Path, name: str) -> str:
    """The option --groups of a set: source videos, or cameras."""
    return "/(g[0-9]+)_" if name == "surv_fights" else str(out / "groups.csv")


def write_set(path: Path, sets: Sequence[VideoSet], *, labels: bool) -> None:
    """An annotation file of sets: of all clips with labels, or of those for training without."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "start", "split", *(["label"] if labels else [])])
        for videos in sets:
            for split, items in (("train", videos.train), ("test", videos.test if labels else ())):
                for item in items:
                    label = [videos.classes[item.label]] if labels and item.label is not None else []
                    writer.writerow([Path(item.path).resolve(), item.start, split, *label])


def write_groups(path: Path, data: Path) -> None:
    """The camera of every clip of tank_wagon."""
    with (data / "tank_wagon" / "groups.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["path"], row["group_camera"]) for row in csv.DictReader(file)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "group"), *rows])


def mgm(*arguments: object) -> None:
    """Run a command, and print it with its answer and its time."""
    print(f"\n$ mgm {shlex.join(map(str, arguments))}", flush=True)
    began = time.perf_counter()
    answer = subprocess.run([*MGM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(answer.stdout.rstrip())
    print(f"[status {answer.returncode}, {time.perf_counter() - began:.0f} s]", flush=True)
    if answer.returncode:
        raise SystemExit(f"mgm {arguments[0]} failed")


def interrupted(run: Path, step: int, *arguments: object) -> None:
    """Run a command, and ask it to end once its log has `step` steps."""
    print(f"\n$ mgm {shlex.join(map(str, arguments))}    # SIGTERM once step {step} is logged", flush=True)
    process = subprocess.Popen(
        [*MGM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while process.poll() is None and logged_steps(run) < step:
        time.sleep(1)
    process.terminate()
    answer, _ = process.communicate()
    print(answer.rstrip())
    print(f"[status {process.returncode}, {logged_steps(run)} steps]", flush=True)
    if process.returncode != STOPPED_STATUS:
        raise SystemExit(f"status {process.returncode} instead of {STOPPED_STATUS}")


def logged_steps(run: Path) -> int:
    """Steps in the log of a run."""
    log = run / "log.jsonl"
    if not log.exists():
        return 0
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    return sum("step" in json.loads(line) for line in lines if line.endswith("\n"))


if __name__ == "__main__":
    main()
