"""Masked autoencoding of unlabelled videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mgm.data.annotations import VideoSet
from mgm.data.clips.source import ClipSource
from mgm.data.judging import without_training
from mgm.data.loading.dataset import ClipTransform
from mgm.data.loading.loader import Batch
from mgm.models import TARGETS, Codes, Encoder, MaskedAutoencoder, Reconstruction, Tokenizer
from mgm.models.replacement import MaskedPredictor
from mgm.printable import plural
from mgm.training.checkpoint import load_encoder
from mgm.training.config import Config, check_config
from mgm.training.folder import Start, run_folder
from mgm.training.loop import TrainingResult, fit
from mgm.training.method import StepResult
from mgm.training.optim import Schedule, build_optimiser
from mgm.training.results import asked_set
from mgm.training.run import TrainingRun, training_clips
from mgm.training.shared_set import shared_set
from mgm.training.whitening import start_from_videos


def pretrain(
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
    """Pretrain an autoencoder on every training video of a set; labels are not used.

    Args:
        videos: a set, or an argument of `mgm.load_set`.
        out: the run's folder; see `mgm.training.run.TrainingRun`.
        resume: "auto": continue the run in `out` exactly as if it had not been stopped, or start one if there is none. "never":
            start one; a run in `out` is an error. A path: begin at that checkpoint, or at the newest one of that run. True and
            False are "auto" and "never".
        extend: a run with the schedule "wsd": begin before its decay, with another length. A run in `out` continues if `resume`
            is "auto".
        change: names of settings that may differ from those of the checkpoint. Number of workers, dates of checkpoints and the
            length always may; others that differ are an error that lists them.
        source: the source of the clips; None: as `config.data` describes.
        progress: called with one line of text per step.

    Raises:
        ConfigError: `out` contains another run, or the run cannot begin at the checkpoint.
        FileError: another process writes into `out`.
        DataError: the set has no training videos. MgmError: see `mgm.training.loop.fit`.
    """
    check_config(config)
    start = Start.of(resume, extend, change)
    with run_folder(out, start):  # before the videos are read, which can take minutes
        run, method = set_up_pretraining(videos, config, Path(out), source, show_progress=show_progress)
        encoder = method.module.encoder
        if isinstance(encoder, Encoder) and not start.continues(run.out):
            start_from_videos(encoder, run.clips.items, config, run.clips.source)
        return fit(method, run, start, show_progress=show_progress, progress=progress)


def set_up_pretraining(
    videos: VideoSet | str | Path, config: Config, out: Path, source: ClipSource | None, *, show_progress: bool
) -> tuple[TrainingRun, Pretraining]:
    """The run and the method of `pretrain`, before its folder is written."""
    found = shared_set(videos)
    if (error := without_training(found)) is not None:
        raise error
    spec, data = config.model_spec(), config.data
    teacher = None
    if config.model.teacher is not None:
        teacher = load_encoder(config.model.teacher, frames=spec.frames, resolution=spec.resolution)
    of_pictures = None if config.model.image_teacher is None else load_encoder(config.model.image_teacher)
    tokenizer = read_tokenizer(config)

    rule, sampler = config.mask_rule(), config.sampler(data.sampling)
    transform = ClipTransform(data.crop, data.flip, rule, sampler, config.stills())
    repeats = config.repeats("pretrain")
    clips = training_clips(found.train, config, transform, source, repeats=repeats, show_progress=show_progress)
    run = TrainingRun.prepare(out, config, config.pretrain, clips, lambda: {"set": asked_set(found)})
    torch.manual_seed(config.seed)  # last: everything above may draw random numbers
    return run, Pretraining(build_autoencoder(config, teacher, tokenizer, of_pictures), config)


def read_tokenizer(config: Config) -> Tokenizer | None:
    """The tokenizer of the settings, which the kind of the target reads."""
    return None if config.model.tokenizer is None else tokenizer_kind(config).read(config.model.tokenizer)


def tokenizer_kind(config: Config) -> type[Tokenizer]:
    """The class of the tokenizer whose codes the target predicts."""
    return next(kind.kind for name in config.model.target_names if issubclass(kind := TARGETS[name], Codes))


def build_autoencoder(
    config: Config,
    teacher: Encoder | None,
    tokenizer: Tokenizer | int | None = None,
    image_teacher: Encoder | None = None,
) -> MaskedAutoencoder | MaskedPredictor:
    """The new model that a run pretrains."""
    model = config.model
    if model.replacement is not None:
        return MaskedPredictor(
            config.model_spec(),
            trunk=model.replacement,
            target=model.target,
            teacher=teacher,
            tokenizer=tokenizer,
            drop_path=model.drop_path,
            checkpointing=model.checkpointing,
            pictures=config.data.pictures == "single",
        )
    return MaskedAutoencoder(
        config.model_spec(),
        target=model.target,
        teacher=teacher,
        image_teacher=image_teacher,
        tokenizer=tokenizer,
        visible_target=model.visible_target,
        checkpointing=model.checkpointing,
        pictures=config.data.pictures == "single",
    )


@dataclass(slots=True)
class Pretraining:
    """Masked autoencoding, or masked prediction with replaced tokens, as a `TrainingMethod`."""

    module: MaskedAutoencoder | MaskedPredictor
    config: Config

    def build_optimiser(self, peak: float) -> torch.optim.Optimizer:
        """The optimiser of `config.pretrain`."""
        return build_optimiser(self.module, self.config.pretrain, peak=peak)

    def step(self, module: nn.Module, batch: Batch) -> StepResult:
        """The weighted errors of the targets at the hidden tokens (docs/method.md, "Learning").

        Loss weight: reconstructed tokens / hidden tokens per clip, or where clips hide different numbers / the most that one hides.
        """
        assert batch.mask is not None
        weight = None if batch.decode is None else float((batch.mask & batch.decode).sum() / batch.mask[0].sum())
        rule = self.config.mask_rule() if isinstance(self.module, MaskedPredictor) else None
        if rule is not None and not rule.mask.fixed_count:
            stills = self.config.stills()
            if stills is not None and batch.mask.shape[1] == 1:
                rule = stills.rule
            predicted = batch.mask if batch.decode is None else batch.mask & batch.decode
            weight = float(predicted.sum()) / rule.mask.count(rule.grid, rule.ratio)
        # A micro-batch of few clips may have no token to reconstruct: the model then reconstructs all, with weight 0.
        decode = None if weight == 0 else batch.decode
        split = self.module.split(batch.mask, decode, device=batch.video.device)
        result: Reconstruction = module(batch.video, split, motion=batch.motion)
        parts = {name: value.detach() for name, value in result.parts.items()} if len(result.parts) > 1 else {}
        if self.config.data.pictures == "single":
            kind = "videos" if batch.mask.shape[1] > 1 else "pictures"
            parts = {f"{kind} {name}": value.detach() for name, value in result.parts.items()}
        return StepResult(result.loss, parts, weight)

    def describe(self) -> dict[str, Any]:
        """Kind, specification, target, a teacher's specification and the size of a tokenizer's vocabulary, for the checkpoint."""
        content: dict[str, Any] = {
            "kind": "autoencoder",
            "spec": self.module.spec.to_dict(),
            "target": self.config.model.target,
            "visible_target": self.config.model.visible_target,
            **self.module.objective.describe_networks(),
        }
        if isinstance(self.module, MaskedPredictor):
            pictures = self.config.data.pictures == "single"
            content |= {"kind": "predictor", "trunk": self.module.trunk_name, "pictures": pictures}
        return content

    def frozen(self) -> dict[str, Any]:
        """The weights of the targets' teachers and tokenizer."""
        objective = self.module.objective
        found = {
            "teacher": objective.teacher,
            "image_teacher": objective.image_teacher,
            "tokenizer": objective.tokenizer,
        }
        return {name: network.state_dict() for name, network in found.items() if isinstance(network, nn.Module)}

    def summary(self, schedule: Schedule, *, videos: int, devices: int) -> str:
        """Three lines: clips and tokens; model and mask; length and learning rate."""
        config = self.config
        spec, rule, repeats = config.model_spec(), config.mask_rule(), config.repeats("pretrain")
        counts = dict.fromkeys(rule.mask.count(spec.grid, rule.at(progress).ratio) for progress in (0, 1))
        hidden = " to ".join(map(str, counts))
        most = "" if rule.mask.fixed_count else "up to "
        clips = schedule.steps * config.pretrain.batch
        each = f", each in {repeats} crops with {repeats} masks" if repeats > 1 else ""
        return (
            f"{plural(videos, 'video')}, clips of {config.data.frames} frames x stride {config.data.stride} "
            f"at {config.data.size} px, {spec.tokens} tokens {spec.grid}\n"
            f"model {_model_summary(config)}, mask {config.mask.name} hides {most}{hidden} tokens per "
            f"{'step' if rule.mask.equal_steps else 'clip'} ({config.mask.ratios}){_decoder_mask_summary(config)}\n"
            f"{plural(schedule.steps, 'step')} of {config.pretrain.batch} clips on {plural(devices, 'device')} = {clips:,} "
            f"clips ({clips / videos:.1f} per video{each}), {schedule.summary()}"
        )


def _model_summary(config: Config) -> str:
    """The size, and every deviation from the reference."""
    model, spec = config.model, config.model_spec()
    parts: list[str] = [model.size]
    parts += [f"{spec.backbone} ({'divided' if spec.divided else 'joint'})"] if spec.backbone != "vit" else []
    parts += [f"{model.replacement} with replaced tokens"] if model.replacement is not None else []
    parts += [f"{spec.decoder_attention}-attention decoder"] if spec.decoder_attention != "self" else []
    parts += [f"{len(spec.decoders)} decoders"] if spec.decoders is not None else []
    parts += ["a regressor"] if spec.regressor_depth is not None else []
    parts += [f"target {' + '.join(model.target_names)}"] if model.target != "normalised-pixels" else []
    parts += [f"{' + '.join(model.visible_target_names)} at visible tokens"] if model.visible_target else []
    return ", ".join(parts)


def _decoder_mask_summary(config: Config) -> str:
    second = config.mask.decoder
    return "" if second is None else f", {second.name} leaves {1 - second.ratio:.0%} of the tokens to reconstruct"
