"""The loop that every training method shares: devices, precision, schedule, logs, checkpoints, resuming, progress."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import nn

from mgm.data.annotations import VideoItem
from mgm.data.fingerprint import difference, fingerprint
from mgm.data.loader import Batch, BatchOrder
from mgm.data.memory import keep_freed_memory
from mgm.errors import ConfigError, DataError, ModelError
from mgm.training.checkpoint import LAST, load_checkpoint, save_checkpoint
from mgm.training.config import Config, OptimConfig, parse_config
from mgm.training.log import LOG, History, Log, progress_bar, progress_text
from mgm.training.optim import Schedule
from mgm.training.position import Position, uninterrupted
from mgm.training.ranks import from_all_ranks, means_of
from mgm.training.trouble import note_incidents, note_problems, stop_if_too_many, write_bad_videos

__all__ = ["History", "Method", "Run", "fit", "make_fabric"]


class Method(Protocol):
    """A training method: what it trains, its step, and what a checkpoint must say to rebuild it."""

    @property
    def module(self) -> nn.Module:
        """What is trained."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """Its optimiser; the learning rate of each group is its peak."""

    def loss(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch; `module` is `self.module` as wrapped for the devices."""

    def parts(self) -> Mapping[str, torch.Tensor]:
        """The errors that the last loss is the weighted sum of, scalars, for the log; empty where it is no sum."""

    def describe(self) -> dict[str, Any]:
        """Kind and description of the model, for the checkpoint."""


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run goes and how long it is.

    Attributes:
        out: its folder: config.yaml, log.jsonl, tensorboard/, last.pt, and, where there are any, bad_videos.tsv and incidents.txt.
        config: the whole tree, saved beside the result.
        optim: the part of it that this run follows.
        schedule: length and learning rates.
        batches: `(first, last, parts)` -> the batches of these steps.
        order: the order of its samples.
        items: the videos that they are taken from.
        repeats: clips that are made of each of them, one behind the other in a batch.
        left_out: path -> message of videos that could not be read before the run began.
    """

    out: Path
    config: Config
    optim: OptimConfig
    schedule: Schedule
    batches: Callable[[int, int, int], Iterator[Batch]]
    order: BatchOrder
    items: tuple[VideoItem, ...]
    repeats: int = 1
    left_out: Mapping[str, str] = field(default_factory=dict)


def make_fabric(optim: OptimConfig) -> Fabric:
    """Lightning Fabric on one device, or on those that torchrun or SLURM started processes for.

    Never on all GPUs of a machine unasked: Fabric would start this very command once more for each.
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


def fit(method: Method, run: Run, fabric: Fabric, *, resume: bool, show_progress: bool) -> History:
    """Train to the end of the schedule.

    The sequence of losses is a function of the configuration, the data and the machine: resuming continues it exactly.

    Raises:
        ConfigError: the folder holds another run, or the batch cannot be shared out.
        ModelError: the loss is not finite, or a checkpoint could not be written.
        DataError: too many videos could not be read.
    """
    per_rank, rest = divmod(run.optim.batch, fabric.world_size)
    if rest:
        raise ConfigError(
            f"batch: {run.optim.batch} clips cannot be shared out evenly over {fabric.world_size} devices; choose a multiple"
        )
    history = History(bad=dict(run.left_out))
    peaks = [group["lr"] for group in method.optimiser.param_groups]
    module, optimiser = fabric.setup(method.module, method.optimiser)
    position = _prepare(method, run, fabric, history, resume=resume)
    first = position.step
    logger = Log(run.out, history, fabric.is_global_zero)
    clips = per_rank * run.repeats
    parts = -(-per_rank // max((run.optim.micro_batch or clips) // run.repeats, 1))
    stream = run.batches(first, run.schedule.steps, parts)
    began = time.perf_counter()
    module.train()
    progress = progress_bar(show_progress and fabric.is_global_zero)
    console = progress.console if show_progress else None
    try:
        with progress:
            task = progress.add_task("", total=run.schedule.steps, completed=first, shown="")
            for step in range(first, run.schedule.steps):
                factor = run.schedule.factor(step)
                for group, peak in zip(method.optimiser.param_groups, peaks, strict=True):
                    group["lr"] = peak * factor
                loss = torch.zeros((), device=fabric.device)
                problems: list[tuple[str, str]] = []
                fallback, errors = 0.0, dict[str, torch.Tensor]()
                for part in range(parts):
                    batch = next(stream)
                    problems += batch.problems
                    note_incidents(run.out, batch.incidents, fabric, history, console)
                    fallback += batch.fallback * (len(batch.index) / clips)
                    batch = batch.to(fabric.device)
                    with fabric.no_backward_sync(module) if part < parts - 1 else nullcontext():
                        value = method.loss(module, batch) * (len(batch.index) / clips)
                        fabric.backward(value)
                    loss += value.detach()
                    for name, error in method.parts().items():
                        errors[name] = errors.get(name, 0) + error * (len(batch.index) / clips)
                length = _clip(fabric, module, optimiser, run.optim.clip_grad)
                # The one wait of a step: no weight may change before its loss is known to be a number.
                (value_now, norm, *told), (fallback, bad) = means_of(
                    fabric, [loss, length, *errors.values()], [fallback, len(problems)]
                )
                failed = position.failed + round(bad * fabric.world_size)
                if failed > position.failed:
                    note_problems(
                        from_all_ranks(fabric, problems), history, progress.console if show_progress else None
                    )
                    stop_if_too_many(run.out, history, failed, (step + 1) * run.optim.batch, run.config.data.bad_share)
                if not math.isfinite(value_now):
                    raise ModelError(_not_finite(run, method, fabric, step, value_now))
                speed = (step + 1 - first) * run.optim.batch * run.repeats / (time.perf_counter() - began)
                with uninterrupted():  # weights, log and position stay those of one step
                    optimiser.step()
                    optimiser.zero_grad(set_to_none=True)
                    shown = dict(zip(errors, told, strict=True))
                    logger.write(step, value_now, run.schedule.peak * factor, norm, speed, fallback, shown)
                    position = Position.now(step + 1, failed, fabric.device)
                progress.update(task, completed=step + 1, shown=progress_text(value_now, speed))
                if (step + 1) % run.optim.checkpoint_every == 0:
                    _save(method, run, fabric, position, logger)
        _save(method, run, fabric, position, logger)
    except KeyboardInterrupt:
        _save(method, run, fabric, position, logger)
        fabric.print(
            f"saved after step {position.step} of {run.schedule.steps}; the same command with --resume goes on"
        )
        raise
    finally:
        logger.close()
        if fabric.is_global_zero:
            write_bad_videos(run.out, history)
    history.seconds = time.perf_counter() - began
    module.eval()
    return history


def _prepare(method: Method, run: Run, fabric: Fabric, history: History, *, resume: bool) -> Position:
    """Make the run's folder, or read the checkpoint in it. Returns where to begin."""
    checkpoint = run.out / LAST
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{run.out}: holds a run already; go on with it with --resume, or give another --out")
    if not checkpoint.exists():
        if fabric.is_global_zero:
            run.out.mkdir(parents=True, exist_ok=True)
            run.config.save(run.out / "config.yaml")
            (run.out / LOG).write_text("", encoding="utf-8")
        return Position.now(0, 0, fabric.device)
    content = load_checkpoint(checkpoint)
    before = parse_config(content["config"], str(checkpoint))
    other = _differences(before, run.config)
    if other:
        raise ConfigError(
            f"{run.out}: its run has other settings, so it cannot go on: {other}; "
            f"give the settings that it had, as --recipe {run.out / 'config.yaml'} does, or another --out"
        )
    for key, value in method.describe().items():  # a pretraining is no fine-tuning, nor one of other classes
        if content.get(key) != value:
            raise ConfigError(
                f"{run.out}: its run cannot go on as this one: {key} was {content.get(key)}, is {value}; give another --out"
            )
    if "data" not in content:
        raise ConfigError(
            f"{run.out}: its run was begun by an earlier version of mgm, which took the videos in another order, so it cannot go "
            "on exactly; finish it with that version, or give another --out"
        )
    changed = difference(content["data"]["fingerprint"], run.items)
    if changed is not None:
        raise DataError(
            f"{run.out}: its run cannot go on with another set of videos: {changed}; bring the set back, or give another --out"
        )
    if content["data"]["ranks"] != run.order.ranks:
        fabric.print(
            f"{run.out}: goes on on {run.order.ranks} devices, begun on {content['data']['ranks']}: the clips and masks stay the "
            "same, the draws of dropout and mixing do not"
        )
    method.module.load_state_dict(content["model"])
    method.optimiser.load_state_dict(content["optimiser"])
    fabric.strategy.precision.load_state_dict(content["precision"])
    position = Position.from_dict(content["position"])
    position.restore(fabric.device)
    history.bad.update(content["bad"])
    history.read(run.out, position.step)
    return position


HARMLESS = frozenset(
    {"data.workers", "data.read_timeout", "data.bad_share", "pretrain.checkpoint_every", "finetune.checkpoint_every"}
)
"""Settings that may change when a run goes on: no batch and no weight depends on them."""


def _differences(before: Config, now: Config) -> str:
    old, new = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    names = sorted(key for key in old | new if old.get(key) != new.get(key) and key not in HARMLESS)
    return "; ".join(f"{name} was {old.get(name)}, is {new.get(name)}" for name in names)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _save(method: Method, run: Run, fabric: Fabric, position: Position, logger: Log) -> None:
    logger.flush()
    if not fabric.is_global_zero:
        return
    save_checkpoint(
        run.out / LAST,
        {
            **method.describe(),
            "position": position.to_dict(),
            "config": run.config.model_dump(mode="json"),
            "model": method.module.state_dict(),
            "optimiser": method.optimiser.state_dict(),
            "precision": fabric.strategy.precision.state_dict(),  # the scale of 16-bit gradients
            "bad": dict(logger.history.bad),
            "data": _data_state(run, position.step),
        },
    )
    write_bad_videos(run.out, logger.history)


def _data_state(run: Run, step: int) -> dict[str, Any]:
    """Where the stream of samples stands, and what it is made of: with the configuration all that the next batches depend on."""
    epoch, index = run.order.place(step)
    return {
        "epoch": epoch,
        "index": index,
        "seed": run.order.seed,
        "ranks": run.order.ranks,
        "fingerprint": fingerprint(run.items),
    }


def _clip(fabric: Fabric, module: Any, optimiser: Any, limit: float | None) -> torch.Tensor:
    """Clip the gradient if asked; its norm before that, a scalar on the device."""
    norm: torch.Tensor | None = fabric.clip_gradients(
        module, optimiser, max_norm=limit or math.inf, error_if_nonfinite=False
    )
    assert norm is not None  # a largest norm was given
    return norm


def _not_finite(run: Run, method: Method, fabric: Fabric, step: int, loss: float) -> str:
    """Keep what is needed to look into it; the run itself cannot go on."""
    if fabric.is_global_zero:
        save_checkpoint(
            run.out / "not_finite.pt",
            {
                **method.describe(),
                "step": step,
                "config": run.config.model_dump(mode="json"),
                "model": method.module.state_dict(),
            },
        )
    return (
        f"{run.out}: the loss of step {step} is {loss}, expected a number; the weights before it are in not_finite.pt. "
        "Lower base_lr, set clip_grad to 1, or use precision 32-true"
    )
