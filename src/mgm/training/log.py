"""What a run writes down while it runs, and what it shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mgm.errors import ModelError

LOG = "log.jsonl"


@dataclass(slots=True)
class Entry:
    """One step, as the log has it.

    Attributes:
        loss, lr, norm: loss, learning rate, norm of the gradient before it is clipped.
        parts: the errors that the loss is the weighted sum of, where it is one.
        shares: `fallback`, of the mask steps that had no motion to follow; `decoder_fallback`, the same of the decoder's mask,
            where there is one; `flow`, of the clips whose motion was measured on the pictures, not read from the stream.
        speed: clips per second.
    """

    step: int
    loss: float
    lr: float
    norm: float
    parts: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    speed: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For a line of log.jsonl."""
        return {
            "step": self.step,
            "loss": self.loss,
            "lr": self.lr,
            "gradient_norm": self.norm,
            "clips_per_second": round(self.speed, 2),
            **{name: round(share, 4) for name, share in self.shares.items()},
            **({"parts": self.parts} if self.parts else {}),
        }

    def scalars(self) -> dict[str, float]:
        """For TensorBoard."""
        values = {"loss": self.loss, "lr": self.lr, "gradient_norm": self.norm, "clips_per_second": self.speed}
        return values | self.shares | {f"loss/{name}": value for name, value in self.parts.items()}


@dataclass(slots=True)
class History:
    """What a run logged: one value per step since its very first one, resumed parts included; `seconds` of this part alone.

    Attributes:
        bad: path -> message of the videos that could not be read, on any rank.
        flow: sum over the steps of the share of clips whose motion was measured on the pictures, not read from the stream.
        incidents: what happened to this rank's reading processes in this part, one line each.
    """

    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
    flow: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)
    incidents: list[str] = field(default_factory=list)

    def read(self, out: Path, steps: int) -> None:
        """Take over what the log of a stopped run says of its first `steps` steps.

        Raises:
            ModelError: it says less.
        """
        path = out / LOG
        lines = path.read_text(encoding="utf-8").splitlines()[:steps] if path.exists() else []
        if len(lines) < steps:
            raise ModelError(
                f"{path}: holds {len(lines)} steps, expected the {steps} of the checkpoint beside it; "
                "restore the file, or start anew in another folder"
            )
        for number, line in enumerate(lines):
            try:
                self.add(json.loads(line))
            except (ValueError, LookupError, TypeError) as error:
                raise ModelError(
                    f"{path}: line {number + 1} is no step of a run, expected what mgm wrote there; restore the file, or start "
                    "anew in another folder"
                ) from error

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take over one line of the log."""
        self.losses.append(entry["loss"])
        self.learning_rates.append(entry["lr"])
        self.flow += entry.get("flow", 0.0)  # logs of earlier versions do not tell


class Log:
    """One JSON line per step, and TensorBoard; held back a little so that logging never waits for the disk."""

    def __init__(self, out: Path, history: History, active: bool) -> None:
        self.history = history
        self.lines: list[str] = []
        self.path = out / LOG
        self.writer: Any = None
        if active:
            from torch.utils.tensorboard import SummaryWriter  # imports slowly

            done = len(history.losses)
            kept = self.path.read_text(encoding="utf-8").splitlines()[:done]
            # a crash may have logged past the checkpoint
            self.path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
            self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=done)

    def write(self, entry: Entry) -> None:
        """One step."""
        self.history.add(entry.to_dict())
        if self.writer is None:
            return
        self.lines.append(json.dumps(entry.to_dict()))
        for name, value in entry.scalars().items():
            self.writer.add_scalar(name, value, entry.step)
        if len(self.lines) >= 50:
            self.flush()

    def flush(self) -> None:
        """Bring what was held back to the disk."""
        text = "".join(line + "\n" for line in self.lines)
        self.lines.clear()
        if text:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(text)
            except OSError as error:
                raise ModelError(
                    f"{self.path}: could not be written ({error}); the last checkpoint is intact. Free some space and go on with "
                    "--resume"
                ) from error

    def close(self) -> None:
        """Flush, and end TensorBoard's file."""
        self.flush()
        if self.writer is not None:
            self.writer.close()


def progress_bar(active: bool) -> Progress:
    """Steps, what `progress_text` says, time gone and time left."""
    columns: list[ProgressColumn] = [
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    return Progress(*columns, disable=not active)


def progress_text(loss: float, speed: float) -> str:
    """Loss and clips per second, as they stand beside the bar."""
    return f"loss {loss:.4f} {speed:.0f} clips/s"
