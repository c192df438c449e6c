"""A training run before and between its steps: its clips, its devices, its folder, its state, and how it resumes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mgm.data.annotations import VideoItem
from mgm.data.clips.source import ClipSource, FileSource, MemorySource
from mgm.data.fingerprint import describe_change, fingerprint
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.data.loading.loader import Batch, BatchOrder, batches
from mgm.data.loading.memory import keep_freed_memory
from mgm.errors import ConfigError, DataError
from mgm.files.atomic import cannot_write
from mgm.training.checkpoint import LAST_CHECKPOINT, load_checkpoint, save_checkpoint
from mgm.training.config import Config, OptimConfig
from mgm.training.log import LOG_FILE, RunHistory, StepLog
from mgm.training.method import TrainingMethod
from mgm.training.optim import Schedule, build_schedule
from mgm.training.recipe import parse_config

CONFIG_FILE = "config.yaml"

# No batch and no weight depends on these settings: they may change when a run resumes.
_MAY_CHANGE = frozenset(
    {"data.workers", "data.read_timeout", "data.bad_share", "pretrain.checkpoint_every", "finetune.checkpoint_every"}
)
_OTHER_OUT = "give another --out"


def training_clips(
    items: tuple[VideoItem, ...],
    config: Config,
    transform: ClipTransform,
    source: ClipSource | None,
    *,
    show_progress: bool,
) -> ClipSet:
    """The training set of a run, read into memory first if `data.memory` is set."""
    motion = transform.rule is not None and transform.rule.uses_motion
    on_first_rank = os.environ.get("RANK", "0") == "0"
    items, source = open_source(
        items, config, motion=motion, source=source, show_progress=show_progress and on_first_rank
    )
    settings = config.clip_settings(motion=motion)
    return ClipSet(items, source, settings, transform, seed=config.seed, repeats=config.data.repeats)


def open_source(
    items: tuple[VideoItem, ...],
    config: Config,
    *,
    motion: bool,
    source: ClipSource | None,
    show_progress: bool = False,
) -> tuple[tuple[VideoItem, ...], ClipSource]:
    """The readable videos, and the source of their clips: `source`, or as `config.data` has it.

    With `data.memory` every video is read here; unreadable ones are left out. Otherwise all videos are returned.

    Raises:
        DataError: more than the fraction `data.bad_share` of the videos could not be read.
    """
    if source is not None:
        return items, source
    if not config.data.memory:
        return items, FileSource()
    memory = MemorySource(config.data.memory_side or config.data.size, config.data.motion if motion else None)
    columns = (
        TextColumn("reading into memory: video {task.completed} of {task.total}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    visible = show_progress and sys.stdout.isatty()  # a transient bar leaves an empty line in anything but a terminal
    with Progress(*columns, disable=not visible, transient=True) as progress:
        task = progress.add_task("", total=len(items))
        unreadable = memory.load([item.path for item in items], progress=lambda _: progress.advance(task))
    if unreadable and len(unreadable) > config.data.bad_share * len(items):
        raise DataError(
            "",
            f"{len(unreadable)} of {len(items)} videos could not be read",
            f"at most {config.data.bad_share:.0%} (data.bad_share)",
            f"the first: {next(iter(unreadable.values()))}; check the set with 'mgm scan'",
            reason="too_many_failures",
        )
    return tuple(item for item in items if item.path not in unreadable), memory


def reading_workers(config: Config, source: ClipSource) -> int:
    """Number of reading processes; clips in memory need none."""
    return 0 if isinstance(source, MemorySource) else config.data.workers


def make_fabric(optim: OptimConfig) -> Fabric:
    """Lightning Fabric on one device, or on those that torchrun or SLURM started processes for.

    It never takes all GPUs of a machine by itself: Fabric would start the running command once more for each.
    """
    precision = optim.precision
    if precision == "auto":
        # bf16 autocast is half as fast as float32 on a CPU that only emulates it
        native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16-mixed" if native else "32-true"
    local = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE") or 1)
    world = int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or local)
    fabric = Fabric(devices=local, num_nodes=max(world // local, 1), precision=precision)
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_freed_memory()
    return fabric


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """Everything that the next step depends on besides the weights, the optimiser and the data.

    Attributes:
        step: number of finished steps, which is also the number of the next one.
        failed: clips so far that could not be read.
        rng: torch's random state on the CPU; `device_rng` that of the GPU, or None: dropout and stochastic depth.
    """

    step: int
    failed: int
    rng: torch.Tensor
    device_rng: torch.Tensor | None

    @classmethod
    def now(cls, step: int, failed: int, device: torch.device) -> TrainingState:
        """The state with the current random states."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(step, failed, torch.get_rng_state(), cuda)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingState:
        """The inverse of `to_dict`."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"step": self.step, "failed": self.failed, "rng": self.rng, "device_rng": self.device_rng}

    def restore(self, device: torch.device) -> None:
        """Set the random states. A run that started on a CPU has none for a GPU."""
        torch.set_rng_state(self.rng)
        if device.type == "cuda" and self.device_rng is not None:
            torch.cuda.set_rng_state(self.device_rng, device)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The folder, the length, the clips and the devices of a run.

    Attributes:
        out: its folder: config.yaml, log.jsonl, tensorboard/, last.pt; bad_videos.tsv and incidents.txt if there are any.
        config: the whole tree, saved beside the result.
        optim: the section of `config` that this run follows.
        clips: the training set.
        fabric: devices and precision.
        order: the order of the videos.
        schedule: length and learning rates.
    """

    out: Path
    config: Config
    optim: OptimConfig
    clips: ClipSet
    fabric: Fabric
    order: BatchOrder
    schedule: Schedule

    @classmethod
    def prepare(cls, out: str | Path, config: Config, optim: OptimConfig, clips: ClipSet) -> TrainingRun:
        """Set up the devices, and from them and the number of videos the order and the schedule.

        Raises:
            ConfigError: the batch is not a multiple of the number of devices.
        """
        fabric = make_fabric(optim)
        if optim.batch % fabric.world_size:
            found = f"{optim.batch} clips for {fabric.world_size} devices"
            raise ConfigError("batch", found, "a multiple of their number", reason="mismatch")
        order = BatchOrder(len(clips), optim.batch, config.seed, fabric.global_rank, fabric.world_size)
        schedule = build_schedule(optim, steps_per_epoch=order.steps_per_epoch)
        return cls(Path(out), config, optim, clips, fabric, order, schedule)

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
        at_once = max((self.optim.micro_batch or self.clips_per_rank) // self.clips.repeats, 1)
        return -(-videos // at_once)

    @property
    def left_out(self) -> Mapping[str, str]:
        """path -> message of the videos that could not be read before the run started."""
        return self.clips.source.unreadable if isinstance(self.clips.source, MemorySource) else {}

    def batches(self, first: int) -> Iterator[Batch]:
        """The micro-batches of step `first` and all later ones."""
        return batches(
            self.clips,
            self.order,
            first=first,
            last=self.schedule.steps,
            parts=self.micro_batches,
            workers=reading_workers(self.config, self.clips.source),
            pin=self.fabric.device.type == "cuda",
            timeout=self.config.data.read_timeout,
        )

    def begin(self, method: TrainingMethod, history: RunHistory, *, resume: bool) -> TrainingState:
        """Start in a new folder, or resume from the checkpoint in it.

        Raises:
            ConfigError: as `check_folder`; or the checkpoint belongs to another run.
            DataError: it belongs to a run on other videos.
            FileError: the folder cannot be written.
        """
        check_folder(self.out, resume=resume)
        if not (self.out / LAST_CHECKPOINT).exists():
            if self.fabric.is_global_zero:
                self._make_folder()
            return TrainingState.now(0, 0, self.fabric.device)
        return self._resume(method, history)

    def _resume(self, method: TrainingMethod, history: RunHistory) -> TrainingState:
        """Restore weights, optimiser, random states and history from the checkpoint."""
        content = load_checkpoint(self.out / LAST_CHECKPOINT)
        self._check_same(content, method)
        before = content["data"]["ranks"]
        if before != self.order.ranks:
            self.fabric.print(
                f"{self.out}: resuming on {self.order.ranks} devices (started on {before}): the same clips and masks, but other "
                "draws of dropout and mixing"
            )
        method.module.load_state_dict(content["model"])
        method.optimiser.load_state_dict(content["optimiser"])
        self.fabric.strategy.precision.load_state_dict(content["precision"])
        state = TrainingState.from_dict(content["position"])
        state.restore(self.fabric.device)
        history.bad.update(content["bad"])
        history.read(self.out, state.step)
        return state

    def save(self, method: TrainingMethod, state: TrainingState, log: StepLog) -> None:
        """Write the checkpoint, the log and the list of unreadable videos."""
        log.flush()
        if not self.fabric.is_global_zero:
            return
        epoch, index = self.order.place(state.step)
        save_checkpoint(
            self.out / LAST_CHECKPOINT,
            {
                **method.describe(),
                "position": state.to_dict(),
                "config": self.config.model_dump(mode="json"),
                "model": method.module.state_dict(),
                "optimiser": method.optimiser.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),  # the scale of 16-bit gradients
                "bad": dict(log.history.bad),
                # with the configuration, everything that the next batches depend on
                "data": {
                    "epoch": epoch,
                    "index": index,
                    "seed": self.order.seed,
                    "ranks": self.order.ranks,
                    "fingerprint": fingerprint(self.clips.items),
                },
            },
        )
        log.history.write_bad_videos(self.out)

    def _make_folder(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / LOG_FILE).write_text("", encoding="utf-8")
            self.config.save(self.out / CONFIG_FILE)
        except OSError as error:
            raise cannot_write(self.out, error, _OTHER_OUT) from error

    def _check_same(self, content: dict[str, Any], method: TrainingMethod) -> None:
        """Raise ConfigError or DataError if a checkpoint does not belong to this run."""
        changed = _changed_settings(parse_config(content["config"], str(self.out / LAST_CHECKPOINT)), self.config)
        if changed:
            advice = f"resume with its own settings: --recipe {self.out / CONFIG_FILE}, or {_OTHER_OUT}"
            raise ConfigError(self.out, f"its run has other settings: {changed}", advice=advice, reason="mismatch")
        for key, value in method.describe().items():
            if content.get(key) != value:
                found = f"its run is of another kind: {key} was {content.get(key)}, is {value}"
                raise ConfigError(self.out, found, advice=_OTHER_OUT, reason="mismatch")
        if "data" not in content:
            raise ConfigError(
                self.out,
                "its run was started by an earlier version of mgm, which used another order of the videos",
                advice=f"finish it with that version, or {_OTHER_OUT}",
                reason="unsupported",
            )
        other = describe_change(content["data"]["fingerprint"], self.clips.items)
        if other is not None:
            found = f"its run was started on another set of videos: {other}"
            raise DataError(self.out, found, advice=f"restore the set, or {_OTHER_OUT}", reason="mismatch")


def check_folder(out: str | Path, *, resume: bool) -> None:
    """Refuse a folder before any video is read for it.

    Raises:
        ConfigError: it is a file, contains a run that is not to be resumed, or a config.yaml that is not a run's.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ConfigError(out, "found a file", "the folder of a run", _OTHER_OUT, reason="exists")
    if (out / LAST_CHECKPOINT).exists() and not resume:
        advice = f"continue it with --resume, or {_OTHER_OUT}"
        raise ConfigError(out, "contains a run already", advice=advice, reason="exists")
    if (out / CONFIG_FILE).exists() and not ((out / LOG_FILE).exists() or (out / LAST_CHECKPOINT).exists()):
        found = f"contains a {CONFIG_FILE} that does not belong to a run and would be overwritten"
        raise ConfigError(out, found, advice=_OTHER_OUT, reason="exists")


def _changed_settings(before: Config, now: Config) -> str:
    old, new = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    names = sorted(key for key in old | new if old.get(key) != new.get(key) and key not in _MAY_CHANGE)
    return "; ".join(f"{name} was {old.get(name)}, is {new.get(name)}" for name in names)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
