"""From a set of videos and a configuration to a run: where clips come from, which batches, which devices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lightning_fabric import Fabric

from mgm.data.annotations import VideoItem
from mgm.data.dataset import ClipSet, MaskRule
from mgm.data.loader import Batch, BatchOrder, batches
from mgm.data.sampling import Sampler
from mgm.data.source import ClipSource, FileSource, MemorySource
from mgm.data.transform import Crop
from mgm.errors import DataError
from mgm.training.config import Config, OptimConfig
from mgm.training.engine import Run, make_fabric
from mgm.training.optim import Schedule


def prepare_source(
    items: tuple[VideoItem, ...], config: Config, *, motion: bool, source: ClipSource | None
) -> tuple[tuple[VideoItem, ...], ClipSource]:
    """The videos and where their clips come from. With `data.memory`, unreadable videos are found here and left out."""
    if source is not None:
        return items, source
    if not config.data.memory:
        return items, FileSource()
    memory = MemorySource(config.data.memory_side or config.data.size, config.data.motion if motion else None)
    problems = memory.load([i.path for i in items])
    if problems and len(problems) > config.data.bad_share * len(items):
        raise DataError(
            f"{len(problems)} of {len(items)} videos could not be read, expected at most {config.data.bad_share:.0%} "
            f"(data.bad_share); the first: {next(iter(problems.values()))}; check the set with 'mgm scan'"
        )
    return tuple(i for i in items if i.path not in problems), memory


def make_run(
    items: tuple[VideoItem, ...],
    source: ClipSource,
    config: Config,
    optim: OptimConfig,
    plan: Schedule,
    *,
    out: Path,
    rule: MaskRule | None,
    crop: Crop,
    flip: bool,
    sampler: Sampler,
) -> tuple[Run, Fabric]:
    """The run with its stream of batches, and its devices.

    Args:
        rule: the mask to draw for each clip; None where the method needs none.
    """
    fabric = make_fabric(optim)
    clips = ClipSet(
        items,
        source,
        config.clip_settings(motion=rule is not None and rule.uses_motion),
        rule=rule,
        crop=crop,
        flip=flip,
        sampler=sampler,
        seed=config.seed,
        repeats=config.data.repeats,
    )
    order = BatchOrder(len(items), optim.batch, config.seed, fabric.global_rank, fabric.world_size)
    workers = 0 if isinstance(source, MemorySource) else config.data.workers

    def stream(first: int, last: int, parts: int) -> Iterator[Batch]:
        return batches(
            clips,
            order,
            first=first,
            last=last,
            parts=parts,
            workers=workers,
            pin=fabric.device.type == "cuda",
            timeout=config.data.read_timeout,
        )

    left_out = source.problems if isinstance(source, MemorySource) else {}
    return Run(out, config, optim, plan, stream, order, items, config.data.repeats, left_out), fabric


def describe_run(config: Config, optim: OptimConfig, plan: Schedule, videos: int, devices: int) -> str:
    """What a run is about to do, in three lines: before it starts is when a mistake is cheap."""
    spec = config.model_spec()
    hidden = config.mask_rule().mask.count(spec.grid, config.mask.ratio)
    repeats = config.data.repeats
    shown = plan.steps * optim.batch
    return (
        f"{videos:,} video{'s' * (videos != 1)}, clips of {config.data.frames} frames x stride {config.data.stride} "
        f"at {config.data.size} px, "
        f"{spec.tokens} tokens {spec.grid}\n"
        f"model {_model_words(config)}, mask {config.mask.name} hides {hidden} tokens per "
        f"{'step' if config.mask_rule().mask.equal_steps else 'clip'} ({config.mask.ratio:g})"
        f"{_decoder_mask_words(config)}\n"
        f"{plan.steps:,} steps of {optim.batch} clips on {devices} device{'s' * (devices > 1)} = {shown:,} "
        f"clips ({shown / videos:.1f} per video{f', each in {repeats} crops with {repeats} masks' if repeats > 1 else ''}), "
        f"peak learning rate {plan.peak:.2e} after {plan.warmup} steps"
    )


def _model_words(config: Config) -> str:
    """Size, and what is not the reference's."""
    model, spec = config.model, config.model_spec()
    words: list[str] = [model.size]
    words += [f"{spec.backbone} ({'divided' if spec.divided else 'joint'})"] if spec.backbone != "vit" else []
    words += [f"{spec.decoder_attention}-attention decoder"] if spec.decoder_attention != "self" else []
    words += [f"target {' + '.join(model.target_names)}"] if model.target != "normalised-pixels" else []
    return ", ".join(words)


def _decoder_mask_words(config: Config) -> str:
    second = config.mask.decoder
    return "" if second is None else f", {second.name} leaves {1 - second.ratio:.0%} of the tokens to reconstruct"
