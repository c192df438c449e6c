"""`run.json` in the folder of a run: what was asked and what was found, and every start with its command, versions and devices.

    {"format": "mgm-run-1", "kind": "pretrain",
     "set": {"asked": "videos/", "name": "videos", "train": 9537, "checksum": "3c5a...", ...},
     "starts": [{"time": "2026-01-31T12:00:00+00:00", "step": 0, "command": "mgm pretrain videos/ --out runs/a", ...}]}

The file never decides anything: a damaged one is kept under another name, and a new one is begun.
"""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mgm.files.atomic import atomic_write
from mgm.files.json_text import json_document, read_json
from mgm.machine import machine, versions
from mgm.training.folder import RUN_FILE
from mgm.training.run import TrainingRun

RUN_FORMAT: Final = "mgm-run-1"


def record_start(run: TrainingRun, step: int) -> None:
    """Add a start to the file of a run, on its first rank.

    Args:
        step: number of the steps before it.

    Raises:
        FileError: the file cannot be written.
    """
    file = run.out / RUN_FILE
    before = _read(file)
    content = {
        "format": RUN_FORMAT,
        "kind": run.section,
        **run.about(),
        "starts": [*before, _start(run, step)],
    }
    with atomic_write(file) as opened:
        opened.write(json_document(content))


def _start(run: TrainingRun, step: int) -> dict[str, Any]:
    fabric = run.fabric
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": step,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "steps": run.schedule.steps,
        "seed": run.config.seed,
        "devices": run.order.ranks,
        "device": fabric.device.type,
        "strategy": type(fabric.strategy).__name__,
        "precision": str(fabric.strategy.precision.precision),
        "clips": {
            "at once": run.clips_per_rank // run.micro_batches,
            "accumulated": run.micro_batches,
            "step": run.clips_per_step,
        },
        "machine": machine(),
        "versions": dict(versions()),
    }


def _read(file: Path) -> list[Any]:
    """The starts in a file; none if there is no file. A file with other content is set aside."""
    if not file.exists():
        return []
    try:
        content = read_json(file.read_bytes())
        if content["format"] != RUN_FORMAT:
            raise ValueError(content["format"])
        return list(content["starts"])
    except (OSError, ValueError, LookupError, TypeError):
        file.replace(file.with_name(f"damaged-{file.name}"))
        return []
