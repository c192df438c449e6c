"""Where the processor time of a clip goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal, get_args

import mgm.data.clips.source
import mgm.data.loading.loader
import mgm.video.clip.decode
import mgm.video.clip.execution
import mgm.video.clip.reader
import mgm.video.clip.rgb
import mgm.video.motion.estimators
from mgm.masks import Mask
from mgm.video.container.stream import open_video

Stage = Literal["open", "demux", "decode", "convert", "field", "transform", "mask", "collate", "other"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# What is watched. A stage that is entered inside another stops the other's clock.
_WATCHED: tuple[tuple[Any, str, Stage], ...] = (
    (mgm.video.clip.reader, "demux_window", "demux"),
    (mgm.video.clip.decode, "decode_packet", "decode"),
    (mgm.video.clip.rgb.FrameConverter, "__call__", "convert"),
    (mgm.video.clip.decode, "frame_vectors", "field"),
    (mgm.video.clip.execution, "motion_from_vectors", "field"),
    (mgm.video.clip.execution, "aggregate", "field"),
    (mgm.video.clip.execution, "remove_camera", "field"),
    (mgm.video.clip.rgb.PictureConverter, "__call__", "field"),
    (mgm.video.motion.estimators.PairwiseMotion, "add", "field"),
    (mgm.video.motion.estimators.PairwiseMotion, "field", "field"),
    (mgm.video.clip.rgb.FrameConverter, "transform_motion", "transform"),
    (mgm.data.clips.source, "_view", "transform"),
    (mgm.data.loading.loader, "collate", "collate"),
)


@dataclass(slots=True)
class Stopwatch:
    """Processor seconds and calls of each stage, of one thread: neither a slow disk nor other programs change them.

    Attributes:
        seconds: by stage; what lies between stages is "other".
        calls: how often a stage was entered; of "decode", how many packets were.
    """

    seconds: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    calls: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    _running: list[Stage] = field(default_factory=lambda: ["other"])
    _since: float = 0.0

    @contextmanager
    def watch(self, mask: Mask | None) -> Iterator[None]:
        """Count what is read inside the block, and nothing outside of it."""
        with ExitStack() as stack:
            for owner, name, stage in _WATCHED:
                stack.enter_context(_replaced(owner, name, self._timed(getattr(owner, name), stage)))
            stack.enter_context(_replaced(mgm.video.clip.reader, "open_video", self._timed_opening(open_video)))
            if mask is not None:
                stack.enter_context(_replaced(type(mask), "draw", self._timed(type(mask).draw, "mask")))
            self._since = time.thread_time()
            try:
                yield
            finally:
                self._turn()

    def _turn(self) -> None:
        """Book what was used since the last turn to the stage that runs."""
        now = time.thread_time()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def _stage(self, stage: Stage) -> Iterator[None]:
        self._turn()
        self._running.append(stage)
        self.calls[stage] += 1
        try:
            yield
        finally:
            self._turn()
            self._running.pop()

    def _timed(self, function: Callable[..., Any], stage: Stage) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            with self._stage(stage):
                return function(*args, **options)

        return timed

    def _timed_opening(
        self, function: Callable[..., AbstractContextManager[Any]]
    ) -> Callable[..., AbstractContextManager[Any]]:
        """Opening and closing, without what happens in between."""

        @contextmanager
        def timed(*args: Any, **options: Any) -> Iterator[Any]:
            manager = function(*args, **options)
            with self._stage("open"):
                opened = manager.__enter__()
            try:
                yield opened
            except BaseException as error:
                if not manager.__exit__(type(error), error, error.__traceback__):
                    raise
            else:
                with self._stage("open"):
                    manager.__exit__(None, None, None)

        return timed


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
