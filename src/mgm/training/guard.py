"""The judge of a step before its gradient reaches the weights: steps that would spoil them are skipped and counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

WINDOW: Final = 100
"""Number of latest steps among which skipped ones are counted, and whose gradient norms are compared."""
_FEWEST = 20
"""Norms that a comparison needs: the first steps of a run differ too much among themselves."""


@dataclass(slots=True)
class StepGuard:
    """Judges steps, the same on every rank: by numbers that all ranks share.

    Attributes:
        limit: number of skipped steps among the latest `WINDOW` with which a run still continues.
        spike: a gradient explodes if its norm is this many times the largest of the latest steps; None: it never does.
        norms: gradient norms of the latest steps that were taken, the oldest first.
        skipped: numbers of the skipped steps among the latest, ascending.
    """

    limit: int
    spike: float | None
    norms: list[float] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)

    def judge(self, step: int, loss: float, norm: float, *, overflows: bool = False) -> str | None:
        """The reason to skip a step, or None if it can be taken.

        Args:
            overflows: the gradient scaler can still lower its scale. A norm that is not finite is then no reason: the scaler skips
                the step itself, which happens in every run of 16 bits.
        """
        reason = self._reason(loss, norm, overflows=overflows)
        if reason is not None:
            self.skipped = [*(earlier for earlier in self.skipped if earlier > step - WINDOW), step]
        elif math.isfinite(norm):
            self.norms = [*self.norms, norm][-WINDOW:]
        return reason

    @property
    def exceeded(self) -> bool:
        """Whether more steps were skipped than the limit allows."""
        return len(self.skipped) > self.limit

    def state(self) -> dict[str, Any]:
        """For a checkpoint: a resumed run judges as if it had not stopped."""
        return {"norms": list(self.norms), "skipped": list(self.skipped)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`. Checkpoints of earlier versions have none."""
        self.norms = [float(norm) for norm in state.get("norms", ())]
        self.skipped = [int(step) for step in state.get("skipped", ())]

    def _reason(self, loss: float, norm: float, *, overflows: bool) -> str | None:
        if not math.isfinite(loss):
            return f"its loss is {loss}"
        if not math.isfinite(norm):
            return None if overflows else f"the norm of its gradient is {norm}"
        if self.spike is not None and len(self.norms) >= _FEWEST and norm > self.spike * max(self.norms) > 0:
            return f"the norm of its gradient is {norm:.3g}, at most {max(self.norms):.3g} in the steps before"
        return None
