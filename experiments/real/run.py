"""What the recipe `laptop` learns from real clips: frozen features against untrained ones, the mean frame and the motion vectors.

    python experiments/real/run.py DATA --seeds 0 1 2 --out runs/real
    python experiments/real/run.py DATA --seeds 0 1 2 --out runs/real --table

DATA contains the folders surv_fights and tank_wagon. Pretraining reads the training clips of both sets; classifiers are trained
on those of one set and tested on clips of other source videos and other cameras, which no choice was made on. A result that is in
--out already is not computed again, so that seeds can run side by side.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sets import load_sets

from mgm.data.clips.source import ClipSource, MemorySource
from mgm.data.clips.transform import centre_crop
from mgm.data.items import VideoItem, VideoSet, part_length
from mgm.evaluation.holdout import held_out
from mgm.evaluation.linear import linear_probe
from mgm.evaluation.metrics import correct
from mgm.evaluation.nearest import nearest_neighbours
from mgm.evaluation.probing import probe_encoder, untrained_encoder
from mgm.evaluation.raw_motion import probe_raw_motion
from mgm.evaluation.views import Features
from mgm.machine import machine, versions
from mgm.models import Encoder
from mgm.training import Config, load_config, load_encoder
from mgm.training.pretrain import pretrain

PIXELS = ("model.target=normalised-pixels", "model.visible_target=null")
SYSTEMS: dict[str, tuple[str, ...]] = {
    "laptop": (),
    "laptop, mask mgm": ("mask.name=mgm",),
    "laptop, muon": ("pretrain.optimiser=muon",),
    "laptop, motion at hidden tokens alone": ("model.visible_target=null",),
    "laptop, pixels alone, mask mgm": (*PIXELS, "mask.name=mgm"),
    "laptop, pixels alone": PIXELS,
    "untrained": (),
    "untrained, the reference's start": ("model.patch_init=conv",),
    "mean frame, no model": (),
    "motion vectors, no model": (),
}
HELD_BY_SEED = ("laptop", "untrained")
"""Systems whose weights are random, by the first word of their name."""

SIDE = 72
"""Shorter side of the frames in memory, from which crops of 64 px are taken."""

Hits = dict[str, list[bool]]
"""Name of a probe -> hits of the test videos."""


@dataclass(frozen=True)
class Experiment:
    """The sets, the source of their clips and the folder of the results."""

    sets: dict[str, VideoSet]
    source: ClipSource
    out: Path
    settings: list[str]

    def config(self, system: str, seed: int) -> Config:
        """The settings of a system."""
        return load_config("laptop", [*SYSTEMS[system], *self.settings, f"seed={seed}"])

    def run(self, system: str, seed: int) -> dict[str, Hits]:
        """Name of a set -> hits; kept in a file."""
        file = result_file(self.out, system, seed)
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8"))
        config = self.config(system, seed)
        if system.endswith("no model"):
            rival = mean_frame if system.startswith("mean") else raw_motion
            found = {name: rival(videos, config, self.source) for name, videos in self.sets.items()}
        else:
            found = {}
            for name, videos in self.sets.items():
                encoder = (
                    untrained_encoder(config, self.training, self.source) if system.startswith("untrained") else None
                )
                found[name] = probes(encoder or self.pretrained(system, seed), videos, config, self.source)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
        return found

    @property
    def training(self) -> tuple[VideoItem, ...]:
        """The training clips of all sets."""
        return tuple(item for videos in self.sets.values() for item in videos.train)

    def pretrained(self, system: str, seed: int) -> Encoder:
        """The encoder after pretraining on the training clips of all sets."""
        out = self.out / f"{system}-{seed}".replace(" ", "-").replace(",", "")
        videos = VideoSet("all", self.training, (), (), "unlabelled")
        pretrain(videos, self.config(system, seed), out=out, resume=True, source=self.source, show_progress=False)
        return load_encoder(out)


def probes(encoder: Encoder, videos: VideoSet, config: Config, source: ClipSource) -> Hits:
    """The probes of the recipe, and those on mean, deviation and maximum of the tokens."""
    hits: Hits = {}
    for pooling in ("mean", "mean-std-max"):
        heads = config.probe.heads if pooling == "mean" else ("linear", "knn")
        probe = config.probe.model_copy(update={"pooling": pooling, "heads": heads})
        scores = probe_encoder(encoder, videos, config.model_copy(update={"probe": probe}), source)
        hits |= {name + ("" if pooling == "mean" else ", m/s/m"): row.tolist() for name, row in scores.hits.items()}
    return hits


def raw_motion(videos: VideoSet, config: Config, source: ClipSource) -> Hits:
    """The probes on the motion vectors of the same clips."""
    return {name: row.tolist() for name, row in probe_raw_motion(videos, config, source).hits.items()}


def mean_frame(videos: VideoSet, config: Config, source: ClipSource) -> Hits:
    """The probes on the mean frame of the same clips, at one colour per patch."""

    def read(items: Sequence[VideoItem], views: int) -> Features:
        settings, sampler, rows, owner = config.clip_settings(motion=False), config.sampler("dense"), [], []
        for number, item in enumerate(items):
            info = source.info(item.path)
            crop = [centre_crop(info.height, info.width, size=settings.size)]
            for frames in sampler.views(part_length(item, info), count=views):
                clip = source.clips(item.path, item.start + frames, crop, settings)[0].frames
                mean = torch.from_numpy(np.ascontiguousarray(clip)).float().mean(0).permute(2, 0, 1)
                rows.append(F.avg_pool2d(mean, config.model.patch).flatten())
                owner.append(number)
        label = torch.tensor([item.label for item in items])
        return Features(torch.stack(rows), torch.tensor(owner), label, torch.arange(len(rows)))

    train, test = read(videos.train, config.probe.clips_per_video), read(videos.test, config.probe.temporal_views)
    label, classes, k = test.label.numpy(), len(videos.classes), config.probe.neighbour_counts[0]
    linear = linear_probe(train, test, classes=classes, held=held_out(videos.train))
    nearest = nearest_neighbours(train, test, classes=classes, neighbours=[k])[k]
    return {"linear probe": correct(linear, label).tolist(), f"{k}-NN": correct(nearest, label).tolist()}


def result_file(out: Path, system: str, seed: int) -> Path:
    """Where the hits of a system are kept."""
    return out / "hits" / f"{system}-{seed}.json".replace(" ", "-").replace(",", "").replace("'", "")


def class_mean(hits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mean over the classes of their accuracies, of hits (..., videos)."""
    return np.mean([hits[..., label == c].mean(-1) for c in np.unique(label)], axis=0)


def bootstrap(hits: np.ndarray, label: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95% interval of the mean class accuracy of hits (videos,), means over seeds or differences of them: videos are drawn anew."""
    rng = np.random.default_rng(0)
    own = [np.flatnonzero(label == c) for c in np.unique(label)]
    values = np.mean([hits[rng.choice(rows, (draws, len(rows)))].mean(1) for rows in own], axis=0)
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def print_table(name: str, videos: VideoSet, found: dict[str, list[Hits]]) -> None:
    """Mean class accuracy of every system and probe, and the difference to the untrained encoder with its interval."""
    label = np.array([item.label for item in videos.test])
    split = f"{len(videos.train)} training and {len(label)} test clips, {videos.split_rule}"
    print(f"\n{name}: {split}; chance {1 / len(videos.classes):.3f}\n")
    ways = list(dict.fromkeys(way for rows in found.values() for row in rows for way in row))
    print(f"| | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    for system, rows in found.items():
        cells = []
        for way in ways:
            if way not in rows[0]:
                cells.append("")
                continue
            hits = np.array([row[way] for row in rows], float)
            each = class_mean(hits, label)
            spread = f" ± {statistics.stdev(each):.3f}" if len(each) > 1 else ""
            cell = f"{each.mean():.3f}{spread}"
            if system.startswith("laptop") and "untrained" in found:
                before = np.array([row[way] for row in found["untrained"]], float).mean(0)
                low, high = bootstrap(hits.mean(0) - before, label)
                cell += f" ({low:+.3f} to {high:+.3f})"
            cells.append(cell)
        print(f"| {system} | {' | '.join(cells)} |")


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", choices=tuple(SYSTEMS), default=tuple(SYSTEMS))
    parser.add_argument("--settings", nargs="*", default=[], help="key=value of the recipe laptop")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/real"))
    parser.add_argument("--table", action="store_true", help="print the tables of kept results alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    sets = load_sets(arguments.data)
    source = MemorySource(SIDE, load_config("laptop").clip_settings(motion=True).motion)
    if not arguments.table:
        source.load([item.path for videos in sets.values() for item in videos.items])
    experiment = Experiment(sets, source, arguments.out, arguments.settings)
    found: dict[str, list[dict[str, Hits]]] = {}
    for system in arguments.systems:
        random = system.split(",")[0] in HELD_BY_SEED
        for seed in arguments.seeds if random else [0]:
            if arguments.table and not result_file(arguments.out, system, seed).exists():
                continue
            found.setdefault(system, []).append(experiment.run(system, seed))
            print(f"seed {seed}, {system}: done", flush=True)
    for name, videos in sets.items():
        print_table(name, videos, {system: [row[name] for row in rows] for system, rows in found.items()})


if __name__ == "__main__":
    main()
