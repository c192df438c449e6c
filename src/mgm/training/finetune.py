"""Fine-tuning with labels: augmentation, soft targets, layer decay."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mgm.data.annotations import VideoSet, load_set
from mgm.data.augment.batch import Augmentation
from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.flip import directed_classes
from mgm.data.augment.mixing import Mixing
from mgm.data.augment.randaugment import parse_randaugment
from mgm.data.clips.source import ClipSource
from mgm.data.loading.dataset import ClipTransform
from mgm.data.loading.loader import Batch
from mgm.errors import DataError
from mgm.models import Classifier, Encoder
from mgm.models.patches import MEAN, STD
from mgm.training.checkpoint import load_encoder
from mgm.training.config import Config, FinetuneConfig
from mgm.training.optim import Schedule, adamw, describe_rate
from mgm.training.train import Outcome, train


@dataclass(slots=True)
class Finetuning:
    """The method: what the engine needs to know of classification."""

    module: Classifier
    optimiser: torch.optim.Optimizer
    classes: tuple[str, ...]
    augment: Augmentation

    def weight(self, batch: Batch) -> float | None:
        """Every clip counts as much."""
        return None

    def loss(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross-entropy of the changed clips with the targets that came of changing them."""
        if self.augment.mixing is not None and len(set(batch.index.tolist())) == 1:
            warnings.warn(
                "one video at a time is mixed with itself, so that mixup and CutMix do nothing; raise finetune.micro_batch or "
                "finetune.batch, or set finetune.mixup and finetune.cutmix to 0",
                stacklevel=2,
            )
        video, target = self.augment(batch.video, batch.label, batch.keys)
        return F.cross_entropy(module(video).float(), target)

    def parts(self) -> Mapping[str, torch.Tensor]:
        """None: the loss is one."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Kind, specification and classes, for the checkpoint."""
        return {"kind": "classifier", "spec": self.module.encoder.spec.to_dict(), "classes": list(self.classes)}


def finetune(
    encoder: Encoder | str | Path | None,
    videos: VideoSet | str | Path,
    config: Config,
    *,
    out: str | Path,
    resume: bool = False,
    source: ClipSource | None = None,
    show_progress: bool = True,
) -> Outcome:
    """Train a classifier on labelled videos, from a pretrained encoder or from scratch.

    Args:
        encoder: a pretrained encoder, or where one is (see `mgm.load_encoder`); None starts untrained. It is not changed.
        videos: a set with labels, or what `mgm.load_set` makes one of.

    Warns:
        UserWarning: clips are mirrored although names of classes tell left from right.

    Raises:
        DataError: the set has no labels. MgmError: see `mgm.training.engine.fit`.
    """
    found = videos if isinstance(videos, VideoSet) else load_set(videos)
    if not found.classes:
        raise DataError(f"{found.root}: has no labels, expected class folders or annotations; fine-tuning needs them")
    if not found.train or any(item.label is None for item in found.train):
        bare = sum(1 for item in found.train if item.label is None)
        raise DataError(
            f"{found.root}: {len(found.train)} training videos ({found.split}), {bare} of them without a label, expected labelled "
            "ones; give them with train=FILE, without images="
        )
    optim = config.finetune
    start = load_encoder(encoder) if isinstance(encoder, str | Path) else encoder
    classes = found.classes
    if start is not None:
        _check_spec(start, config)

    def build(plan: Schedule) -> Finetuning:
        fresh = Encoder(config.model_spec())
        if start is not None:
            # copied by name, without the final norm, which fine-tuning drops
            known = {k: v for k, v in start.state_dict().items() if not k.startswith("norm.")}
            fresh.load_state_dict(known, strict=False)
        model = Classifier(
            fresh,
            classes=len(classes),
            dropout=optim.dropout,
            drop_path=optim.drop_path,
            checkpointing=config.model.checkpointing,
        )
        rates = layer_rates(depth=len(fresh.blocks), decay=optim.layer_decay)
        augment = augmentation(optim, classes=len(classes), seed=config.seed)
        return Finetuning(model, adamw(model, optim, peak=plan.peak, layer=rates), classes, augment)

    flip = flips(optim.flip, found)
    return train(
        build,
        found.train,
        config,
        optim,
        ClipTransform(optim.crop, flip, sampler=config.sampler(optim.sampling, optim.sampling_rule)),
        partial(describe_finetuning, classes=len(classes), flip=flip),
        out=Path(out),
        resume=resume,
        source=source,
        show_progress=show_progress,
    )


def augmentation(optim: FinetuneConfig, *, classes: int, seed: int) -> Augmentation:
    """What a recipe does to a batch."""
    mixed = optim.mixup_prob > 0 and (optim.mixup > 0 or optim.cutmix > 0)
    return Augmentation(
        classes,
        optim.label_smoothing,
        seed,
        parse_randaugment(optim.randaugment) if optim.randaugment is not None else None,
        RandomErasing(MEAN, STD, optim.erasing) if optim.erasing > 0 else None,
        Mixing(optim.mixup, optim.cutmix, optim.mixup_prob, optim.switch_prob) if mixed else None,
    )


def flips(asked: bool | str, videos: VideoSet) -> bool:
    """Whether clips are mirrored; "auto" is safe for the labels, as far as their names tell."""
    directed = directed_classes(videos.classes)
    if asked is True and directed:
        warnings.warn(
            f"{videos.root}: {len(directed)} of {len(videos.classes)} classes tell left from right, for example "
            f"{directed[0]!r}, and every other clip is mirrored; set finetune.flip=auto or false",
            stacklevel=3,
        )
    return not directed if asked == "auto" else bool(asked)


def describe_finetuning(config: Config, plan: Schedule, videos: int, devices: int, *, classes: int, flip: bool) -> str:
    """What a run is about to do, in three lines: before it starts is when a mistake is cheap."""
    optim, data = config.finetune, config.data
    frames = f"x stride {data.stride}" if optim.sampling == "dense" else "spread over the video"
    changes = [f"{optim.crop} crop", "mirrored" if flip else "not mirrored"]
    changes += [optim.randaugment] if optim.randaugment else []
    named = (("erasing", optim.erasing), ("mixup", optim.mixup), ("cutmix", optim.cutmix),
             ("label smoothing", optim.label_smoothing))  # fmt: skip
    changes += [f"{name} {value:g}" for name, value in named if value]
    repeats = f", each in {data.repeats} crops" if data.repeats > 1 else ""
    return (
        f"{videos:,} videos of {classes} classes, clips of {data.frames} frames {frames} at {data.size} px\n"
        f"{', '.join(changes)}\n"
        f"{plan.steps:,} steps of {optim.batch} clips on {devices} device{'s' * (devices > 1)}{repeats}, {describe_rate(plan)}"
    )


def layer_rates(*, depth: int, decay: float) -> Callable[[str], float]:
    """Learning-rate multiplier by parameter name: decay^(depth + 1 - i), i = 0 for the embedding and what is added to it,
    k + 1 for block k, depth + 1 (multiplier 1) for the norm and the head."""

    def rate(name: str) -> float:
        parts = name.split(".")
        if parts[0] == "encoder" and parts[1] in ("patch_embed", "class_token", "position_time", "position_space"):
            layer = 0
        elif parts[:2] == ["encoder", "blocks"]:
            layer = int(parts[2]) + 1
        else:
            layer = depth + 1
        return float(decay ** (depth + 1 - layer))

    return rate


def _check_spec(found: Encoder, config: Config) -> None:
    expected = config.model_spec()
    same = ("size", "patch", "tubelet", "frames", "frame_size", "position", "position_grid", "backbone", "attention")
    keys = (*same, "class_token")
    wrong = [
        f"{key} {getattr(found.spec, key)} instead of {getattr(expected, key)}"
        for key in keys
        if getattr(found.spec, key) != getattr(expected, key)
    ]
    if wrong:
        raise DataError(
            f"the encoder does not fit the recipe: {', '.join(wrong)}; use the recipe that it was pretrained with, "
            "or mgm.settings_for of an encoder from elsewhere"
        )
