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


def suggest_export(run: Path) -> None:
    """Suggest to export a run in the format that every model has."""
    suggest("mgm", "export", run, "--to", "safetensors", "--out", new_folder(run, "-exported"))
