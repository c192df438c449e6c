"""Unreadable videos in training: another video of the set is read instead, and the sample names the one it replaces.

A video is unreadable if reading it raises `READ_ERRORS`, or if a reading process hung or died on it (see `mgm.workers.pool`).
The run stops if too many videos are unreadable (`data.bad_share`); see `mgm.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from mgm.errors import DataError, VideoError
from mgm.workers.process import out_of_memory

ResultT = TypeVar("ResultT")

READ_ERRORS = (VideoError, OSError, MemoryError)
"""A failing disk or network, and a video that is too large, must not stop a run either."""

LEAVE_OUT_ADVICE = (
    "'mgm scan FOLDER --out readable.csv' finds the unreadable files, and readable.csv is the set without them"
)
"""What to do about a folder with unreadable videos."""

MOST_ATTEMPTS = 8
"""Videos tried for one sample before the run stops."""

_SUBSTITUTE = 3  # last number of the seed: keeps these draws apart from those of clips and masks


class Unreadable(NamedTuple):
    """A video that could not be read, and the error as one line that begins with its path."""

    path: str
    message: str

    @classmethod
    def from_error(cls, path: str, error: VideoError | OSError | MemoryError) -> Unreadable:
        """The video at `path`, whose reading raised `error`."""
        if isinstance(error, MemoryError):
            error = out_of_memory(path)
        elif isinstance(error, OSError):
            error = VideoError(path, str(error), reason="unreadable")
        return cls(path, str(error))


def read_or_substitute(
    read: Callable[[int, int, tuple[Unreadable, ...]], ResultT],
    paths: Sequence[str],
    *,
    index: int,
    seed: int,
    epoch: int,
    among: range | None = None,
) -> ResultT:
    """Read video `index`, or another video of the set if it is unreadable.

    Args:
        read: called with (index of a video, number of the attempt, unreadable videos so far).
        paths: of all videos of the set.
        among: the videos that may take its place; None: all.

    Raises:
        DataError: `MOST_ATTEMPTS` videos in a row could not be read.
    """
    failed: list[Unreadable] = []
    others = range(len(paths)) if among is None else among
    for attempt in range(MOST_ATTEMPTS):
        try:
            return read(index, attempt, tuple(failed))
        except READ_ERRORS as error:
            failed.append(Unreadable.from_error(paths[index], error))
            index = draw_substitute(others, seed=seed, epoch=epoch, index=index, attempt=attempt)
    raise DataError(
        "",
        f"{len(failed)} videos in a row could not be read, the last one: {failed[-1].message}",
        advice=LEAVE_OUT_ADVICE,
        reason="too_many_failures",
    )


def none_readable(count: int, problems: Iterable[str]) -> DataError:
    """The error if none of `count` videos could be read. problems: the reasons; the error shows the first."""
    first = next(iter(problems), None)
    if first is None:
        advice = "'mgm data show SET' prints how it is read"
        return DataError("", "the set has no videos", "at least one", advice, reason="too_many_failures")
    found = f"none of {count} videos could be read"
    return DataError("", found, advice=f"the first: {first}", reason="too_many_failures")


def draw_substitute(among: range, *, seed: int, epoch: int, index: int, attempt: int) -> int:
    """Number of the video to read instead of video `index`, one of `among`.

    It has a generator of its own, so that it does not depend on how many numbers were drawn before reading failed.
    """
    rng = np.random.default_rng([seed, epoch, index, attempt, _SUBSTITUTE])
    return among[int(rng.integers(len(among)))]
