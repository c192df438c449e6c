"""The record of a run while it trains: log.jsonl, TensorBoard, warnings, the figures of its progress."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgm.data.unreadable import LEAVE_OUT_ADVICE, Unreadable
from mgm.errors import DataError
from mgm.files.atomic import atomic_write, cannot_write
from mgm.notebook import Pictured, draw
from mgm.printable import printable
from mgm.terminal import Terminal
from mgm.training.event_file import EventFile
from mgm.training.folder import BAD_VIDEOS, INCIDENTS, LOG_FILE, TENSORBOARD
from mgm.training.step_lines import finite_or_none, number, read_steps
from mgm.training.trackers import Trackers

if TYPE_CHECKING:
    from mgm.notebook import Image

_ADVICE = "the last checkpoint is intact: free some space and continue with --resume auto"
_FLUSH_SECONDS = 10
"""Longest time for which a finished step is only in memory."""
_TOLERATED_FAILURES = 8
"""Failures that never stop a run: too few to estimate a fraction from."""


@dataclass(slots=True)
class StepRecord:
    """One step in the log.

    Attributes:
        loss, lr, gradient_norm: the norm is that before clipping.
        parts: the terms whose weighted sum is the loss; empty if it is not a sum.
        fractions: `fallback`, of the mask's steps that had no motion to follow; `decoder_fallback`, the same of the decoder's
            mask, if there is one; `flow`, of the clips whose motion was measured from the frames instead of read from the stream;
            `hidden`, of the tokens; `mask_overlap`, of the hidden tokens of a step that are hidden in the next one too.
        clips_per_second: mean since the run started or resumed.
        data_wait: fraction of the step's time for which the first rank waited for clips.
        flop_utilisation: the model's operations as a fraction of the devices' peak, mean since the start; None: unknown.
        skipped: the reason for which the weights did not change; None: they did.
    """

    step: int
    loss: float
    lr: float
    gradient_norm: float
    parts: dict[str, float] = field(default_factory=dict)
    fractions: dict[str, float] = field(default_factory=dict)
    clips_per_second: float = 0.0
    data_wait: float = 0.0
    flop_utilisation: float | None = None
    skipped: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For a line of log.jsonl."""
        return {
            "step": self.step,
            "loss": finite_or_none(self.loss),
            "lr": self.lr,
            "gradient_norm": finite_or_none(self.gradient_norm),
            "clips_per_second": round(self.clips_per_second, 2),
            "data_wait": round(self.data_wait, 4),
            **({} if self.flop_utilisation is None else {"flop_utilisation": round(self.flop_utilisation, 4)}),
            **{name: round(fraction, 4) for name, fraction in self.fractions.items()},
            **({"parts": {name: finite_or_none(value) for name, value in self.parts.items()}} if self.parts else {}),
            **({} if self.skipped is None else {"skipped": self.skipped}),
        }

    def scalars(self) -> dict[str, float]:
        """For TensorBoard and other viewers, which sort curves by name: the loss comes first."""
        step = {"lr": self.lr, "gradient_norm": self.gradient_norm} | ({} if self.skipped is None else {"skipped": 1.0})
        speed = {"clips_per_second": self.clips_per_second, "data_wait": self.data_wait}
        if self.flop_utilisation is not None:
            speed["flop_utilisation"] = self.flop_utilisation
        groups = {
            "1-loss": {"total": self.loss} | self.parts,
            "2-step": step,
            "3-speed": speed,
            "4-clips": self.fractions,
        }
        return {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}


@dataclass(slots=True)
class RunHistory(Pictured):
    """The course of a run: one value per step from step 0, resumed parts included.

    Attributes:
        seconds: duration of this part of the run.
        flow: sum over the steps of the fraction of clips whose motion was measured from the frames.
        bad: path -> message of the videos that could not be read, on any rank.
        incidents: lost reading processes of this rank and skipped steps in this part of the run, one line each.
    """

    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
    flow: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)
    incidents: list[str] = field(default_factory=list)

    @property
    def final_loss(self) -> float:
        """Mean of the last 20 losses, without those of skipped steps; NaN without any."""
        last = [loss for loss in self.losses[-20:] if math.isfinite(loss)]
        return sum(last) / len(last) if last else math.nan

    def show(self) -> Image:
        """The losses over the steps, as a `PIL.Image.Image`."""
        return draw("losses_sheet", self.losses)

    def __repr__(self) -> str:
        losses = f", loss {self.losses[0]:.4f} -> {self.losses[-1]:.4f}" if self.losses else ""
        bad = f", {len(self.bad)} unreadable videos" if self.bad else ""
        return f"RunHistory({len(self.losses):,} steps{losses}{bad}, {self.seconds:.0f} s)"

    def read(self, out: Path, steps: int) -> int:
        """Read the first `steps` steps from the log of a stopped run; returns how many of them it lacks, which become NaN."""
        lines = read_steps(out / LOG_FILE, steps)
        for step in range(steps):
            self.add(lines[step].record if step in lines else {"loss": math.nan, "lr": math.nan})
        return steps - len(lines)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one line of the log."""
        self.losses.append(number(record["loss"]))
        self.learning_rates.append(record["lr"])
        self.flow += record.get("flow", 0.0)  # not in the logs of earlier versions

    def write_bad_videos(self, out: Path) -> None:
        """Write one line per unreadable video: its path, a tab, the reason."""
        if self.bad:
            lines = [
                f"{printable(path)}\t{printable(message.removeprefix(f'{path}: '))}\n"
                for path, message in sorted(self.bad.items())
            ]
            with atomic_write(out / BAD_VIDEOS) as file:
                file.write("".join(lines).encode("utf-8", "surrogateescape"))


class StepLog:
    """One JSON line per step, and TensorBoard; buffered for `_FLUSH_SECONDS`, so that a step rarely waits for the disk.

    It begins with the log of the stopped run, if any: the lines of the steps in `history`.

    Args:
        trackers: services that get the curves too.
    """

    def __init__(self, out: Path, history: RunHistory, active: bool, trackers: Trackers | None = None) -> None:
        self.history = history
        self.trackers = trackers
        self.lines: list[str] = []
        self.path = out / LOG_FILE
        self.events: EventFile | None = None
        self._flushed = time.monotonic()
        if active:
            done = len(history.losses)
            kept = read_steps(self.path, done)  # a crash may have logged past the checkpoint
            with atomic_write(self.path, advice=_ADVICE) as file:
                file.writelines(line.text + b"\n" for line in kept.values())
            with _writing(out / TENSORBOARD):
                self.events = EventFile(out / TENSORBOARD, done)

    def write(self, record: StepRecord) -> None:
        """Log one step."""
        self.history.add(record.to_dict())
        if self.events is None:
            return
        self.lines.append(json.dumps(record.to_dict()))
        self.events.add(record.step, record.scalars())
        if self.trackers is not None:
            self.trackers.add(record.step, record.scalars())
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush()

    def add_picture(self, step: int, png: bytes, size: tuple[int, int]) -> None:
        """Show a PNG of (width, height) pixels in TensorBoard."""
        if self.events is not None:
            self.events.add_picture(step, "5-examples", png, size)

    def flush(self) -> None:
        """Write the buffered lines and events.

        Raises:
            FileError: the log or the events cannot be written.
        """
        if self.events is None:
            return
        text = "".join(line + "\n" for line in self.lines)
        self.lines.clear()
        self._flushed = time.monotonic()
        with _writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(text)
        with _writing(self.events.path):
            self.events.flush()
        if self.trackers is not None:
            self.trackers.flush()

    def close(self) -> None:
        """Write what is buffered, and end the trackers.

        Raises:
            FileError: as `flush`.
        """
        try:
            self.flush()
        finally:
            if self.trackers is not None:
                self.trackers.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise FileError if writing in the block fails."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, _ADVICE) from error


@dataclass(slots=True)
class RunWarnings:
    """Warnings about the videos and reading processes of a run: kept in its history, shown on the console, each once.

    Attributes:
        out: the run's folder.
        rank, ranks: number of this process, and of all.
        console: None: nothing is shown.
    """

    out: Path
    history: RunHistory
    rank: int
    ranks: int
    console: Terminal | None

    def unreadable(self, videos: list[Unreadable]) -> None:
        """Show videos that could not be read."""
        for path, message in videos:
            if path not in self.history.bad:
                self._show(message)
            self.history.bad[path] = message

    def incidents(self, lines: tuple[str, ...]) -> None:
        """Show lost reading processes of this rank: the first sign of a machine that is short of memory."""
        if not lines:
            return
        self._note(*(f"rank {self.rank}: {line}" if self.ranks > 1 else line for line in lines))

    def skipped(self, line: str) -> None:
        """Show a step that did not change the weights; every rank skips it."""
        if self.rank == 0:
            self._note(line)

    def flow(self, record: StepRecord, clips: int) -> None:
        """Warn once when `motion="auto"` falls back to optical flow: it costs reading time and changes what masks follow.

        Args:
            clips: clips of the step.
        """
        fraction = record.fractions["flow"]
        if fraction and not self.history.flow and self.rank == 0:
            self._show(
                f"motion: optical flow is measured for {round(fraction * clips):,} of the {clips:,} clips of step "
                f"{record.step}, whose files carry no motion vectors (VP9, HEVC, AV1, pictures and others); 'mgm scan' lists "
                "them, 'mgm prepare' makes files with vectors"
            )

    def stop_if_too_many(self, failed: int, read: int, limit: float) -> None:
        """Raise DataError if more than the fraction `limit` of the readings failed.

        Args:
            failed, read: readings that failed, and that returned a clip.
        """
        if failed > max(limit * (failed + read), _TOLERATED_FAILURES):
            raise DataError(
                "",
                f"{failed} of the first {failed + read} clips could not be read",
                f"at most {limit:.0%} (data.bad_share)",
                f"the first: {next(iter(self.history.bad.values()))}; {self.out / BAD_VIDEOS} lists the videos; {LEAVE_OUT_ADVICE}",
                reason="too_many_failures",
            )

    def _note(self, *lines: str) -> None:
        """Keep lines in the history and in their file, and show them."""
        self.history.incidents += lines
        path = self.out / INCIDENTS
        with _writing(path), path.open("a", encoding="utf-8", errors="surrogateescape") as file:  # names of files
            file.writelines(f"{printable(line)}\n" for line in lines)
        for line in lines:
            self._show(line)

    def _show(self, line: str) -> None:
        if self.console is not None:
            self.console.print_line(line, style="yellow")


def progress_text(loss: float, clips_per_second: float) -> str:
    """Loss and clips per second, for the progress of a run."""
    return f"loss {loss:.4f} {clips_per_second:.0f} clips/s"
