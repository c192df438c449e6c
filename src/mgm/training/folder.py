"""The folder of a run: its files, and its use by one run at a time.

It needs no torch, which takes seconds to import: a run that is refused does not wait for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mgm.errors import ConfigError
from mgm.files.atomic import make_folder
from mgm.files.lock import locked
from mgm.ranks import on_first_rank
from mgm.training.step_lines import read_steps
from mgm.video.scan.suffixes import VIDEO_SUFFIXES

CHECKPOINTS: Final = "checkpoints"
"""Folder of a run's checkpoints, a folder each: `step-00000500`. `mgm.training.checkpoint_folder` describes their files."""
STATE_FILE: Final = "state.pt"
ABOUT_FILE: Final = "about.json"
LAST_CHECKPOINT: Final = "last.pt"
"""The newest checkpoint of a run of an earlier version, a single file; it is read, and no longer written."""
DECAY: Final = "start of the decay"
"""Under `kept` in the `ABOUT_FILE` of the checkpoint from which a run is extended."""
RECIPE_FILE: Final = "config.yaml"
RUN_FILE: Final = "run.json"
LOG_FILE: Final = "log.jsonl"
BAD_VIDEOS: Final = "bad_videos.tsv"
INCIDENTS: Final = "incidents.txt"
REPLAY_FILE: Final = "replay.pt"
"""Name of the step that stopped a run, for `mgm doctor replay`; that of a later rank N is replay-N.pt."""
TENSORBOARD: Final = "tensorboard"
PICTURES: Final = "pictures"
OTHER_OUT: Final = "give another --out"

_FILES = (LAST_CHECKPOINT, RECIPE_FILE, RUN_FILE, LOG_FILE, BAD_VIDEOS, INCIDENTS, REPLAY_FILE)
_FOLDERS = (CHECKPOINTS, TENSORBOARD, PICTURES)
_STEP_NAME = re.compile(r"step-(\d{8,})")

_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())
"""The folders that this thread holds."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins.

    Attributes:
        resume: "auto": at the newest checkpoint of its folder, or anew if it has none. "never": anew. A path: at that checkpoint,
            or at the newest one of that run.
        extend: a run with a schedule of warm-up, stable phase and decay: begin before its decay, with another length.
        change: names of settings that may differ from those of the checkpoint.
    """

    resume: Path | Literal["auto", "never"] = "never"
    extend: Path | None = None
    change: frozenset[str] = frozenset()

    @classmethod
    def of(cls, resume: str | Path | bool, extend: str | Path | None = None, change: Iterable[str] = ()) -> Start:
        """The start that arguments describe; True is "auto", False is "never".

        Raises:
            ConfigError: a path to resume and a run to extend.
        """
        mode = {True: "auto", False: "never"}.get(resume, resume) if isinstance(resume, bool) else resume
        start = cls(
            mode if mode in ("auto", "never") else Path(mode),  # type: ignore[arg-type]
            None if extend is None else Path(extend),
            frozenset(change),
        )
        if isinstance(start.resume, Path) and start.extend is not None:
            found = f"found a run to extend, {extend}, and a checkpoint to resume, {resume}"
            raise ConfigError(
                "extend", found, "one of them", "resume auto continues an extended run", reason="conflict"
            )
        return start

    def continues(self, out: Path) -> bool:
        """Whether the run in `out` begins at a checkpoint, which replaces the weights that a model starts with."""
        return find_checkpoint(out) is not None or self.extend is not None or isinstance(self.resume, Path)


def checkpoint_folder(out: Path, step: int) -> Path:
    """The folder of a checkpoint after so many steps."""
    return out / CHECKPOINTS / f"step-{step:08d}"


def checkpoint_folders(out: Path) -> list[Path]:
    """The checkpoints of a run, the newest first."""
    places = (out / CHECKPOINTS).glob("step-*")
    found = [(int(name[1]), path) for path in places if (name := _STEP_NAME.fullmatch(path.name)) and path.is_dir()]
    return [path for _, path in sorted(found, reverse=True)]


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint that a path means: itself, or the newest one of a run's folder; None if there is none."""
    try:
        if path.is_file():
            return path
        if (path / STATE_FILE).is_file():
            return path
        newest = next(iter(checkpoint_folders(path)), None)
        return newest or (path / LAST_CHECKPOINT if (path / LAST_CHECKPOINT).is_file() else None)
    except OSError:  # a folder without permission, or a name that is too long
        return None


def run_of(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to."""
    return checkpoint.parent.parent if checkpoint.parent.name == CHECKPOINTS else checkpoint.parent


@contextmanager
def run_folder(out: str | Path, start: Start) -> Iterator[None]:
    """Hold the folder of a run for the length of the block, on the first rank, and check it. Blocks for one folder may be nested.

    A folder that is made here and stays empty is removed again.

    Raises:
        ConfigError: it cannot be the folder of this run; see `_check_content` and `_check_start`.
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
    make_folder(out, advice=OTHER_OUT)
    try:
        with locked(out, advice=f"wait for its run to end, or {OTHER_OUT}"):
            _check_content(out)
            _check_start(out, start)
            token = _held.set(_held.get() | {place})
            try:
                yield
            finally:
                _held.reset(token)
    finally:
        if made:
            with suppress(OSError):  # it has content
                out.rmdir()


def _check_content(out: Path) -> None:
    """Raise ConfigError if a folder contains the files of something else, or a run that lost its checkpoints."""
    for name in (*_FILES, *_FOLDERS):
        path, folder = out / name, name in _FOLDERS
        if path.exists() and not (path.is_dir() if folder else path.is_file()):
            expected = "a folder" if folder else "a regular file"
            raise ConfigError(path, "found something else", expected, f"remove it, or {OTHER_OUT}", reason="exists")
    if find_checkpoint(out) is not None:
        return
    if len(read_steps(out / LOG_FILE)) > 1:  # the first checkpoint follows the first step
        found = f"contains the {LOG_FILE} of a run, but no checkpoint"
        advice = f"restore {CHECKPOINTS} from a copy, or {OTHER_OUT}"
        raise ConfigError(out, found, f"one in {CHECKPOINTS}", advice, reason="not_found")
    if (out / RECIPE_FILE).exists() and not (out / LOG_FILE).exists():
        found = f"contains a {RECIPE_FILE} that does not belong to a run and would be overwritten"
        raise ConfigError(out, found, advice=OTHER_OUT, reason="exists")
    if not (out / LOG_FILE).exists():
        _check_neighbours(out)


def _check_neighbours(out: Path) -> None:
    """Raise ConfigError if a new run would scatter its files among videos or other runs: its own name was forgotten."""
    for path in sorted(out.iterdir()):
        kind = "a video" if path.suffix.lower() in VIDEO_SUFFIXES else "another run" if _is_run(path) else None
        if kind is not None:
            raise ConfigError(
                out, f"contains {kind}, {path.name}", "a folder of its own for the run", OTHER_OUT, reason="exists"
            )


def _is_run(path: Path) -> bool:
    return (path / CHECKPOINTS).is_dir() and (path / LOG_FILE).is_file()


def _check_start(out: Path, start: Start) -> None:
    """Raise ConfigError if a run in this folder cannot begin there: nothing that a folder contains is overwritten or lost."""
    own = find_checkpoint(out)
    if own is not None and start.resume == "never":
        advice = f"continue it with --resume auto, or {OTHER_OUT}"
        raise ConfigError(out, "already contains a run", advice=advice, reason="exists")
    for path in (start.resume if isinstance(start.resume, Path) else None, start.extend):
        if path is not None and find_checkpoint(path) is None:
            expected = f"a run's folder with {CHECKPOINTS}, or one of these"
            raise ConfigError(path, "contains no checkpoint", expected, "check the path", reason="not_found")
    if own is None or not isinstance(start.resume, Path):
        return
    asked = find_checkpoint(start.resume)
    if asked is not None and asked.resolve() != own.resolve():
        found = f"already contains a run, whose newest checkpoint, {own.name}, is another one than {start.resume}"
        advice = f"continue that run with --resume auto, or {OTHER_OUT} to begin a new one at {start.resume}"
        raise ConfigError(out, found, advice=advice, reason="exists")
