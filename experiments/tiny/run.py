"""What a tiny model learns in minutes: accuracy of pretrained and untrained features with few labels, over several seeds.

    python experiments/tiny/run.py --task headings --seeds 0 1 2 3 4

Each seed draws its labelled videos, the weights and the masks anew; the videos are the same. No choice was made on the test videos.
A pretrained system is fine-tuned for 40 steps, the untrained one for 40 (equal steps) and for 240 (equal compute).
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
from pathlib import Path

from mgm.data.annotations import load_set
from mgm.demo.findings import RAW_MOTION
from mgm.demo.plan import LABELS, SYNTHETIC, SYNTHETIC_SETTINGS, TUNED_STEPS, synthetic_jobs
from mgm.demo.systems import Experiment, Job, System, run_jobs
from mgm.evaluation.raw_motion import probe_raw_motion
from mgm.machine import machine, versions
from mgm.training import load_config
from mgm.training.run import open_source

BOTH = {"normalised-pixels": 1.0, "motion": 20.0}
CONTROLS = (
    System("motion + pixels, random mask", BOTH, mask="random"),
    System("motion alone", "motion"),
    System("pixels alone, random mask", "normalised-pixels", mask="random"),
)
T_975 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Student's t for a 95% interval of so many values."""


def interval(values: list[float]) -> str:
    """Mean and 95% interval over the seeds."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    half = T_975[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.3f} ± {half:.3f}"


def main() -> None:
    """Run the seeds in turn, each with its systems side by side, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=tuple(SYNTHETIC), default="headings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--controls", action="store_true", help="other masks and targets, too")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--videos", type=Path, default=Path("runs"))
    parser.add_argument("--settings", nargs="*", default=[], help="key=value of the recipe debug")
    arguments = parser.parse_args()
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    place = arguments.videos / arguments.task
    SYNTHETIC[arguments.task].make(place)
    videos = load_set(place)
    shared = ("data.memory=true", *SYNTHETIC_SETTINGS, *arguments.settings)
    _, source = open_source(videos.items, load_config("debug", shared), motion=True, source=None)
    jobs = synthetic_jobs()
    if arguments.controls:
        jobs += [Job(system, frozen=True, tuned=(TUNED_STEPS,)) for system in CONTROLS]
    table: dict[str, dict[str, list[float]]] = {}
    for seed in arguments.seeds:
        config = load_config("debug", (*shared, f"seed={seed}"))
        labelled = videos.with_few_labels(LABELS, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            experiment = Experiment(videos, labelled, config, source, Path(folder))
            results = run_jobs(jobs, experiment, processes=arguments.processes, report=lambda line: None)
        hits = {name: dict({} if r.frozen is None else r.frozen.hits) for name, r in results.items()}
        for name, result in results.items():
            hits[name] |= {f"fine-tuned, {steps} steps": found for steps, found in result.tuned.items()}
        hits[RAW_MOTION] = dict(probe_raw_motion(labelled, config, source).hits)
        for name, ways in hits.items():
            for way, found in ways.items():
                table.setdefault(name, {}).setdefault(way, []).append(float(found.mean()))
            words = ", ".join(f"{way} {found.mean():.3f}" for way, found in ways.items())
            print(f"seed {seed}, {name}: {words}", flush=True)
    print_table(table)


def print_table(table: dict[str, dict[str, list[float]]]) -> None:
    """One row for each system."""
    ways = list(dict.fromkeys(way for values in table.values() for way in values))
    print(f"\n| | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    for name, values in table.items():
        print(f"| {name} | {' | '.join(interval(values[way]) if way in values else '' for way in ways)} |")


if __name__ == "__main__":
    main()
