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
class History:
    """What a run logged: one value per step since its very first one, resumed parts included; `seconds` of this part alone.

    Attributes:
        bad: path -> message of the videos that could not be read, on any rank.
        incidents: what happened to this rank's reading processes in this part, one line each.
    """

    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
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
        for entry in map(json.loads, lines):
            self.losses.append(entry["loss"])
            self.learning_rates.append(entry["lr"])


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

    def write(
        self, step: int, loss: float, lr: float, norm: float, speed: float, fallback: float, parts: Mapping[str, float]
    ) -> None:
        """One step. `fallback`: share of mask steps that had no motion to follow. `parts`: of a loss that is a sum."""
        self.history.losses.append(loss)
        self.history.learning_rates.append(lr)
        if self.writer is None:
            return
        self.lines.append(
            json.dumps(
                {
                    "step": step,
                    "loss": loss,
                    "lr": lr,
                    "gradient_norm": norm,
                    "clips_per_second": round(speed, 2),
                    "fallback": round(fallback, 4),
                    **({"parts": dict(parts)} if parts else {}),
                }
            )
        )
        values = {"loss": loss, "lr": lr, "gradient_norm": norm, "clips_per_second": speed, "fallback": fallback}
        values |= {f"loss/{name}": value for name, value in parts.items()}
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        if len(self.lines) >= 50:
            self.flush()

    def flush(self) -> None:
        """Bring what was held back to the disk."""
        if self.lines:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in self.lines))
            self.lines.clear()

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
