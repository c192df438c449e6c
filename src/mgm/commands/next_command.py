"""A command ends with the next one to type."""

import shlex
from itertools import chain, count
from pathlib import Path

from mgm.terminal import note


def suggest(*words: object) -> None:
    """Print the words of the next command to standard error, quoted for a shell, on the first rank only."""
    note(shlex.join(map(str, words)), topic="next")


def new_folder(base: str | Path, ending: str = "") -> Path:
    """A name for a folder that does not exist: `base` with the ending, or else with a number after it."""
    path = Path(base)
    first = path.with_name(path.name + ending)
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(name for name in chain([first], others) if not name.exists())


def folder_beside(run: str | Path, ending: str) -> Path:
    """As `new_folder`, beside a run; for a checkpoint of a run beside that run, not among its checkpoints."""
    from mgm.training.folder import CHECKPOINTS, run_of

    path = Path(run)
    if path.parent.name == CHECKPOINTS:
        path = run_of(path).with_name(f"{run_of(path).name}-{path.name}")
    return new_folder(path, ending)


def suggest_export(run: Path) -> None:
    """Suggest to export a run in the format that every model has."""
    suggest("mgm", "export", run, "--to", "safetensors", "--out", folder_beside(run, "-exported"))
