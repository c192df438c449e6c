"""The processes that train together, before torch connects them."""

from __future__ import annotations

import os


def on_first_rank() -> bool:
    """Whether this process is the first or the only one: torchrun and SLURM number those that they start."""
    return (os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or "0") == "0"
