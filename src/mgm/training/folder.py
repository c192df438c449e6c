"""The folder of a run: its files, and its use by one run at a time.

It needs no torch, which takes seconds to import: a run that is refused does not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from mgm.errors import ConfigError
from mgm.files.atomic import cannot_write
from mgm.files.lock import locked
from mgm.ranks import on_first_rank
from mgm.training.step_lines import read_steps

LAST_CHECKPOINT: Final = "last.pt"
"""Name of the newest checkpoint in a run's folder."""
PREVIOUS_CHECKPOINT: Final = "previous.pt"
"""Name of the checkpoint before it."""
DAMAGED_CHECKPOINT: Final = "damaged.pt"
"""Name that a newest checkpoint gets whose checksum differs."""
RECIPE_FILE: Final = "config.yaml"
LOG_FILE: Final = "log.jsonl"
BAD_VIDEOS: Final = "bad_videos.tsv"
INCIDENTS: Final = "incidents.txt"
REPLAY_FILE: Final = "replay.pt"
"""Name of the step that stopped a run, for `mgm doctor replay`; that of a later rank N is replay-N.pt."""
TENSORBOARD: Final = "tensorboard"
OTHER_OUT: Final = "give another --out"

_CHECKPOINTS = (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT)
_FILES = (*_CHECKPOINTS, DAMAGED_CHECKPOINT, RECIPE_FILE, LOG_FILE, BAD_VIDEOS, INCIDENTS, REPLAY_FILE)

_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())
"""The folders that this thread holds."""


@contextmanager
def run_folder(out: str | Path, *, resume: bool) -> Iterator[None]:
    """Hold the folder of a run for the length of the block, on the first rank, and check it. Blocks for one folder may be nested.

    A folder that is made here and stays empty is removed again.

    Raises:
        ConfigError: it cannot be the folder of this run; see `_check_content`.
        FileError: another run uses it, or it cannot be written.
    """
    out = Path(out)
    place = out.resolve()
    if place in _held.get() or not on_first_rank():
        yield
        return
    if out.exists() and not out.is_dir():
        raise ConfigError(out, "found a file", "the folder of a run", OTHER_OUT, reason="exists")
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error, OTHER_OUT) from error
    try:
        with locked(out, advice=f"wait for its run to end, or {OTHER_OUT}"):
            _check_content(out, resume=resume)
            token = _held.set(_held.get() | {place})
            try:
                yield
            finally:
                _held.reset(token)
    finally:
        if made:
            with suppress(OSError):  # it has content
                out.rmdir()


def _check_content(out: Path, *, resume: bool) -> None:
    """Raise ConfigError if a folder contains a run that is not to be resumed or cannot be, or the files of something else."""
    for name in (*_FILES, TENSORBOARD):
        path, folder = out / name, name == TENSORBOARD
        if path.exists() and not (path.is_dir() if folder else path.is_file()):
            expected = "a folder" if folder else "a regular file"
            raise ConfigError(path, "found something else", expected, f"remove it, or {OTHER_OUT}", reason="exists")
    checkpoint = any((out / name).exists() for name in _CHECKPOINTS)
    if checkpoint and not resume:
        advice = f"continue it with --resume, or {OTHER_OUT}"
        raise ConfigError(out, "already contains a run", advice=advice, reason="exists")
    if not checkpoint and len(read_steps(out / LOG_FILE)) > 1:  # the first checkpoint follows the first step
        found = f"contains the {LOG_FILE} of a run, but no checkpoint"
        advice = f"restore {LAST_CHECKPOINT} from a copy, or {OTHER_OUT}"
        raise ConfigError(out, found, f"{' or '.join(_CHECKPOINTS)}", advice, reason="not_found")
    if (out / RECIPE_FILE).exists() and not checkpoint and not (out / LOG_FILE).exists():
        found = f"contains a {RECIPE_FILE} that does not belong to a run and would be overwritten"
        raise ConfigError(out, found, advice=OTHER_OUT, reason="exists")
