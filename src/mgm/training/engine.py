"""The loop that every training method shares: devices, precision, schedule, logs, checkpoints, resuming, progress."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from mgm.data.loader import Batch
from mgm.errors import ConfigError, DataError, ModelError
from mgm.training.checkpoint import LAST, load_checkpoint, save_checkpoint
from mgm.training.config import Config, OptimConfig, parse_config
from mgm.training.optim import Schedule

LOG = "log.jsonl"
BAD_VIDEOS = "bad_videos.tsv"


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

    def describe(self) -> dict[str, Any]:
        """Kind and description of the model, for the checkpoint."""


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run goes and how long it is.

    Attributes:
        out: its folder: config.yaml, log.jsonl, tensorboard/, last.pt, and bad_videos.tsv where there are any.
        config: the whole tree, saved beside the result.
        optim: the part of it that this run follows.
        schedule: length and learning rates.
        batches: `(first, last, parts)` -> the batches of these steps.
    """

    out: Path
    config: Config
    optim: OptimConfig
    schedule: Schedule
    batches: Callable[[int, int, int], Iterator[Batch]]


@dataclass(slots=True)
class History:
    """What a run logged: one value per step since its very first one, resumed parts included."""

    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)


def make_fabric(optim: OptimConfig) -> Fabric:
    """Lightning Fabric on whatever the process was given: a CPU, GPUs, or the nodes of torchrun or SLURM."""
    precision = optim.precision
    if precision == "auto":
        # bf16 autocast is half as fast as float32 on a CPU that only emulates it
        native = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if native else "32-true"
    devices: Any = "auto" if torch.cuda.is_available() else int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fabric = Fabric(devices=devices, precision=precision)
    fabric.launch()
    return fabric


def fit(method: Method, run: Run, fabric: Fabric, *, resume: bool, show_progress: bool) -> History:
    """Train to the end of the schedule.

    The sequence of losses is a function of the configuration, the data and the machine: resuming continues it exactly.

    Raises:
        ConfigError: the folder holds another run. ModelError: the loss is not finite, or a checkpoint could not be written.
        DataError: too many videos could not be read.
    """
    history = History()
    peaks = [group["lr"] for group in method.optimiser.param_groups]
    module, optimiser = fabric.setup(method.module, method.optimiser)
    first = _prepare(method, run, fabric, history, resume=resume)
    logger = _Log(run.out, history, fabric.is_global_zero)
    per_rank = -(-run.optim.batch // fabric.world_size)
    parts = -(-per_rank // (run.optim.micro_batch or per_rank))
    stream = run.batches(first, run.schedule.steps, parts)
    began = time.perf_counter()
    step = first
    clips = videos_read = 0
    module.train()
    progress = _progress(show_progress and fabric.is_global_zero)
    with progress:
        task = progress.add_task("", total=run.schedule.steps, completed=first, loss=float("nan"), speed=0.0)
        try:
            for step in range(first, run.schedule.steps):
                factor = run.schedule.factor(step)
                for group, peak in zip(method.optimiser.param_groups, peaks, strict=True):
                    group["lr"] = peak * factor
                loss = torch.zeros((), device=fabric.device)
                for part in range(parts):
                    batch = next(stream)
                    videos_read += len(batch.index)
                    history.bad.update(batch.problems)
                    _stop_if_too_many(history, videos_read, run)
                    batch = batch.to(fabric.device)
                    with fabric.no_backward_sync(module) if part < parts - 1 else nullcontext():
                        value = method.loss(module, batch) * (len(batch.index) / per_rank)
                        fabric.backward(value)
                    loss += value.detach()
                    clips += len(batch.index)
                norm = _clip(fabric, module, optimiser, run.optim.clip_grad)
                value_now = float(fabric.all_reduce(loss, reduce_op="mean"))
                if not math.isfinite(value_now):
                    raise ModelError(_not_finite(run, method, step, value_now))
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                speed = clips * fabric.world_size / (time.perf_counter() - began)
                logger.write(step, value_now, run.schedule.peak * factor, norm, speed)
                progress.update(task, completed=step + 1, loss=value_now, speed=speed)
                if (step + 1) % run.optim.checkpoint_every == 0:
                    _save(method, run, fabric, step + 1, logger)
        except KeyboardInterrupt:
            _save(method, run, fabric, step, logger)
            raise
        _save(method, run, fabric, run.schedule.steps, logger)
    logger.close()
    history.seconds = time.perf_counter() - began
    module.eval()
    return history


def _prepare(method: Method, run: Run, fabric: Fabric, history: History, *, resume: bool) -> int:
    """Make the run's folder, or read the checkpoint in it. Returns the first step."""
    checkpoint = run.out / LAST
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{run.out}: holds a run already; go on with it with --resume, or give another --out")
    if not checkpoint.exists():
        if fabric.is_global_zero:
            run.out.mkdir(parents=True, exist_ok=True)
            run.config.save(run.out / "config.yaml")
            (run.out / LOG).write_text("", encoding="utf-8")
        return 0
    content = load_checkpoint(checkpoint)
    before = parse_config(content["config"], str(checkpoint))
    if before != run.config:
        raise ConfigError(
            f"{run.out}: its run has other settings, so it cannot go on: {_differences(before, run.config)}"
        )
    step = int(content["step"])
    method.module.load_state_dict(content["model"])
    method.optimiser.load_state_dict(content["optimiser"])
    torch.set_rng_state(content["rng"])
    history.bad.update(content["bad"])
    for line in (run.out / LOG).read_text(encoding="utf-8").splitlines()[:step]:
        entry = json.loads(line)
        history.losses.append(entry["loss"])
        history.learning_rates.append(entry["lr"])
    return step


def _differences(before: Config, now: Config) -> str:
    old, new = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    return "; ".join(f"{k} was {old.get(k)}, is {new.get(k)}" for k in sorted(old | new) if old.get(k) != new.get(k))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _save(method: Method, run: Run, fabric: Fabric, step: int, logger: _Log) -> None:
    logger.flush()
    if not fabric.is_global_zero:
        return
    save_checkpoint(
        run.out / LAST,
        {
            **method.describe(),
            "step": step,
            "config": run.config.model_dump(mode="json"),
            "model": method.module.state_dict(),
            "optimiser": method.optimiser.state_dict(),
            "rng": torch.get_rng_state(),
            "bad": dict(logger.history.bad),
        },
    )
    if logger.history.bad:
        lines = [f"{path}\t{message}\n" for path, message in sorted(logger.history.bad.items())]
        (run.out / BAD_VIDEOS).write_text("".join(lines), encoding="utf-8")


def _clip(fabric: Fabric, module: Any, optimiser: Any, limit: float | None) -> float:
    """Clip the gradient if asked; its norm before that."""
    norm = fabric.clip_gradients(module, optimiser, max_norm=limit or math.inf, error_if_nonfinite=False)
    return float(norm) if norm is not None else float("nan")


def _not_finite(run: Run, method: Method, step: int, loss: float) -> str:
    """Keep what is needed to look into it; the run itself cannot go on."""
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


def _stop_if_too_many(history: History, videos_read: int, run: Run) -> None:
    limit = run.config.data.bad_share
    if len(history.bad) > max(limit * videos_read, 8):
        path, message = next(iter(history.bad.items()))
        raise DataError(
            f"{len(history.bad)} of the first {videos_read} videos could not be read, expected at most {limit:.0%} (data.bad_share); "
            f"the first: {message if path in message else f'{path}: {message}'}; check the set with 'mgm scan'"
        )


class _Log:
    """One JSON line per step, and TensorBoard; held back a little so that logging never waits for the disk."""

    def __init__(self, out: Path, history: History, active: bool) -> None:
        self.history = history
        self.lines: list[str] = []
        self.path = out / LOG
        self.writer: Any = None
        if active:
            from torch.utils.tensorboard import SummaryWriter  # imports slowly

            kept = [
                json.dumps({"step": s, "loss": v, "lr": lr})
                for s, (v, lr) in enumerate(zip(history.losses, history.learning_rates, strict=True))
            ]
            self.path.write_text(
                "".join(line + "\n" for line in kept), encoding="utf-8"
            )  # a crash may have logged past the checkpoint
            self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=len(kept))

    def write(self, step: int, loss: float, lr: float, norm: float, speed: float) -> None:
        self.history.losses.append(loss)
        self.history.learning_rates.append(lr)
        if self.writer is None:
            return
        self.lines.append(
            json.dumps(
                {"step": step, "loss": loss, "lr": lr, "gradient_norm": norm, "clips_per_second": round(speed, 2)}
            )
        )
        for name, value in (("loss", loss), ("lr", lr), ("gradient_norm", norm), ("clips_per_second", speed)):
            self.writer.add_scalar(name, value, step)
        if len(self.lines) >= 50:
            self.flush()

    def flush(self) -> None:
        if self.lines:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in self.lines))
            self.lines.clear()

    def close(self) -> None:
        self.flush()
        if self.writer is not None:
            self.writer.close()


def _progress(active: bool) -> Progress:
    columns: list[ProgressColumn] = [
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TextColumn("{task.fields[speed]:.0f} clips/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    return Progress(*columns, disable=not active)
