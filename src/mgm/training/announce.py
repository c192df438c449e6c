"""What a run will do and what it will need, in lines that are printed before it starts: the cheapest moment to notice a mistake."""

from __future__ import annotations

from mgm.printable import plural
from mgm.terminal import byte_size, print_result
from mgm.training.method import TrainingMethod
from mgm.training.run import TrainingRun
from mgm.training.trial import StepCost


def announce(run: TrainingRun, method: TrainingMethod, step: int, cost: StepCost | None, reading: float | None) -> None:
    """Print what is trained, how the batch of a step is made, what it needs, and where a resumed run continues.

    Args:
        step: number of finished steps.
        cost: of a step, if it was measured.
        reading: clips per second that the loader delivers, over all devices, if it was measured.
    """
    lines = method.summary(run.schedule, videos=len(run.clips), devices=run.order.ranks).splitlines()
    lines.append(_batch_line(run))
    if cost is not None:
        lines.append(_memory_line(run, cost))
    if cost is not None and reading is not None:
        lines.append(_speed_line(run, cost, reading))
    if step == run.schedule.steps:
        lines.append("the run is finished: no steps are left")
    elif step:
        lines.append(f"resuming after step {step}")
    for line in lines:
        print_result(line)


def clips_at_once(run: TrainingRun) -> int:
    """Clips of the largest micro-batch on a device."""
    videos = run.optim.batch // run.order.ranks
    return -(-videos // run.micro_batches) * run.clips.repeats


def device_rate(run: TrainingRun, cost: StepCost) -> str:
    """The measured rate of all devices, as the beginning of a sentence."""
    devices = "the device" if run.order.ranks == 1 else f"{run.order.ranks} devices"
    rate = run.order.ranks / cost.seconds_per_clip
    return f"{devices} can train on about {rate:,.{1 if rate < 10 else 0}f} clips/s"


def _batch_line(run: TrainingRun) -> str:
    repeats = run.clips.repeats
    whole = f"{run.optim.batch:,} clips"
    if repeats > 1:
        whole = f"{run.optim.batch:,} videos x {repeats} repeats = {run.clips_per_step:,} clips"
    line = (
        f"batch {whole}: {clips_at_once(run)} at once x {run.micro_batches} accumulated x "
        f"{plural(run.order.ranks, 'device')}"
    )
    return "; ".join(filter(None, [line, excess_of_batch(run.optim.batch, len(run.clips))]))


def excess_of_batch(batch: int, videos: int) -> str:
    """What a batch of more videos than the set has means; "" for any other."""
    if batch <= videos:
        return ""
    return (
        f"the set has only {plural(videos, 'video')}: a step takes each {batch / videos:,.1f} times, other clips of it"
    )


def _memory_line(run: TrainingRun, cost: StepCost) -> str:
    memory, clips = cost.memory, clips_at_once(run)
    free = "" if memory.free is None else f"; {byte_size(memory.free)} are free"
    return (
        f"memory about {byte_size(memory.of(clips))} per device: {byte_size(memory.fixed)} for weights, gradients and "
        f"optimiser, {byte_size(clips * memory.per_clip)} for {plural(clips, 'clip')} at once{free}"
    )


def _speed_line(run: TrainingRun, cost: StepCost, reading: float) -> str:
    wanted = run.order.ranks / cost.seconds_per_clip
    line = f"speed: {device_rate(run, cost)}, the loader delivers {reading:,.0f}"
    if reading >= wanted:
        return line
    share = 1 - reading / wanted
    more = "raise data.workers" if run.workers else "set data.workers"
    return f"{line}: training will wait for data {share:.0%} of the time; {more}, or see 'mgm bench data'"
