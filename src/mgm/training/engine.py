"""The loop that every training method shares: devices, precision, schedule, logs, checkpoints, resuming, progress."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from lightning_fabric import Fabric

from mgm.data.loading.loader import Batch
from mgm.data.loading.memory import keep_freed_memory
from mgm.errors import ConfigError, ModelError
from mgm.models.accelerate import accelerate_cpu
from mgm.training.accumulate import Found, accumulate
from mgm.training.checkpoint import save_checkpoint
from mgm.training.config import OptimConfig
from mgm.training.folder import begin, save
from mgm.training.log import Entry, History, Log, progress_bar, progress_text
from mgm.training.method import Method
from mgm.training.position import Position, uninterrupted
from mgm.training.ranks import from_all_ranks, means_of
from mgm.training.run import Run
from mgm.training.trouble import note_flow, note_incidents, note_problems, stop_if_too_many, write_bad_videos

__all__ = ["History", "Method", "Run", "fit", "make_fabric"]


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
        ModelError: loss or gradient is not finite, or a checkpoint could not be written.
        DataError: too many videos could not be read.
    """
    per_rank, rest = divmod(run.optim.batch, fabric.world_size)
    if rest:
        raise ConfigError(
            f"batch: {run.optim.batch} clips cannot be shared out evenly over {fabric.world_size} devices; choose a multiple"
        )
    history = History(bad=dict(run.left_out))
    peaks = [group["lr"] for group in method.optimiser.param_groups]
    if fabric.device.type == "cpu":
        accelerate_cpu(method.module)
    module, optimiser = fabric.setup(method.module, method.optimiser)
    position = begin(method, run, fabric, history, resume=resume)
    first = position.step
    clips = per_rank * run.repeats
    pieces = -(-per_rank // max((run.optim.micro_batch or clips) // run.repeats, 1))
    batches = run.batches(first, run.schedule.steps, pieces)
    logger = Log(run.out, history, fabric.is_global_zero)
    began = time.perf_counter()
    module.train()
    progress = progress_bar(show_progress and fabric.is_global_zero)
    console = progress.console if show_progress else None

    def note(lines: tuple[str, ...]) -> None:
        note_incidents(run.out, lines, fabric, history, console)

    try:
        stream = _started(batches, first < run.schedule.steps)
        if show_progress:
            fabric.print(run.words)
            if first == run.schedule.steps:
                fabric.print("the run is finished: none of its steps are left")
            elif first:
                fabric.print(f"goes on after step {first}")
        with progress:
            task = progress.add_task("", total=run.schedule.steps, completed=first, shown="")
            for step in range(first, run.schedule.steps):
                factor = run.schedule.factor(step)
                for group, peak in zip(method.optimiser.param_groups, peaks, strict=True):
                    group["lr"] = peak * factor
                found = accumulate(method, module, stream, fabric, pieces=pieces, clips=clips, note=note)
                norm = _clip(fabric, module, optimiser, run.optim.clip_grad)
                entry, failures = _entry(found, fabric, step, run.schedule.peak * factor, norm)
                failed = position.failed + failures
                if failures:
                    note_problems(from_all_ranks(fabric, found.problems), history, console)
                    stop_if_too_many(run.out, history, failed, (step + 1) * run.optim.batch, run.config.data.bad_share)
                note_flow(run, entry, history, fabric, console)
                _check_finite(entry, method, run, fabric)
                entry.speed = (step + 1 - first) * run.optim.batch * run.repeats / (time.perf_counter() - began)
                with uninterrupted():  # weights, log and position stay those of one step
                    optimiser.step()
                    optimiser.zero_grad(set_to_none=True)
                    logger.write(entry)
                    position = Position.now(step + 1, failed, fabric.device)
                progress.update(task, completed=step + 1, shown=progress_text(entry.loss, entry.speed))
                if (step + 1) % run.optim.checkpoint_every == 0:
                    save(method, run, fabric, position, logger)
        save(method, run, fabric, position, logger)
    except KeyboardInterrupt:
        save(method, run, fabric, position, logger)
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


def _started(stream: Iterator[Batch], any_left: bool) -> Iterator[Batch]:
    """The stream, whose first batch is read: where no video can be, the run has not begun yet."""
    return chain([next(stream)], stream) if any_left else stream


def _entry(found: Found, fabric: Fabric, step: int, lr: float, norm: torch.Tensor) -> tuple[Entry, int]:
    """What the log says of a step, over all ranks, and how many readings failed.

    What every step waits for: no weight may change before its loss is known to be a number.
    """
    shares, parts = found.shares, found.parts
    (loss, length, *errors), (*rest, failed) = means_of(
        fabric, [found.loss, norm, *parts.values()], [*shares.values(), len(found.problems)]
    )
    told = dict(zip(parts, errors, strict=True)), dict(zip(shares, rest, strict=True))
    return Entry(step, loss, lr, length, *told), round(failed * fabric.world_size)


def _clip(fabric: Fabric, module: Any, optimiser: Any, limit: float | None) -> torch.Tensor:
    """Clip the gradient if asked; its norm before that, a scalar on the device."""
    norm: torch.Tensor | None = fabric.clip_gradients(
        module, optimiser, max_norm=limit or math.inf, error_if_nonfinite=False
    )
    assert norm is not None  # a largest norm was given
    return norm


def _check_finite(entry: Entry, method: Method, run: Run, fabric: Fabric) -> None:
    """Raise ModelError before weights are spoiled, and keep what is needed to look into it; the run itself cannot go on."""
    # 16-bit gradients overflow now and then; their scaler then leaves the step out and takes a smaller scale.
    overflows = run.optim.precision == "16-mixed"
    if math.isfinite(entry.loss) and (overflows or math.isfinite(entry.norm)):
        return
    if fabric.is_global_zero:
        save_checkpoint(
            run.out / "not_finite.pt",
            {
                **method.describe(),
                "step": entry.step,
                "config": run.config.model_dump(mode="json"),
                "model": method.module.state_dict(),
            },
        )
    what, value = ("gradient", entry.norm) if math.isfinite(entry.loss) else ("loss", entry.loss)
    raise ModelError(
        f"{run.out}: the {what} of step {entry.step} is {value}, expected a number; the weights before it are in not_finite.pt. "
        "Lower base_lr, set clip_grad to 1, or use precision 32-true"
    )
