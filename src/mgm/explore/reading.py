"""Clips and thumbnails of the explorer, read in processes that can be killed, and kept in memory for a while."""

from __future__ import annotations

import multiprocessing
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from queue import Empty, LifoQueue
from threading import Lock
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from mgm.compiled import load_cached
from mgm.data.clips.images import probe_any, read_any
from mgm.errors import DataError, MgmError
from mgm.explore.library import Video
from mgm.explore.read_ahead import ReadAhead
from mgm.explore.request import ClipRequest
from mgm.video import Clip
from mgm.video.clip.interleave import compile_clip_kernels
from mgm.workers.pool import WorkerPool
from mgm.workers.process import BeginItem, lower_priority

READ_SECONDS = 20.0
"""Time limit of one clip. Its process is killed then."""
_START_SECONDS = 180.0
_WAIT_SECONDS = 90.0
"""Time that a request waits for a process that is free."""
_END_SECONDS = 2.0
"""Time that the end of the explorer gives to a clip that is read ahead."""
_KEPT_BYTES = 256 * 2**20
THUMBNAIL = 128
"""Side of a thumbnail in pixels."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What the list shows of a video.

    Attributes:
        frames, height, width: of the upright video.
        seconds: its length, by the time between the frames in its middle; None without times.
        motion: mean length of the motion in its middle, in pixels per frame and thousandth of the height.
        thumbnail: uint8 (128, 128, 3), the frame in the middle.
    """

    frames: int
    height: int
    width: int
    seconds: float | None
    motion: float | None
    thumbnail: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Task:
    number: int
    path: str
    request: ClipRequest | None  # None: a summary


_Pool: TypeAlias = "WorkerPool[_Task, Any]"


class ClipReader:
    """Reads clips in `processes` processes, one clip at a time each; for many threads. Use it in a `with` block.

    A video that hangs a process or kills it is an error for whoever asked, and costs the others nothing.
    """

    def __init__(
        self, *, processes: int = 2, timeout_seconds: float = READ_SECONDS, ahead_after_seconds: float | None = 0.2
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._names: dict[int, str] = {}
        self._numbers = count()
        self._kept = _Kept()
        self._ready = multiprocessing.get_context("spawn").Event()
        self._pools = [self._pool(_warm) for _ in range(processes)]
        self._free: LifoQueue[_Pool] = LifoQueue()  # the one of last use is the warmest
        for pool in self._pools:
            self._free.put(pool)
        self._patient: _Pool | None = None
        self._ahead = None if ahead_after_seconds is None else ReadAhead(self._read_ahead, ahead_after_seconds)

    def _pool(self, set_up: Callable[[Event], None]) -> _Pool:
        """A process that reads one clip at a time."""
        return WorkerPool(
            _read,
            workers=1,
            timeout_seconds=self._timeout_seconds,
            name=lambda number: self._names.get(number, ""),
            timeout_advice="the file may be damaged",
            crash_advice="the file may be damaged",
            set_up=partial(set_up, self._ready),
            start_method="spawn",  # a web server has threads, which a fork would copy in an undefined state
        )

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ahead is not None:
            self._ahead.end(_END_SECONDS)
        for pool in (*self._pools, *([] if self._patient is None else [self._patient])):
            pool.close()

    @property
    def ready(self) -> bool:
        """Whether a process can read."""
        return self._ready.is_set()

    def wait(self) -> bool:
        """Wait until a process can read, and return whether one can: its imports take a second, or a minute on a busy machine."""
        return self._ready.wait(_START_SECONDS)

    def clip(self, video: Video, request: ClipRequest) -> Clip:
        """The clip that is asked for.

        Raises:
            VideoError, DataError: with the video's name as the subject, never its path.
        """
        if self._ahead is not None:
            self._ahead.pause()
        clip: Clip = self._kept.get((*_identity(video.path), request), lambda: self._ask(video, request))
        return clip

    def expect(self, video: Video, requests: Iterable[ClipRequest]) -> None:
        """Read clips ahead that may be asked for next, while nobody asks for others; see `ReadAhead`."""
        if self._ahead is not None:
            self._ahead.expect(video, requests)

    def summary(self, video: Video) -> Summary:
        """A thumbnail and facts of a video; errors as of `clip`."""
        if self._ahead is not None:
            self._ahead.pause()
        found: Summary = self._kept.get((*_identity(video.path), "summary"), lambda: self._ask(video, None))
        return found

    def _read_ahead(self, video: Video, request: ClipRequest) -> None:
        """Keep a clip that nobody waits for. Its process leaves the processor to those of the visitors."""

        def read() -> Clip:
            """Read in a process of its own, which is started for the first clip."""
            if self._patient is None:
                self._patient = self._pool(_warm_patiently)
            clip: Clip = self._read_in(self._patient, video, request)
            return clip

        self._kept.get((*_identity(video.path), request), read)

    def _ask(self, video: Video, request: ClipRequest | None) -> Any:
        self.wait()
        try:
            pool = self._free.get(timeout=_WAIT_SECONDS)
        except Empty:
            found = f"no process became free within {_WAIT_SECONDS:g} s"
            raise DataError(video.name, found, advice="try again", reason="timed_out") from None
        try:
            return self._read_in(pool, video, request)
        finally:
            self._free.put(pool)

    def _read_in(self, pool: _Pool, video: Video, request: ClipRequest | None) -> Any:
        number = next(self._numbers)
        self._names[number] = video.name
        try:
            (result,) = pool.in_order([_Task(number, video.path, request)])
            return result
        except MgmError as error:
            raise error.about(video.name) from error
        finally:
            pool.incidents.clear()
            del self._names[number]


def _warm(ready: Event) -> None:
    """Load in a new process what its first clip would wait for. It compiles nothing: `mgm.explore.kernels` does."""
    load_cached(compile_clip_kernels)
    with suppress(ImportError):
        import cv2  # noqa: F401
    ready.set()


def _warm_patiently(ready: Event) -> None:
    """The same in a process that may wait."""
    lower_priority()
    _warm(ready)


def _read(task: _Task, begin: BeginItem) -> Clip | Summary:
    begin(task.number)
    return _summarise(task.path) if task.request is None else read_any(task.path, **asdict(task.request))


def _summarise(path: str) -> Summary:
    info = probe_any(path)
    frames, stride = min(4, info.frames), 2
    start = max(info.frames - frames * stride, 0) // 2
    clip = read_any(path, start=start, frames=frames, stride=stride, size=THUMBNAIL, motion="auto")
    motion = None
    if clip.motion is not None:
        motion = float(clip.motion.magnitude.mean()) / stride / clip.motion.extent[0] * 1000
    steps, shown = np.diff(clip.frame_indices), np.diff(clip.pts_seconds)
    known = len(steps) > 0 and steps.sum() > 0 and float(shown.sum()) > 0
    seconds = info.frames * float(shown.sum() / steps.sum()) if known else None
    return Summary(info.frames, info.height, info.width, seconds, motion, clip.frames[len(clip.frames) // 2])


def _identity(path: str) -> tuple[str, int, int]:
    """A file that was replaced is another one. A member of a shard, which has no file of its own, is known by its name."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return path, 0, 0
    return path, found.st_mtime_ns, found.st_size


@dataclass(slots=True)
class _Kept:
    """The results of last use, up to 256 MB."""

    _values: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: Any = field(default_factory=Lock)

    def get(self, key: Hashable, make: Callable[[], ResultT]) -> ResultT:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                kept: ResultT = self._values[key]
                return kept
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._bytes += _size(value)
            while self._bytes > _KEPT_BYTES and len(self._values) > 1:
                self._bytes -= _size(self._values.popitem(last=False)[1])
        return value


def _size(value: object) -> int:
    if isinstance(value, Clip):
        return value.frames.nbytes + (0 if value.motion is None else value.motion.vectors.nbytes)
    return value.thumbnail.nbytes if isinstance(value, Summary) else 0
