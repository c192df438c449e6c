"""Accuracy of a tiny model after minutes of pretraining, by mask, against the same model untrained.

    python experiments/tiny/run.py --masks mgm tube random --seeds 0 --steps 800

Pretrains the recipe `debug` on the synthetic set and probes frozen features with short and long probes, on all
training videos and on few. One process, one thread: run several side by side on several cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from mgm.data.annotations import load_set
from mgm.data.synthetic.labelled import make_dataset
from mgm.evaluation.metrics import accuracy, correct
from mgm.evaluation.probes import attentive_probe, train_attentive_probe
from mgm.evaluation.probing import evaluation_views, training_views, untrained_encoder
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.token_file import token_file
from mgm.evaluation.views import Features, encode_views
from mgm.models import Encoder
from mgm.show.machine import machine, versions
from mgm.training import Config, load_config
from mgm.training.pretrain import pretrain
from mgm.training.run import open_source

BUDGETS = ((400, 1e-3), (1000, 2e-3))
FEW_LABELS = 400


def few(features: Features, videos: int) -> Features:
    """The features of `videos` randomly chosen videos."""
    order = torch.randperm(len(features.label), generator=torch.Generator().manual_seed(0))[:videos]
    number = torch.full((len(features.label),), -1)  # old number of a video -> new one, or -1
    number[order] = torch.arange(len(order))
    kept = number[features.owner] >= 0
    owner = number[features.owner[kept]]
    return Features(features.mean[kept], owner, features.label[order], features.row[kept])


def report(name: str, encoder: Encoder, config: Config, videos, source) -> None:  # type: ignore[no-untyped-def]
    """Print one row per number of labels and budget of the probe."""
    spec, views = encoder.spec, training_views(videos.train, config, source)
    tested = evaluation_views(videos.test, config, source, config.sampler(config.probe.sampling))
    shape = (len(views) * views.most, spec.tokens, spec.encoder.dim)
    with tempfile.TemporaryDirectory() as folder, token_file(Path(folder), shape, Ranks()) as tokens:
        train = encode_views(encoder, views, tokens=tokens)
        for count in (len(train.label), FEW_LABELS):
            some = train if count == len(train.label) else few(train, count)
            for steps, lr in BUDGETS:
                pooler = train_attentive_probe(
                    some,
                    tokens,
                    classes=len(videos.classes),
                    heads=spec.encoder.heads,
                    config=config.probe.model_copy(update={"steps": steps, "lr": lr}),
                    seed=config.seed,
                )
                test = encode_views(encoder, tested, probe=pooler)
                value = accuracy(correct(attentive_probe(test), test.label.numpy()))
                print(
                    f"{name:24s} {count:5d} labels, probe of {steps:4d} steps: {value.top1:.3f} "
                    f"[{value.low:.3f}, {value.high:.3f}]",
                    flush=True,
                )


def main() -> None:
    """Run every mask and seed in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", nargs="+", default=["mgm", "tube", "random"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--videos", type=Path, default=Path("runs/synthetic"))
    parser.add_argument("--settings", nargs="*", default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    make_dataset(arguments.videos, train=1280, test=256, pan=0.25)
    videos = load_set(arguments.videos)
    shared = ("probe.clips_per_video=2", "probe.temporal_views=3", *arguments.settings)
    _, source = open_source(videos.items, load_config("debug", shared), motion=True, source=None)
    for seed in arguments.seeds:
        config = load_config("debug", (*shared, f"seed={seed}"))
        report(f"untrained, seed {seed}", untrained_encoder(config), config, videos, source)
        for mask in arguments.masks:
            settings = (*shared, f"seed={seed}", f"mask.name={mask}", f"pretrain.steps={arguments.steps}")
            config = load_config("debug", settings)
            with tempfile.TemporaryDirectory() as folder:
                result = pretrain(videos, config, out=Path(folder) / "run", source=source, show_progress=False)
            losses = result.history.losses
            print(
                f"{mask}, seed {seed}: loss {losses[0]:.3f} -> {sum(losses[-20:]) / 20:.3f} in {result.history.seconds:.0f} s"
            )
            report(f"{mask}, seed {seed}", result.model.encoder, config, videos, source)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
