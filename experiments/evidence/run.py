"""Does motion guidance help, and when? The paper's ablations at the size that two cores can run.

    python experiments/evidence/run.py masks --sets headings-still headings-pan --plan
    python experiments/evidence/run.py masks --sets headings-still headings-pan --seeds 0 1 2 --out runs/evidence
    python experiments/evidence/run.py masks --sets surv_fights tank_wagon --data DATA --seeds 0 1 2 --out runs/evidence
    python experiments/evidence/run.py masks --sets headings-still --out runs/evidence --table

A cell is an arm on a set with a seed: pretraining without labels, then probes of the frozen encoder on test videos that no choice
was made on. A cell in --out is not computed again, so that a stopped experiment continues, and several can run side by side; a
cell that is being computed is left to the process that does. --plan prints the cells, their cost, and the differences that they
can show. Every table has the untrained encoder, and the motion vectors without a model.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from grid import MOTION, QUESTIONS, Arm, Question
from sets import SETS, Judged

from mgm.data.items import VideoSet
from mgm.evaluation.probing import probe_encoder, untrained_encoder
from mgm.evaluation.raw_motion import probe_raw_motion
from mgm.files.atomic import atomic_write
from mgm.machine import machine, versions
from mgm.models.cost import autoencoder_multiply_accumulates
from mgm.training import Config, load_config, load_encoder
from mgm.training.pretrain import pretrain

UNTRAINED, RAW_MOTION = "untrained", "motion vectors, no model"
DISCORDANCE, SEED_DEVIATION = 0.35, 0.04
"""Share of the test videos on which two arms differ, and deviation over seeds: as in docs/results.md, "Real clips"."""

Hits = dict[str, list[bool]]
"""Name of a probe -> hits of the test videos."""


def config_of(judged: Judged, arm: Arm | None, seed: int, extra: Sequence[str], *, equal_compute: bool) -> Config:
    """The settings of a cell; without an arm, of the rivals."""
    chosen = () if arm is None else (*arm.overrides, *(judged.motion_target if arm.target == MOTION else judged.pixels))
    factors = [setting for setting in chosen if setting.startswith("steps*")]
    settings = [*judged.settings, *(setting for setting in chosen if setting not in factors), *extra, f"seed={seed}"]
    config = load_config(judged.recipe, settings)
    steps = config.pretrain.steps
    assert steps is not None
    factor = math.prod(float(text.removeprefix("steps*")) for text in factors)
    if equal_compute and arm is not None:
        factor *= clip_cost(
            load_config(judged.recipe, [*settings, "mask.name=tube", "mask.ratio=0.75", "mask.options={}"])
        )
        factor /= clip_cost(config)
    return load_config(judged.recipe, [*settings, f"pretrain.steps={round(steps * factor)}"])


def clip_cost(config: Config) -> int:
    """Multiply-accumulates of a clip in pretraining."""
    rule, spec = config.mask_rule(), config.model_spec()
    hidden = rule.mask.count(rule.grid, rule.ratio) * (spec.grid[0] if rule.mask.equal_steps else 1)
    return autoencoder_multiply_accumulates(spec, spec.tokens - hidden) or 1


def run_cell(judged: Judged, arm: Arm, seed: int, config: Config, folder: Path) -> dict[str, Hits]:
    """Name of the judged set -> hits, after pretraining; the run is kept in `folder`."""
    items = judged.pool
    items = items[:: round(1 / arm.share)]  # classes take turns in the pool
    videos = VideoSet("pool", items, (), (), "unlabelled")
    pretrain(videos, config, out=folder, resume="auto", source=judged.source, show_progress=False)
    encoder = load_encoder(folder)
    return {name: probes(encoder, labelled, config, judged) for name, labelled in judged.labelled(seed).items()}


def probes(encoder: torch.nn.Module, labelled: VideoSet, config: Config, judged: Judged) -> Hits:
    """Hits of every probe of the recipe."""
    scores = probe_encoder(encoder, labelled, config, judged.source)
    return {way: row.tolist() for way, row in scores.hits.items()}


def rivals(judged: Judged, seed: int, config: Config) -> dict[str, dict[str, Hits]]:
    """The untrained encoder and the motion vectors: system -> set -> hits."""
    labelled = judged.labelled(seed)
    untrained = untrained_encoder(config, judged.pool, judged.source)
    return {
        UNTRAINED: {name: probes(untrained, videos, config, judged) for name, videos in labelled.items()},
        RAW_MOTION: {
            name: {way: row.tolist() for way, row in probe_raw_motion(videos, config, judged.source).hits.items()}
            for name, videos in labelled.items()
        },
    }


def cell_file(out: Path, group: str, name: str, seed: int, *, equal_compute: bool) -> Path:
    """Where the hits of a cell are kept."""
    words = f"{group}--{name}--{seed}{'--equal-compute' if equal_compute else ''}"
    return out / "cells" / (words.replace(" ", "-").replace(",", "").replace("%", "pc") + ".json")


def kept(file: Path) -> dict[str, Hits] | None:
    """The hits of a cell that was computed."""
    return json.loads(file.read_text(encoding="utf-8"))["hits"] if file.exists() else None


def keep(file: Path, hits: dict[str, Hits], seconds: float, config: Config) -> None:
    """Write the hits of a cell with what made them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"hits": hits, "seconds": round(seconds), "machine": machine(), "versions": dict(versions()),
             "config": config.model_dump(mode="json")}  # fmt: skip
    with atomic_write(file) as opened:
        opened.write(json.dumps(about).encode())


def print_plan(question: Question, groups: Sequence[str], seeds: int) -> None:
    """Cells, cost, and the smallest difference of two arms that would be seen four times in five."""
    print(f"{question.asks}\n{len(question.arms)} arms, {seeds} seeds, compared with {question.reference!r}\n")
    print("| set | cells | hours of a core | test videos | smallest difference |\n|---|---|---|---|---|")
    for group in groups:
        about = SETS[group]
        cells = len(question.arms) * seeds
        for name, videos in about.test_videos.items():
            error = math.sqrt(DISCORDANCE / videos + 2 * SEED_DEVIATION**2 / seeds)
            print(f"| {name} | {cells} | {cells * about.minutes / 60:.1f} | {videos} | {2.8 * error:.2f} |")


def print_tables(question: Question, found: dict[str, dict[str, list[Hits]]], labels: dict[str, np.ndarray]) -> None:
    """Mean class accuracy of every arm, and its difference to the reference with an interval over seeds and videos."""
    for name, arms in found.items():
        ways = list(dict.fromkeys(way for seeds in arms.values() for hits in seeds for way in hits))
        print(f"\n{name}: {len(labels[name])} test videos, chance {1 / len(np.unique(labels[name])):.3f}\n")
        print(f"| | seeds | {' | '.join(ways)} |\n|---|---|{'---|' * len(ways)}")
        for arm, seeds in arms.items():
            cells = []
            for way in ways:
                rows = np.array([hits[way] for hits in seeds if way in hits], float)
                if not len(rows):
                    cells.append("")
                    continue
                each = class_mean(rows, labels[name])
                cell = f"{each.mean():.3f}" + (f" ± {each.std(ddof=1):.3f}" if len(each) > 1 else "")
                base = arms.get(question.reference, [])
                if arm != question.reference and len(base) == len(rows) > 0 and way in base[0]:
                    low, high = difference(rows, np.array([hits[way] for hits in base], float), labels[name])
                    cell += f" ({low:+.3f} to {high:+.3f})"
                cells.append(cell)
            print(f"| {arm} | {len(seeds)} | {' | '.join(cells)} |")


def class_mean(hits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mean over the classes of their accuracies, of hits (..., videos)."""
    return np.mean([hits[..., label == c].mean(-1) for c in np.unique(label)], axis=0)


def difference(hits: np.ndarray, base: np.ndarray, label: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95% interval of the difference of mean class accuracies; hits, base: (seeds, videos). Seeds and videos are drawn anew."""
    rng = np.random.default_rng(0)
    paired, values = hits - base, np.empty(draws)
    own = [np.flatnonzero(label == c) for c in np.unique(label)]
    for draw in range(draws):
        seeds = rng.integers(len(paired), size=len(paired))
        of_videos = paired[seeds].mean(0)
        values[draw] = np.mean([of_videos[rng.choice(rows, len(rows))].mean() for rows in own])
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def main() -> None:
    """Plan, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=tuple(QUESTIONS))
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=["headings-still"])
    parser.add_argument("--arms", nargs="+", help="of the question's arms, those whose name has one of these words")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, help="folder with surv_fights and tank_wagon")
    parser.add_argument("--settings", nargs="*", default=[], help="key=value of the recipe")
    parser.add_argument("--equal-compute", action="store_true", help="as many steps as cost what tube at .75 costs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--table", action="store_true", help="print the tables of kept cells alone")
    arguments = parser.parse_args()
    question = QUESTIONS[arguments.question]
    if arguments.plan:
        return print_plan(question, arguments.sets, len(arguments.seeds))
    torch.set_num_threads(arguments.threads)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    wanted = [a for a in question.arms if arguments.arms is None or any(word in a.name for word in arguments.arms)]
    for group in arguments.sets:
        judged = SETS[group].open(arguments.out, arguments.data, read=not arguments.table)
        found: dict[str, dict[str, list[Hits]]] = {}

        def add(system: str, hits: dict[str, Hits], found: dict[str, dict[str, list[Hits]]] = found) -> None:
            for name, of_set in hits.items():
                found.setdefault(name, {}).setdefault(system, []).append(of_set)

        for seed in arguments.seeds:
            config = config_of(judged, None, seed, arguments.settings, equal_compute=False)
            file = cell_file(arguments.out, group, UNTRAINED, seed, equal_compute=False)
            if not file.exists() and not arguments.table:
                began = time.perf_counter()
                for system, hits in rivals(judged, seed, config).items():
                    place = cell_file(arguments.out, group, system, seed, equal_compute=False)
                    keep(place, hits, time.perf_counter() - began, config)
            for system in (UNTRAINED, RAW_MOTION):
                if (hits := kept(cell_file(arguments.out, group, system, seed, equal_compute=False))) is not None:
                    add(system, hits)
            for arm in wanted:
                file = cell_file(arguments.out, group, arm.name, seed, equal_compute=arguments.equal_compute)
                if not file.exists() and not arguments.table:
                    began = time.perf_counter()
                    config = config_of(judged, arm, seed, arguments.settings, equal_compute=arguments.equal_compute)
                    hits = run_cell(judged, arm, seed, config, arguments.out / "runs" / file.stem)
                    keep(file, hits, time.perf_counter() - began, config)
                    print(f"{group}, {arm.name}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
                if (hits := kept(file)) is not None:
                    add(arm.name, hits)
        print_tables(question, found, judged.labels)
    return None


if __name__ == "__main__":
    main()
