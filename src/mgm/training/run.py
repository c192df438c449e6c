"""A training run before its steps: its clips, its devices, its order of videos, its length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgm.data.annotations import VideoItem
from mgm.data.clips.images import is_picture
from mgm.data.clips.motion_pictures import MotionPictures
from mgm.data.clips.source import ClipSource, FileSource, MemorySource, left_out
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.data.loading.loader import Batch, BatchOrder, batches
from mgm.data.loading.memory import keep_freed_memory
from mgm.data.unreadable import LEAVE_OUT_ADVICE
from mgm.errors import ConfigError, DataError
from mgm.terminal import Activity
from mgm.training.config import Config, Run
from mgm.training.devices import make_fabric
from mgm.training.fabric import Fabric
from mgm.training.optim import Schedule, build_schedule
from mgm.training.sections import FinetuneConfig, OptimConfig
from mgm.training.sharding import WIDE_ENCODER


def training_clips(
    items: Sequence[VideoItem],
    config: Config,
    transform: ClipTransform,
    source: ClipSource | None,
    *,
    repeats: int,
    show_progress: bool,
) -> ClipSet:
    """The training set of a run, read into memory first if `data.memory` is set."""
    motion = transform.rule is not None and transform.rule.uses_motion
    if transform.stills is not None:  # pictures last, as `BatchOrder` has them
        items = tuple(sorted(items, key=lambda item: is_picture(item.path)))
    items, source = open_source(items, config, motion=motion, source=source, show_progress=show_progress)
    settings = config.clip_settings(motion=motion)
    return ClipSet(items, source, settings, transform, seed=config.seed, repeats=repeats)


def open_source(
    items: Sequence[VideoItem],
    config: Config,
    *,
    motion: bool,
    source: ClipSource | None,
    show_progress: bool = False,
) -> tuple[Sequence[VideoItem], ClipSource]:
    """The readable videos, and the source of their clips: `source`, or as `config.data` has it.

    With `data.memory` every video is read here; unreadable ones are left out. Otherwise all videos are returned; motion in place
    of pixels is kept in memory as it is read.

    Raises:
        DataError: more than the fraction `data.bad_share` of the videos could not be read.
    """
    if source is not None:
        return items, source
    if config.data.input == "motion" or not config.data.memory:
        return items, file_source(config)
    data = config.data
    memory = MemorySource(data.memory_side or data.size, config.clip_settings(motion=motion).motion, data.reading)
    with Activity("reading videos into memory", len(items), active=show_progress) as activity:
        unreadable = memory.load([item.path for item in items], progress=activity.advance)
    if unreadable and len(unreadable) > config.data.bad_share * len(items):
        raise DataError(
            "",
            f"{len(unreadable)} of {len(items)} videos could not be read",
            f"at most {config.data.bad_share:.0%} (data.bad_share)",
            f"the first: {next(iter(unreadable.values()))}; {LEAVE_OUT_ADVICE}",
            reason="too_many_failures",
        )
    return tuple(item for item in items if item.path not in unreadable), memory


def file_source(config: Config) -> ClipSource:
    """The source of clips that are read from their files: of pixels, or of motion in their place."""
    return MotionPictures(keep=config.data.memory) if config.data.input == "motion" else FileSource()


def reading_workers(config: Config, source: ClipSource) -> int:
    """Number of reading processes; clips in memory need none."""
    in_memory = source.keep if isinstance(source, MotionPictures) else isinstance(source, MemorySource)
    return 0 if in_memory else config.data.workers


def is_sharded(config: Config, optim: OptimConfig) -> bool:
    """Whether the weights of a run are distributed over its devices."""
    if optim.strategy == "auto":
        if config.model.network is not None:
            return False
        return config.model_spec().encoder.dim >= WIDE_ENCODER
    return optim.strategy == "fsdp"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The folder, the length, the clips and the devices of a run.

    Attributes:
        out: its folder; `mgm.training.folder` names its files.
        config: the whole tree, saved beside the result.
        optim: the section of `config` that this run follows.
        clips: the training set.
        fabric: devices and precision.
        order: the order of the videos.
        schedule: length and learning rates.
        about: the set, and for fine-tuning the encoder, as `mgm.training.run_record` writes them, on the first rank alone: a
            checksum of millions of videos takes seconds.
        at_once: clips that a device takes at once, where `optim.micro_batch` leaves it to the device; None: all of a step.
    """

    out: Path
    config: Config
    optim: OptimConfig
    clips: ClipSet
    fabric: Fabric
    order: BatchOrder
    schedule: Schedule
    about: Callable[[], Mapping[str, Any]] = dict
    at_once: int | None = None

    @classmethod
    def prepare(
        cls,
        out: str | Path,
        config: Config,
        optim: OptimConfig,
        clips: ClipSet,
        about: Callable[[], Mapping[str, Any]] = dict,
    ) -> TrainingRun:
        """Set up the devices, and from them and the number of videos the order and the schedule.

        Raises:
            ConfigError: the batch is not a multiple of the number of devices.
        """
        fabric = make_fabric(optim.precision, sharded=is_sharded(config, optim))
        if fabric.device.type == "cpu":
            keep_freed_memory()
        if optim.batch % fabric.world_size:
            found = f"{optim.batch} clips for {fabric.world_size} devices"
            raise ConfigError("batch", found, "a multiple of their number", reason="mismatch")
        order = BatchOrder(len(clips), optim.batch, config.seed, fabric.global_rank, fabric.world_size, clips.pictures)
        schedule = build_schedule(optim, steps_per_epoch=order.steps_per_epoch)
        return cls(Path(out), config, optim, clips, fabric, order, schedule, about)

    @property
    def section(self) -> Run:
        """Name of the section of the configuration that this run follows."""
        return "finetune" if isinstance(self.optim, FinetuneConfig) else "pretrain"

    @property
    def clips_per_step(self) -> int:
        """Clips of a step, over all devices."""
        return self.optim.batch * self.clips.repeats

    @property
    def clips_per_rank(self) -> int:
        """Clips of a step, on this device."""
        return self.clips_per_step // self.order.ranks

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step on this device; the repeats of a video stay together."""
        videos = self.optim.batch // self.order.ranks
        given = self.optim.micro_batch if isinstance(self.optim.micro_batch, int) else self.at_once
        at_once = max((given or self.clips_per_rank) // self.clips.repeats, 1)
        return -(-videos // at_once)

    @property
    def workers(self) -> int:
        """Reading processes of this device."""
        return reading_workers(self.config, self.clips.source)

    @property
    def left_out(self) -> Mapping[str, str]:
        """path -> message of the videos that could not be read before the run started."""
        return left_out(self.clips.source)

    def batches(self, first: int) -> Iterator[Batch]:
        """The micro-batches of step `first` and all later ones."""
        return batches(
            self.clips,
            self.order,
            first=first,
            last=self.schedule.steps,
            parts=self.micro_batches,
            workers=self.workers,
            pin=self.fabric.device.type == "cuda",
            timeout=self.config.data.read_timeout,
        )
