"""What makes a tiny model leave its plateau sooner: loss and probes against steps, pixels alone, on the synthetic set `headings`.

    python experiments/plateau/run.py --seeds 0 1 2

Every idea is one change of the settings of the demo and has the same number of steps of 16 clips; its computation is given in
minutes of a CPU. Probes train on 128 labelled videos. The test videos are the demo's; an idea is kept only if it helps on real
clips, too (experiments/real).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from mgm.data.annotations import load_set
from mgm.demo.plan import LABELS, SYNTHETIC, SYNTHETIC_SETTINGS
from mgm.evaluation.probing import probe_encoder
from mgm.machine import machine, versions
from mgm.models import MaskedAutoencoder
from mgm.training import load_config
from mgm.training.pretrain import pretrain
from mgm.training.run import open_source

IDEAS: dict[str, tuple[str, ...]] = {
    "as the demo": (),
    "whitened": ("model.patch_init=whitened",),
    "second beta .999": ("pretrain.betas=[0.9, 0.999]",),
    "warm-up of 200 steps": ("pretrain.warmup=200",),
    "warm-up of 200 steps, three times the rate": ("pretrain.warmup=200", "pretrain.base_lr=0.048"),
    "muon, warm-up of 200 steps": ("pretrain.warmup=200", "pretrain.optimiser=muon"),
    "half of the tokens hidden": ("mask.ratio=0.5",),
    "half of the hidden tokens reconstructed": ("mask.decoder={}",),
    "a third of the rate": ("pretrain.base_lr=0.0053",),
    "three times the rate": ("pretrain.base_lr=0.048",),
    "muon": ("pretrain.optimiser=muon",),
    "muon, a third of the rate": ("pretrain.optimiser=muon", "pretrain.base_lr=0.0053"),
    "muon, three times the rate": ("pretrain.optimiser=muon", "pretrain.base_lr=0.048"),
}
LEFT = 0.95
"""A mean loss of 25 steps below it counts as having left the plateau."""


def main() -> None:
    """Run every idea with every seed, and print one row for each idea."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--ideas", nargs="+", choices=tuple(IDEAS), default=tuple(IDEAS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--videos", type=Path, default=Path("runs"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    place = arguments.videos / "headings"
    SYNTHETIC["headings"].make(place)
    videos = load_set(place)
    base = ("data.memory=true", *SYNTHETIC_SETTINGS, f"pretrain.steps={arguments.steps}", "probe.heads=[linear, knn]")
    _, source = open_source(videos.items, load_config("debug", base), motion=True, source=None)
    rows: dict[str, list[dict[str, float]]] = {}
    leaving: dict[str, list[int | None]] = {}
    for idea in arguments.ideas:
        rows[idea], leaving[idea] = [], []
        for seed in arguments.seeds:
            config = load_config("debug", (*base, *IDEAS[idea], f"seed={seed}"))
            began = time.process_time()
            with tempfile.TemporaryDirectory() as out:
                run = pretrain(videos, config, out=out, source=source, show_progress=False)
            minutes = (time.process_time() - began) / 60
            assert isinstance(run.model, MaskedAutoencoder)
            scores = probe_encoder(run.model.encoder, videos.with_few_labels(LABELS, seed=seed), config, source)
            means = [statistics.mean(run.history.losses[i : i + 25]) for i in range(0, arguments.steps, 25)]
            left = next((25 * i for i, loss in enumerate(means) if loss < LEFT), None)
            found = {
                "loss": means[-1],
                "CPU minutes": minutes,
                **{way: float(hits.mean()) for way, hits in scores.hits.items()},
            }
            rows[idea].append(found)
            leaving[idea].append(left)
            losses = " ".join(f"{mean:.3f}" for mean in means[::4])
            print(f"seed {seed}, {idea}: left at {left}, {json.dumps(found)}; loss {losses}", flush=True)
    names = list(next(iter(rows.values()))[0])
    print(f"\n| | left the plateau at step | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for idea, results in rows.items():
        columns = [[one[name] for one in results] for name in names]
        cells = [f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" for values in columns]
        steps = ", ".join("never" if step is None else str(step) for step in leaving[idea])
        print(f"| {idea} | {steps} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
