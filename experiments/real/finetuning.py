"""Settings of fine-tuning `laptop`, compared on folds of the training clips alone: by camera, and by source video.

    python experiments/real/finetuning.py DATA --start runs/end-to-end/pretrain-0 --out runs/finetuning

DATA contains the folders surv_fights and tank_wagon. One camera of tank_wagon, or a third of the source videos of surv_fights, is
left out in turn, and judged. No test clip is read. A fold that is in --out already is not trained again. `--start none` is the
same network from scratch.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sets import cameras, load_sets

from mgm.data.clips.source import ClipSource, MemorySource
from mgm.data.items import VideoItem, VideoSet
from mgm.evaluation.classification import confusion_matrix, log_loss, mean_class_accuracy
from mgm.evaluation.multi_view import evaluate_classifier
from mgm.evaluation.probing import untrained_encoder
from mgm.machine import machine, versions
from mgm.training import load_config
from mgm.training.checkpoint import load_classifier, load_encoder
from mgm.training.finetune import finetune

SIDE = 72
SOURCE = re.compile(r"(g\d+)_")
"""The number of a source video, in the name of a clip of surv_fights."""
EARLIER = ("finetune.base_lr=8e-3",)
RANDOM, EQUAL = "finetune.head_init=random", "finetune.class_weights=equal"
ARMS: dict[str, tuple[str, ...]] = {
    "laptop": (),
    "the probe that it starts from": ("finetune.steps=1", "finetune.warmup=0", "finetune.base_lr=1e-12"),
    "encoder at a tenth of the rate": ("finetune.body_lr=0.1",),
    "encoder at a hundredth of the rate": ("finetune.body_lr=0.01",),
    "attentive pooling": ("finetune.pooling=attentive",),
    "equal weights of classes": (EQUAL,),
    "random head": (RANDOM, *EARLIER),
    "random head, equal weights": (RANDOM, EQUAL, *EARLIER),
    "random head, equal weights, attentive, rate 3.2e-2": (
        RANDOM,
        EQUAL,
        "finetune.pooling=attentive",
        "finetune.base_lr=3.2e-2",
    ),
}
"""What is compared -> settings."""


def folds(name: str, videos: VideoSet, camera: dict[str, str]) -> list[VideoSet]:
    """The training clips, split three times into those to train on and those to judge."""

    def group(item: VideoItem) -> str:
        if name == "tank_wagon":
            return camera[item.path]
        return SOURCE.findall(Path(item.path).name)[0]

    found = sorted({group(item) for item in videos.train})
    parts = [set(found[k::3]) for k in range(3)]  # of tank_wagon: one camera each
    return [
        replace(
            videos,
            train=tuple(item for item in videos.train if group(item) not in part),
            test=tuple(item for item in videos.train if group(item) in part),
        )
        for part in parts
    ]


def judge(
    start: Path | None, fold: VideoSet, settings: tuple[str, ...], seed: int, out: Path, source: ClipSource
) -> dict[str, float]:
    """Fine-tune, and judge the clips that were left out; kept in a file."""
    file = out / "judged.json"
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    config = load_config("laptop", [*settings, f"seed={seed}"])
    encoder = untrained_encoder(config, fold.train, source) if start is None else load_encoder(start)
    finetune(encoder, fold, config, out=out, resume=True, source=source, show_progress=False)
    found = evaluate_classifier(load_classifier(out)[0], fold, config, source)
    steps = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    loss = [step["loss"] for step in steps if "loss" in step]
    judged = {
        "mean class accuracy": mean_class_accuracy(confusion_matrix(found.probability, found.label)),
        "top-1": float((found.probability.argmax(1) == found.label).mean()),
        "log loss": float(log_loss(found.probability, found.label).mean()),
        "training loss": float(np.mean(loss[-20:])),
    }
    file.write_text(json.dumps(judged), encoding="utf-8")
    return judged


def main() -> None:
    """Train every fold of every arm, and print a row for each arm and set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="folder of a run of pretraining, or none")
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=tuple(ARMS))
    parser.add_argument("--sets", nargs="+", default=["tank_wagon", "surv_fights"])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/finetuning"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    start = None if str(arguments.start) == "none" else arguments.start
    sets, camera = load_sets(arguments.data), cameras(arguments.data)
    source = MemorySource(SIDE, load_config("laptop").clip_settings(motion=False).motion)
    source.load([item.path for name in arguments.sets for item in sets[name].train])
    print("\n| set | settings | mean class accuracy of each fold | mean | top-1 | log loss | training loss |")
    print(f"{'|---' * 7}|")
    for arm in arguments.arms:
        for name in arguments.sets:
            rows = []
            for number, fold in enumerate(folds(name, sets[name], camera)):
                if number in arguments.folds:
                    out = arguments.out / f"{arm}-{name}-{number}-{arguments.seed}".replace(" ", "-").replace(",", "")
                    rows.append(judge(start, fold, ARMS[arm], arguments.seed, out, source))
            each = " ".join(f"{row['mean class accuracy']:.3f}" for row in rows)
            means = " | ".join(f"{np.mean([row[key] for row in rows]):.3f}" for key in rows[0])
            print(f"| {name} | {arm} | {each} | {means} |", flush=True)


if __name__ == "__main__":
    main()
