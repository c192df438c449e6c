"""When a run writes a checkpoint, what it contains, and which ones are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mgm.files.atomic import remove_folder
from mgm.training.checkpoint_folder import read_about, write_checkpoint
from mgm.training.engine import Engine
from mgm.training.folder import DECAY, checkpoint_folder, checkpoint_folders
from mgm.training.log import RunHistory, StepLog
from mgm.training.resume import TrainingState, fingerprint
from mgm.training.run import TrainingRun
from mgm.training.sharding import snapshot
from mgm.version import VERSION


@dataclass(slots=True)
class CheckpointWriter:
    """The checkpoints of a run.

    Attributes:
        in_background: copy a checkpoint to the CPU's memory, and write it while the training goes on. It pays if the CPU is idle.
        written: time of the last one, or of the beginning, of the monotonic clock.
        pending: the one that is being written.
        videos: the fingerprint of the set, which takes seconds for millions of videos; None before the first checkpoint.
    """

    run: TrainingRun
    engine: Engine
    log: StepLog
    in_background: bool = field(init=False)
    written: float = field(init=False)
    pending: Future[None] | None = field(init=False, default=None)
    thread: ThreadPoolExecutor = field(init=False)
    videos: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.in_background = self.run.fabric.device.type == "cuda"
        self.written = time.monotonic()
        self.thread = ThreadPoolExecutor(1, "checkpoint")

    @property
    def overdue(self) -> bool:
        """Whether `checkpoint_minutes` have passed since the last one; on the first rank, whose clock decides for all."""
        minutes = self.run.optim.checkpoint_minutes
        if minutes is None or not self.run.fabric.is_global_zero:
            return False
        return time.monotonic() - self.written >= 60 * minutes

    def follows(self, step: int) -> bool:
        """Whether a checkpoint follows a step, whatever the time: the first one at once, because a full disk is no news for the
        end of a day."""
        return step == 1 or step % self.run.optim.checkpoint_every == 0 or kept_for(self.run, step) is not None

    def write(self, state: TrainingState, *, last: bool = False) -> None:
        """Write the log, the checkpoint unless it exists, and the list of unreadable videos; then remove outdated checkpoints.

        Every rank must call it.

        Args:
            last: wait until it is on the disk.

        Raises:
            FileError: this checkpoint, or the one before, cannot be written.
        """
        self.written = time.monotonic()
        try:
            self.log.flush()
        finally:  # the checkpoint is worth more than the log
            tensors = self.engine.state()
            if self.run.fabric.is_global_zero:
                self._write(state, tensors, wait=last or state.step == 1)

    def wait(self) -> None:
        """Wait for a checkpoint that is being written.

        Raises:
            FileError: it cannot be written.
        """
        if self.pending is not None:
            pending, self.pending = self.pending, None
            pending.result()

    def _write(self, state: TrainingState, tensors: Mapping[str, Any], *, wait: bool) -> None:
        run, history = self.run, self.log.history
        self.wait()
        folder = checkpoint_folder(run.out, state.step)
        if not folder.exists():  # else it is of this run and this step: `begin_run` sets others aside
            if self.videos is None:
                self.videos = fingerprint(run.clips.items)
            content = {**self.engine.method.describe(), **tensors, **_content(run, state, history, self.videos)}
            about = _about(run, state, history)
            if self.in_background and not wait:
                self.pending = self.thread.submit(self._store, folder, snapshot(content), about)
            else:
                self._store(folder, content, about)
        history.write_bad_videos(run.out)

    def _store(self, folder: Path, content: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        write_checkpoint(folder, content, about)
        optim, folders = self.run.optim, checkpoint_folders(self.run.out)
        abouts = [read_about(folder) for folder in folders]
        for number in outdated(abouts, last=optim.keep_last, best=optim.keep_best):
            remove_folder(folders[number])


def kept_for(run: TrainingRun, step: int) -> str | None:
    """Why the checkpoint after a step is written and kept for ever: it ends an epoch of `keep_every`, or the decay starts there."""
    if step == run.schedule.decay_start:
        return DECAY
    every, videos = run.optim.keep_every, run.order.videos
    if every is None:
        return None
    epochs = [done * run.order.batch // videos // every * every for done in (step - 1, step)]
    return f"epoch {epochs[1]}" if epochs[1] > epochs[0] else None


def outdated(abouts: Sequence[Mapping[str, Any]], *, last: int, best: bool) -> list[int]:
    """Which of a run's checkpoints are to be removed, by number.

    Kept are the newest `last`, those with a reason under `kept`, and with `best` the one of the lowest loss.

    Args:
        abouts: the contents of their `ABOUT_FILE`, the newest first.
    """
    losses = [about.get("loss") for about in abouts]
    known = [loss if isinstance(loss, float) and math.isfinite(loss) else math.inf for loss in losses]
    lowest = known.index(min(known)) if best and known else None
    return [n for n, about in enumerate(abouts) if n >= last and n != lowest and not about.get("kept")]


def _content(run: TrainingRun, state: TrainingState, history: RunHistory, videos: Tensor) -> dict[str, Any]:
    epoch, index = run.order.place(state.step)
    return {
        "position": state.to_dict(),
        "config": run.config.model_dump(mode="json"),
        "bad": dict(history.bad),
        # with the configuration, everything that the next batches depend on
        "data": {
            "epoch": epoch,
            "index": index,
            "seed": run.order.seed,
            "ranks": run.order.ranks,
            "fingerprint": videos,
        },
    }


def _about(run: TrainingRun, state: TrainingState, history: RunHistory) -> dict[str, Any]:
    """For people and for `outdated`. The loss is the mean over the last `checkpoint_every` steps: that of one step is noise."""
    # some are of skipped steps
    recent = [loss for loss in history.losses[-run.optim.checkpoint_every :] if math.isfinite(loss)]
    return {
        "step": state.step,
        "steps": run.schedule.steps,
        "epoch": round(state.step * run.order.batch / run.order.videos, 3),
        "loss": sum(recent) / len(recent) if recent else None,
        "kept": kept_for(run, state.step),
        "version": VERSION,
    }
