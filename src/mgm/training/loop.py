"""The training loop of every method: learning rate, forward and backward, clipping, optimiser step, log, checkpoint."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.distributed
from torch import nn

from mgm.data.loading.loader import Batch
from mgm.errors import ModelError
from mgm.notebook import Pictured
from mgm.terminal import Activity, print_result
from mgm.training.announce import announce
from mgm.training.checkpoint import load_checkpoint, model_of
from mgm.training.ending import ending_together
from mgm.training.engine import Engine
from mgm.training.examples import ExamplePictures
from mgm.training.exchange import Exchange
from mgm.training.fabric import Fabric
from mgm.training.folder import REPLAY_FILE, Start
from mgm.training.guard import WINDOW, StepGuard
from mgm.training.log import RunHistory, RunWarnings, StepLog, StepRecord, progress_text
from mgm.training.method import TrainingMethod
from mgm.training.recipe import flat_settings
from mgm.training.replay_file import spoiled_step
from mgm.training.resume import TrainingState, begin_run
from mgm.training.run import TrainingRun, is_sharded
from mgm.training.run_record import record_start
from mgm.training.saving import CheckpointWriter
from mgm.training.sharding import gathered
from mgm.training.signals import STOPPED_STATUS, noted_requests, uninterrupted
from mgm.training.step import StepTotals, clip_gradient, from_all_ranks, means_of, train_step
from mgm.training.trackers import Trackers
from mgm.training.trial import StepMemory, fitting_clips, measure_reading, try_step

if TYPE_CHECKING:
    from mgm.notebook import Image


_WORTH_MEASURING = 100
"""Steps of a run whose cost is measured before it starts, which takes seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult(Pictured):
    """A finished run: its folder, its model (on the CPU, in evaluation mode) and its history."""

    out: Path
    model: nn.Module
    history: RunHistory

    def show(self) -> Image:
        """The losses over the steps, as a `PIL.Image.Image`."""
        return self.history.show()

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.model.parameters())
        return f"TrainingResult({self.out}: {type(self.model).__name__} of {parameters:,} parameters, {self.history!r})"


def fit(
    method: TrainingMethod,
    run: TrainingRun,
    start: Start,
    *,
    show_progress: bool,
    progress: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Train to the end of the schedule.

    start: where the run begins.
    progress: called with one line of text per step.

    The caller holds the folder (`mgm.training.folder.run_folder`).

    The sequence of losses is a function of the configuration, the data and the machine: resuming continues it exactly.

    Raises:
        ConfigError: the folder contains another run.
        ModelError: the loss or the gradient of too many steps is not finite.
        DataError: too many videos could not be read.
        FileError: a checkpoint or the log cannot be written.
        DataError, ModelError: another process of the run has ended (reason "crashed").
        SystemExit: a signal asked the run to end; it is saved, and the status is `STOPPED_STATUS`.
    """
    fabric, schedule = run.fabric, run.schedule
    exchange = Exchange(fabric)
    engine = Engine.build(fabric, method, run.optim, peak=schedule.peak)
    peaks = [group["lr"] for group in engine.optimiser.param_groups]
    history = RunHistory(bad=dict(run.left_out))
    state = begin_run(run, engine, history, start)
    worth_measuring = show_progress and schedule.steps - state.step >= _WORTH_MEASURING
    automatic = run.optim.micro_batch == "auto"
    cost = try_step(run, engine) if worth_measuring or automatic else None
    if cost is not None and automatic:
        run = replace(run, at_once=_at_once(run, cost.memory, before=state.at_once))
    if fabric.is_global_zero:
        record_start(run, state.step)
    log = StepLog(run.out, history, fabric.is_global_zero, _trackers(run) if fabric.is_global_zero else None)
    checkpoints = CheckpointWriter(run, engine, log)
    activity = Activity("training", schedule.steps, active=show_progress and fabric.is_global_zero)
    console = activity.console if show_progress else None
    warnings = RunWarnings(run.out, history, fabric.global_rank, fabric.world_size, console)
    started = time.perf_counter()
    guard = StepGuard(run.optim.skip_limit, run.optim.spike)
    guard.restore(state.guard)
    at_peak = None if cost is None else cost.clips_at_peak
    steps = _Steps(
        engine, run, peaks, log, warnings, guard, started, first=state.step, clips_at_peak=at_peak, state=state
    )
    shown = _Shown(activity, ExamplePictures.of(run, method, log), method.module, progress)
    engine.module.train()
    with _complete_files(steps, checkpoints):
        with (
            activity,
            noted_requests(together=fabric.world_size > 1) as requests,
            ending_together(exchange, run.out, lambda: steps.state.step),
        ):
            stream = _note_incidents(
                _read_first(run.batches(state.step), any_left=state.step < schedule.steps), warnings
            )
            if show_progress:
                reading, stream = measure_reading(stream, run) if worth_measuring else (None, stream)
                announce(run, method, state.step, cost, reading)
            activity.reach(state.step)
            stopped = _take_steps(steps, stream, requests, checkpoints, shown)
            checkpoints.write(steps.state, last=True)
            fabric.barrier()  # now the first rank's checkpoint is there for all
        if stopped or requests:
            by = requests[0] if requests else "a signal to another rank"
            print_result(f"stopped by {by}: {steps.saved}")
            raise SystemExit(STOPPED_STATUS)
    history.seconds = time.perf_counter() - started
    return TrainingResult(run.out, _trained(engine, run), history)


@contextmanager
def _complete_files(steps: _Steps, checkpoints: CheckpointWriter) -> Iterator[None]:
    """The files of a run are complete however the block ends; at an interrupt, its state is saved first."""
    try:
        yield
    except KeyboardInterrupt:
        checkpoints.write(steps.state, last=True)
        print_result(steps.saved)
        raise
    finally:
        checkpoints.wait()
        steps.log.close()
        if steps.run.fabric.is_global_zero:
            steps.warnings.history.write_bad_videos(steps.run.out)


def _take_steps(
    steps: _Steps, stream: Iterator[Batch], requests: Sequence[str], checkpoints: CheckpointWriter, shown: _Shown
) -> bool:
    """Take the steps that are left, until a rank asks to stop; returns whether one did.

    Args:
        requests: the signals that this process has received, which grows meanwhile.
    """
    asked = Asked()
    while steps.state.step < steps.run.schedule.steps and not asked.stop:
        record, asked = steps.take(stream, Asked(stop=bool(requests), save=checkpoints.overdue))
        done = steps.state.step
        shown.after(record, done, steps.run.schedule.steps)
        if not asked.stop and (asked.save or checkpoints.follows(done)):
            checkpoints.write(steps.state)
    return asked.stop


@dataclass(frozen=True, slots=True)
class _Shown:
    """What shows the state of a run after a step: the progress bar, example clips, the caller's own function."""

    activity: Activity
    examples: ExamplePictures | None
    module: nn.Module
    progress: Callable[[str], None] | None

    def after(self, record: StepRecord, done: int, steps: int) -> None:
        """Show the last of `done` steps of `steps`."""
        detail = progress_text(record.loss, record.clips_per_second)
        self.activity.reach(done, detail=detail)
        if self.examples is not None:
            self.examples.write(done, self.module)
        if self.progress is not None:
            self.progress(f"step {done} of {steps}, {detail}")


def _trained(engine: Engine, run: TrainingRun) -> nn.Module:
    """The model of a finished run, on the CPU: that of its checkpoint, if the one in memory is sharded or not the average."""
    if engine.average is not None or is_sharded(run.config, run.optim):
        return model_of(load_checkpoint(run.out))
    return engine.method.module.cpu().eval()


def _trackers(run: TrainingRun) -> Trackers:
    return Trackers(run.config.log.trackers, run.out, run.config.log.project, flat_settings(run.config))


def _at_once(run: TrainingRun, memory: StepMemory, *, before: int | None) -> int:
    """The clips that a device takes at once: as many as before the run was stopped, if they still fit."""
    fitting = fitting_clips(run, memory)
    if before is None or before == fitting:
        return fitting
    if before < fitting:
        return before
    print_result(
        f"{run.out}: {fitting} clips at once fit the device, {before} before: the same steps, rounded differently"
    )
    return fitting


class Asked(NamedTuple):
    """What a rank asks all of them to do after a step: to end the run, to write a checkpoint."""

    stop: bool = False
    save: bool = False


@dataclass(slots=True)
class _Steps:
    """The steps of a run, and what they need.

    Attributes:
        peaks: the highest learning rate of each group of parameters.
        guard: judges every step before the weights change.
        started, first: the time at which this part of the run begins, and its first step.
        clips_at_peak: clips per second at which all devices would compute at their peak; None if unknown.
        state: after the last finished step, always that of the weights.
    """

    engine: Engine
    run: TrainingRun
    peaks: list[float]
    log: StepLog
    warnings: RunWarnings
    guard: StepGuard
    started: float
    first: int
    clips_at_peak: float | None
    state: TrainingState

    def take(self, stream: Iterator[Batch], asked: Asked) -> tuple[StepRecord, Asked]:
        """Take one step and log it; returns its record, and what any rank asks for."""
        run, engine, fabric, step = self.run, self.engine, self.run.fabric, self.state.step
        began = time.perf_counter()
        factor = run.schedule.factor(step)
        for group, peak in zip(engine.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor

        totals = train_step(engine.method, engine.module, stream, run)  # forward and backward
        norm = clip_gradient(engine, run.optim.clip_grad)
        record, failures, asked = _record(totals, norm, asked, fabric, step=step, lr=run.schedule.peak * factor)

        failed = self.state.failed + failures
        if failures:
            self.warnings.unreadable(from_all_ranks(fabric, totals.unreadable))
            self.warnings.stop_if_too_many(failed, (step + 1) * run.optim.batch, run.config.data.bad_share)
        if run.config.data.motion == "auto":
            self.warnings.flow(record, run.clips_per_step)
        record.skipped = self._reason_to_skip(record, totals)
        now = time.perf_counter()
        record.clips_per_second = (step + 1 - self.first) * run.clips_per_step / (now - self.started)
        record.data_wait = totals.waited / (now - began)
        if self.clips_at_peak is not None:
            record.flop_utilisation = record.clips_per_second / self.clips_at_peak

        with uninterrupted():
            if record.skipped is None:
                engine.step()
            else:
                _end_scaling(fabric)
            engine.optimiser.zero_grad(set_to_none=True)
            self.log.write(record)
            self.state = TrainingState.before(step + 1, run, failed, self.guard.state())
        return record, asked

    def _reason_to_skip(self, record: StepRecord, totals: StepTotals) -> str | None:
        """The reason for which the weights stay as they are in this step, shown; None if they change.

        Raises:
            ModelError: too many steps were skipped. The step is saved, so that it can be taken again elsewhere.
        """
        step, guard, run = record.step, self.guard, self.run
        overflows = _scale(run.fabric) > 1
        reason = guard.judge(step, record.loss, record.gradient_norm, overflows=overflows)
        if reason is None:
            return None
        self.engine.statistics.restore()
        if not guard.exceeded:
            self.warnings.skipped(
                f"step {step} is skipped: {reason} ({len(guard.skipped)} of {guard.limit} in {WINDOW} steps)"
            )
            return reason
        weights = gathered(self.engine.method.module.state_dict())
        loss = float(totals.loss)
        rank = run.order.rank
        file = run.out / (f"replay-{rank}.pt" if rank else REPLAY_FILE)
        if not rank or not math.isfinite(loss):
            spoiled_step(
                run,
                self.engine.method,
                weights,
                step=step,
                reason=reason,
                loss=loss,
                gradient_norm=record.gradient_norm,
                rng=self.state.rng,
                device_rng=self.state.device_rng,
            ).save(file)
        raise ModelError(
            run.out,
            f"{len(guard.skipped)} of {WINDOW} steps would be skipped, now step {step}: {reason}",
            f"at most {guard.limit} ({run.section}.skip_limit)",
            f"find its cause with 'mgm doctor replay {shlex.quote(str(file))}'; lower base_lr, set clip_grad to 1, or use "
            "precision 32-true",
            reason="diverged",
        )

    @property
    def saved(self) -> str:
        """How to continue, once the state is saved."""
        steps = self.run.schedule.steps
        return f"saved after step {self.state.step} of {steps}; continue with the same command and --resume auto"


def _read_first(stream: Iterator[Batch], *, any_left: bool) -> Iterator[Batch]:
    """The stream with its first batch already read: a run without readable videos fails before it is announced."""
    return chain([next(stream)], stream) if any_left else stream


def _note_incidents(stream: Iterator[Batch], warnings: RunWarnings) -> Iterator[Batch]:
    for batch in stream:
        warnings.incidents(batch.incidents)
        yield batch


def _record(
    totals: StepTotals, norm: torch.Tensor, asked: Asked, fabric: Fabric, *, step: int, lr: float
) -> tuple[StepRecord, int, Asked]:
    """The step's record over all ranks, the number of readings that failed, and what any of them asks for.

    Every step synchronises with the GPU here: no weight may change before its loss is known to be finite.
    """
    (loss, norm_mean, *parts), (*fractions, failed, stops, saves) = means_of(
        fabric,
        [totals.loss, norm, *totals.parts.values()],
        [*totals.fractions.values(), len(totals.unreadable), asked.stop, asked.save],
    )
    record = StepRecord(
        step,
        loss,
        lr,
        norm_mean,
        dict(zip(totals.parts, parts, strict=True)),
        dict(zip(totals.fractions, fractions, strict=True)),
    )
    return record, round(failed * fabric.world_size), Asked(stops > 0, saves > 0)


def _scale(fabric: Fabric) -> float:
    """The factor on 16-bit gradients; 1 without one."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())


def _end_scaling(fabric: Fabric) -> None:
    """Let the scaler of 16-bit gradients, if any, forget those of a skipped step, and lower its scale if they overflow."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    if scaler is not None:
        scaler.update()
