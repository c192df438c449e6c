"""Where a run stands, and how a step is kept whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """All that the next step of a run depends on beside its weights, its optimiser and its data.

    Attributes:
        step: steps done, which is also the number of the next one.
        failed: clips so far that could not be read.
        rng: torch's random state on the CPU, and `device_rng` on the GPU, where there is one: dropout and stochastic depth.
    """

    step: int
    failed: int
    rng: torch.Tensor
    device_rng: torch.Tensor | None

    @classmethod
    def now(cls, step: int, failed: int, device: torch.device) -> Position:
        """The position at this moment."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(step, failed, torch.get_rng_state(), cuda)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Position:
        """The position that `to_dict` wrote."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"step": self.step, "failed": self.failed, "rng": self.rng, "device_rng": self.device_rng}

    def restore(self, device: torch.device) -> None:
        """Put the random states back. A run that goes on elsewhere than it began has none for its GPU."""
        torch.set_rng_state(self.rng)
        if device.type == "cuda" and self.device_rng is not None:
            torch.cuda.set_rng_state(self.device_rng, device)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block, so that a checkpoint never holds half a step."""
    if threading.current_thread() is not threading.main_thread():  # others receive no signals, and may not ask for them
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting and callable(before):
            before(*waiting[-1])
