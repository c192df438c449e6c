"""When a run writes a checkpoint, what it contains, and which ones are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mgm.files.atomic import remove_folder
from mgm.training.checkpoint_folder import read_about, write_checkpoint
from mgm.training.engine import Engine
from mgm.training.folder import DECAY, checkpoint_folder, checkpoint_folders
from mgm.training.log import RunHistory, StepLog
from mgm.training.resume import TrainingState, fingerprint
from mgm.training.run import TrainingRun
from mgm.version import VERSION


@dataclass(slots=True)
class CheckpointWriter:
    """The checkpoints of a run.

    Attributes:
        written: time of the last one, or of the beginning, of the monotonic clock.
    """

    run: TrainingRun
    engine: Engine
    log: StepLog
    written: float = field(init=False)

    def __post_init__(self) -> None:
        self.written = time.monotonic()

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

    def write(self, state: TrainingState) -> None:
        """Write the log, the checkpoint unless it exists, and the list of unreadable videos; then remove outdated checkpoints.

        Every rank must call it.
        """
        self.written = time.monotonic()
        try:
            self.log.flush()
        finally:  # the checkpoint is worth more than the log
            tensors = self.engine.state()
            if self.run.fabric.is_global_zero:
                self._write(state, tensors)

    def _write(self, state: TrainingState, tensors: Mapping[str, Any]) -> None:
        run, history = self.run, self.log.history
        folder = checkpoint_folder(run.out, state.step)
        if not folder.exists():  # else it is of this run and this step: `begin_run` sets others aside
            content = {**self.engine.method.describe(), **tensors, **_content(run, state, history)}
            write_checkpoint(folder, content, _about(run, state, history))
        history.write_bad_videos(run.out)
        folders = checkpoint_folders(run.out)
        abouts = [read_about(folder) for folder in folders]
        for number in outdated(abouts, last=run.optim.keep_last, best=run.optim.keep_best):
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


def _content(run: TrainingRun, state: TrainingState, history: RunHistory) -> dict[str, Any]:
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
            "fingerprint": fingerprint(run.clips.items),
        },
    }


def _about(run: TrainingRun, state: TrainingState, history: RunHistory) -> dict[str, Any]:
    """For people and for `outdated`. The loss is the mean over the last `checkpoint_every` steps: that of one step is noise."""
    recent = [
        loss for loss in history.losses[-run.optim.checkpoint_every :] if math.isfinite(loss)
    ]  # some are of skipped steps
    return {
        "step": state.step,
        "steps": run.schedule.steps,
        "epoch": round(state.step * run.order.batch / run.order.videos, 3),
        "loss": sum(recent) / len(recent) if recent else None,
        "kept": kept_for(run, state.step),
        "version": VERSION,
    }
