"""Fine-tuning with labels: augmentation, soft targets, layer decay."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.data.annotations import VideoItem, VideoSet
from mgm.data.augment.batch import Augmentation
from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.flip import directed_classes
from mgm.data.augment.mixing import Mixing
from mgm.data.augment.randaugment import parse_randaugment
from mgm.data.clips.source import ClipSource
from mgm.data.judging import unprobeable, untestable, untrainable
from mgm.data.loading.dataset import ClipTransform
from mgm.data.loading.loader import Batch
from mgm.errors import ModelError
from mgm.models import Classifier, Encoder
from mgm.models.logistic import balanced_weights
from mgm.models.networks.network import VideoNetwork
from mgm.models.patches import MEAN, STD
from mgm.printable import plural
from mgm.training.checkpoint import (
    contains_settings,
    load_checkpoint,
    load_encoder,
    load_predictor,
    load_pretrained,
    open_features,
    run_config,
)
from mgm.training.config import Config, check_config
from mgm.training.folder import Start, run_folder
from mgm.training.head_start import start_head_from_probe
from mgm.training.loop import TrainingResult, fit
from mgm.training.method import StepResult
from mgm.training.networks import network_rates, network_to_train, network_with_backbone, read_network
from mgm.training.optim import Schedule, build_optimiser
from mgm.training.recipe import chooses_network, default_recipe, load_config
from mgm.training.results import asked_set
from mgm.training.run import TrainingRun, training_clips
from mgm.training.sections import FinetuneConfig
from mgm.training.shared_set import shared_set
from mgm.training.whitening import start_from_videos


def finetune(
    encoder: Encoder | VideoNetwork | str | Path | None,
    videos: VideoSet | str | Path,
    config: Config,
    *,
    out: str | Path,
    resume: str | Path | bool = "never",
    extend: str | Path | None = None,
    change: Sequence[str] = (),
    source: ClipSource | None = None,
    show_progress: bool = True,
    progress: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Train a classifier on labelled videos, from a pretrained encoder or from scratch.

    Args:
        encoder: a pretrained encoder or its path (see `mgm.load_encoder`), left unchanged; None: from scratch. With `model.network`
            a network, the folder of its run, or weights of its authors.
        videos: a set with labels, or an argument of `mgm.load_set`.
        out, resume, extend, change, source, progress: as in `mgm.pretrain`.

    Warns:
        UserWarning: clips are mirrored although class names distinguish left from right; a class has test videos and none for
            training.

    Raises:
        ConfigError: `out` contains another run, or the run cannot begin at the checkpoint.
        FileError: another process writes into `out`.
        DataError: no classifier can be trained on the set. ModelError: the encoder does not fit `config`.
        MgmError: see `mgm.training.loop.fit`.
    """
    check_config(config)
    start = Start.of(resume, extend, change)
    with run_folder(out, start):  # before the videos are read, which can take minutes
        run, method = set_up_finetuning(encoder, videos, config, Path(out), source, show_progress=show_progress)
        if not start.continues(run.out):
            if encoder is None and isinstance(method.module, Classifier):
                start_from_videos(method.module.encoder, run.clips.items, config, run.clips.source)
            device = run.fabric.device
            start_head_from_probe(method.module, run.clips, config, device=device, show_progress=show_progress)
        return fit(method, run, start, show_progress=show_progress, progress=progress)


def set_up_finetuning(
    encoder: Encoder | VideoNetwork | str | Path | None,
    videos: VideoSet | str | Path,
    config: Config,
    out: Path,
    source: ClipSource | None,
    *,
    show_progress: bool,
) -> tuple[TrainingRun, Finetuning]:
    """The run and the method of `finetune`, before its folder is written."""
    found = shared_set(videos)
    if (error := untrainable(found)) is not None:
        raise error
    if untestable(found) is None and (error := unprobeable(found)) is not None:  # it may be meant
        warnings.warn(f"{error.subject}: {error.found}; every answer about them will be wrong", stacklevel=3)
    optim = config.finetune
    pretrained = _opened(encoder, config) if isinstance(encoder, str | Path) else encoder
    _check_start(pretrained, config)
    flip = resolve_flip(optim.flip, found)

    transform = ClipTransform(optim.crop, flip, sampler=config.sampler(optim.sampling, optim.sampling_rule))
    repeats = config.repeats("finetune")
    clips = training_clips(found.train, config, transform, source, repeats=repeats, show_progress=show_progress)
    start = str(encoder) if isinstance(encoder, str | Path) else None if encoder is None else type(encoder).__name__
    run = TrainingRun.prepare(out, config, optim, clips, lambda: {"set": asked_set(found), "encoder": start})
    torch.manual_seed(config.seed)  # last: everything above may draw random numbers
    model: Classifier | VideoNetwork
    if config.model.network is not None:
        assert not isinstance(pretrained, Encoder)  # `_check_start`
        model = network_to_train(config, found.classes, pretrained)
    else:
        assert not isinstance(pretrained, VideoNetwork)
        model = build_classifier(config, classes=len(found.classes), pretrained=pretrained)
    augment = augmentation(optim, classes=len(found.classes), seed=config.seed)
    return run, Finetuning(model, config, found.classes, flip, augment, class_weights(clips.items, config, found))


def class_weights(items: Sequence[VideoItem], config: Config, videos: VideoSet) -> Tensor | None:
    """How much a clip of each class counts in the loss, float32 (classes,); None: all alike."""
    if config.finetune.class_weights == "equal":
        return None
    labels = torch.tensor([item.label for item in items])
    return balanced_weights(labels.bincount(minlength=len(videos.classes)))


def open_start(
    path: str | Path, overrides: Sequence[str] = (), *, recipe: str | Path | None = None
) -> tuple[Encoder | VideoNetwork, Config]:
    """The weights of a path, to start fine-tuning from, and the settings.

    As `open_features`; with a network in `overrides` or in `recipe`, also a run that has pretrained the network's backbone.
    """
    own = run_config(path).model.network if contains_settings(path) else None
    if chooses_network(overrides) or (recipe is not None and own is None):
        config = load_config(recipe or default_recipe(overrides), overrides)
        if config.model.network is not None:
            return _opened(path, config), config
    return open_features(path, overrides, recipe=recipe)


def build_classifier(config: Config, *, classes: int, pretrained: Encoder | None = None) -> Classifier:
    """The new model that a run fine-tunes."""
    start = Encoder(config.model_spec())
    if pretrained is not None:
        # copied by name, without the final norm, which fine-tuning drops
        weights = {key: value for key, value in pretrained.state_dict().items() if not key.startswith("norm.")}
        start.load_state_dict(weights, strict=False)
    return Classifier(
        start,
        classes=classes,
        dropout=config.finetune.dropout,
        drop_path=config.finetune.drop_path,
        pooling=config.finetune.pooling,
        checkpointing=config.model.checkpointing,
    )


@dataclass(slots=True)
class Finetuning:
    """Classification as a `TrainingMethod`."""

    module: Classifier | VideoNetwork
    config: Config
    classes: tuple[str, ...]
    flip: bool
    augment: Augmentation
    class_weights: Tensor | None = None

    def build_optimiser(self, peak: float) -> torch.optim.Optimizer:
        """The optimiser of `config.finetune`, with layer decay."""
        optim = self.config.finetune
        if isinstance(self.module, VideoNetwork):
            rates = network_rates(self.module, decay=optim.layer_decay, body=optim.body_lr)
        else:
            rates = layer_rates(depth=len(self.module.encoder.blocks), decay=optim.layer_decay, body=optim.body_lr)
        return build_optimiser(self.module, optim, peak=peak, layer=rates)

    def step(self, module: nn.Module, batch: Batch) -> StepResult:
        """Cross-entropy of the augmented clips with their soft targets, each class with its weight."""
        if self.augment.mixing is not None and len(set(batch.index.tolist())) == 1:
            warnings.warn(
                "a batch with clips of one video is mixed with itself, so that mixup and CutMix have no effect; raise "
                "finetune.micro_batch or finetune.batch, or set finetune.mixup and finetune.cutmix to 0",
                stacklevel=2,
            )
        video, target = self.augment(batch.video, batch.label, batch.keys)
        weight = None if self.class_weights is None else self.class_weights.to(target.device)
        return StepResult(F.cross_entropy(module(video).float(), target, weight))

    def describe(self) -> dict[str, Any]:
        """Kind, specification, classes and pooling, for the checkpoint; of a network its name and clips."""
        if isinstance(self.module, VideoNetwork):
            name, data = self.config.model.network, self.config.data
            about = {"kind": "network", "network": name, "frames": data.frames, "size": data.size}
            return about | {"classes": list(self.classes)}
        spec, pooling = self.module.encoder.spec.to_dict(), self.module.pooling
        return {"kind": "classifier", "spec": spec, "classes": list(self.classes), "pooling": pooling}

    def frozen(self) -> dict[str, Any]:
        """The weights of the classes."""
        return {} if self.class_weights is None else {"class_weights": self.class_weights}

    def summary(self, schedule: Schedule, *, videos: int, devices: int) -> str:
        """Three lines: clips; augmentation; length and learning rate."""
        optim, data = self.config.finetune, self.config.data
        frames = f"x stride {data.stride}" if optim.sampling == "dense" else "spread over the video"
        changes = [f"{optim.crop} crop", "mirrored" if self.flip else "not mirrored"]
        changes += [optim.randaugment] if optim.randaugment else []
        named = (("erasing", optim.erasing), ("mixup", optim.mixup), ("cutmix", optim.cutmix),
                 ("label smoothing", optim.label_smoothing))  # fmt: skip
        changes += [f"{name} {value:g}" for name, value in named if value]
        repeats = self.config.repeats("finetune")
        crops = f", each in {repeats} crops" if repeats > 1 else ""
        return (
            f"{plural(videos, 'video')} of {len(self.classes)} classes, clips of {data.frames} frames {frames} at {data.size} px\n"
            f"{', '.join(changes)}\n"
            f"{plural(schedule.steps, 'step')} of {optim.batch} clips on {plural(devices, 'device')}{crops}, "
            f"{schedule.summary()}"
        )


def augmentation(optim: FinetuneConfig, *, classes: int, seed: int) -> Augmentation:
    """The augmentation of a batch that the settings describe."""
    mixed = optim.mixup_prob > 0 and (optim.mixup > 0 or optim.cutmix > 0)
    return Augmentation(
        classes,
        optim.label_smoothing,
        seed,
        parse_randaugment(optim.randaugment) if optim.randaugment is not None else None,
        RandomErasing(MEAN, STD, optim.erasing) if optim.erasing > 0 else None,
        Mixing(optim.mixup, optim.cutmix, optim.mixup_prob, optim.switch_prob) if mixed else None,
    )


def resolve_flip(flip: bool | str, videos: VideoSet) -> bool:
    """Whether clips are mirrored; "auto" mirrors unless a class name distinguishes left from right."""
    directed = directed_classes(videos.classes)
    if flip is True and directed:
        warnings.warn(
            f"{videos.root}: {len(directed)} of {len(videos.classes)} classes distinguish left from right, for example "
            f"{directed[0]!r}, but half of the clips are mirrored; set finetune.flip=auto or false",
            stacklevel=3,
        )
    return not directed if flip == "auto" else bool(flip)


def layer_rates(*, depth: int, decay: float, body: float = 1.0) -> Callable[[str], float]:
    """Learning-rate multiplier by parameter name: decay^(depth + 1 - i), times `body` for i up to depth.

    i = 0 for the patch embedding, the class token and position embeddings, k + 1 for block k, depth + 1 (multiplier 1) for
    the norm and the head.
    """

    def rate(name: str) -> float:
        """The multiplier of a parameter."""
        parts = name.split(".")
        if parts[0] == "encoder" and parts[1] in ("patch_embed", "class_token", "position_time", "position_space"):
            layer = 0
        elif parts[:2] == ["encoder", "blocks"]:
            layer = int(parts[2]) + 1
        else:
            layer = depth + 1
        return float(decay ** (depth + 1 - layer)) * (1.0 if layer > depth else body)

    return rate


def _opened(path: str | Path, config: Config) -> Encoder | VideoNetwork:
    """The weights to start from."""
    if config.model.network is None:
        return load_encoder(path)
    if not contains_settings(path):
        return read_network(path, config, to_train=True)
    if load_checkpoint(path)["kind"] == "predictor":
        try:
            return network_with_backbone(load_predictor(path).encoder, config)
        except ModelError as error:
            raise error.within(path) from error
    model = load_pretrained(path)
    if not isinstance(model, VideoNetwork):
        found = f"contains a {type(model).__name__}"
        raise ModelError(path, found, config.model.network, "set model.network=null", reason="mismatch")
    return model


def _check_start(start: Encoder | VideoNetwork | None, config: Config) -> None:
    """Raises ModelError unless the weights to start from are of the kind that the configuration trains."""
    name = config.model.network
    if start is None or (isinstance(start, VideoNetwork) and name is not None):
        return
    if isinstance(start, VideoNetwork) or name is not None:
        found = f"found a {type(start).__name__}, but model.network is {name or 'null'}"
        raise ModelError("encoder", found, advice="set model.network to its name, or null for a ViT", reason="mismatch")
    _check_spec(start, config)


def _check_spec(encoder: Encoder, config: Config) -> None:
    expected = config.model_spec()
    same = ("size", "patch", "tubelet", "frames", "frame_size", "position", "position_grid", "backbone", "attention")
    wrong = [
        f"{key} {getattr(encoder.spec, key)} instead of {getattr(expected, key)}"
        for key in (*same, "class_token")
        if getattr(encoder.spec, key) != getattr(expected, key)
    ]
    if wrong:
        raise ModelError(
            "encoder",
            f"does not fit the recipe: {', '.join(wrong)}",
            advice="use the recipe of its pretraining, or mgm.config_for for an external encoder",
            reason="mismatch",
        )
