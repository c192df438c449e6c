"""The course of a run, thinned to a small file, and the curves of runs that were really made, to compare with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mgm.errors import ConfigError, ModelError
from mgm.files.atomic import atomic_write
from mgm.files.json_text import read_json
from mgm.training.checkpoint import load_checkpoint
from mgm.training.config import Config, Run
from mgm.training.folder import LOG_FILE, RECIPE_FILE, RUN_FILE
from mgm.training.recipe import load_config
from mgm.training.step_lines import StepLine, number, read_steps
from mgm.version import VERSION

POINTS: Final = 100
"""Most points of a curve: each is the mean over equally many steps."""
QUANTITIES: Final = ("loss", "gradient_norm", "lr", "clips_per_second", "data_wait", "flop_utilisation", "hidden",
                     "mask_overlap", "fallback", "flow")  # fmt: skip
"""Names of the log that are drawn."""


@dataclass(frozen=True, slots=True)
class RunCurves:
    """The course of a run.

    Attributes:
        name: of the run, or what a reference is: "debug on tank_wagon".
        kind: "pretrain" or "finetune".
        made: what the loss depends on: set, size of the model, target, mask, batch, seed; and machine and version.
        clips: clips seen at each point.
        values: name of the log -> its means, None where none is finite or known.
    """

    name: str
    kind: Run
    made: Mapping[str, Any]
    clips: tuple[float, ...]
    values: Mapping[str, tuple[float | None, ...]]

    def loss_at(self, clips: float) -> float | None:
        """The loss after so many clips, from the nearest point; None beyond the end."""
        if not self.clips or clips > self.clips[-1] * 1.01:
            return None
        nearest = min(range(len(self.clips)), key=lambda point: abs(self.clips[point] - clips))
        return self.values["loss"][nearest]

    def last(self, name: str) -> float | None:
        """The last known mean of a quantity of the log; None without one."""
        return next((value for value in reversed(self.values.get(name, ())) if value is not None), None)

    def is_comparable(self, other: RunCurves) -> bool:
        """Whether the losses of two runs are the same quantity of models of one size."""
        same = ("size", "target", "visible_target")  # the last is absent in older curves
        return self.kind == other.kind and all(self.made.get(key) == other.made.get(key) for key in same)

    def save(self, file: Path) -> None:
        """Write a reference curve.

        Raises:
            FileError: the file cannot be written.
        """
        with atomic_write(file) as opened:
            opened.write(f"{json.dumps(asdict(self), indent=1)}\n".encode())


def read_run(folder: Path) -> RunCurves:
    """The course of a run, from the files of its folder.

    Raises:
        ConfigError: the folder has no log of a run.
    """
    steps = read_steps(folder / LOG_FILE)
    if not steps or not (folder / RECIPE_FILE).is_file():
        expected = f"the folder of a run with {LOG_FILE} and {RECIPE_FILE}"
        raise ConfigError(folder, "found no log of a run", expected, "check the path", reason="not_found")
    config = load_config(folder / RECIPE_FILE)
    about = about_run(folder)
    kind = about.get("kind") or _kind(folder)
    made = _made(config, kind, about)
    groups = _groups(list(steps.items()))
    per_step = config.optim(kind).batch * config.repeats(kind)
    clips = tuple(float((group[-1][0] + 1) * per_step) for group in groups)
    values = {name: tuple(_mean(group, name) for group in groups) for name in QUANTITIES}
    known = {name: means for name, means in values.items() if any(mean is not None for mean in means)}
    return RunCurves(folder.resolve().name, kind, made, clips, known)


def read_references() -> tuple[RunCurves, ...]:
    """The curves that come with the package, by name."""
    folder = resources.files("mgm") / "curves"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return tuple(_parse(read_json(file.read_bytes())) for file in files)


def _parse(content: Any) -> RunCurves:
    values = {name: tuple(means) for name, means in content["values"].items()}
    return RunCurves(content["name"], content["kind"], content["made"], tuple(content["clips"]), values)


def about_run(folder: Path) -> dict[str, Any]:
    """The content of `run.json`; empty for runs of earlier versions."""
    try:
        content = read_json((folder / RUN_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _kind(folder: Path) -> Run:
    try:
        return "finetune" if load_checkpoint(folder)["kind"] == "classifier" else "pretrain"
    except ModelError:  # stopped before its first checkpoint
        return "pretrain"


def _made(config: Config, kind: Run, about: Mapping[str, Any]) -> dict[str, Any]:
    videos, starts = about.get("set", {}), about.get("starts", [{}])
    target: Any = config.model.target if kind == "pretrain" else "classes"
    return {
        "set": videos.get("name", "unknown"),
        "videos": videos.get("train"),
        "classes": videos.get("classes"),
        "size": config.model.size,
        "target": target,
        "visible_target": config.model.visible_target if kind == "pretrain" else None,
        "mask": f"{config.mask.name} {config.mask.ratios}" if kind == "pretrain" else None,
        "clip": f"{config.data.frames} x {config.data.size} px, stride {config.data.stride}",
        "batch": config.optim(kind).batch,
        "seed": config.seed,
        "machine": starts[-1].get("machine", "unknown"),
        "version": starts[-1].get("versions", {}).get("mgm", VERSION),
    }


def _groups(steps: Sequence[tuple[int, StepLine]]) -> list[Sequence[tuple[int, StepLine]]]:
    size = -(-len(steps) // POINTS)
    return [steps[first : first + size] for first in range(0, len(steps), size)]


def _mean(group: Sequence[tuple[int, StepLine]], name: str) -> float | None:
    """The mean of the finite values, to five digits."""
    values = [number(line.record[name]) for _, line in group if name in line.record]
    finite = [value for value in values if math.isfinite(value)]
    return float(f"{sum(finite) / len(finite):.5g}") if finite else None
