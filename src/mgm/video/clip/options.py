"""What is asked of a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.container.stream import OpenVideo, no_vectors
from mgm.video.motion.camera import Camera
from mgm.video.motion.estimators import MOTION_NAMES, MotionEstimator, make_estimator
from mgm.video.motion.field import Policy, Reading

Short = Literal["repeat_last", "wrap", "error"]
Motion = Literal["codec", "flow", "difference", "auto"]
Cache = Literal["use", "build", "ignore"]


class _Options(TypedDict, total=False):
    start: int
    start_seconds: float | None
    frames: int | None
    stride: int
    index: Sequence[int] | npt.NDArray[np.int64] | None
    crop: Literal["centre"] | tuple[int, int, int, int] | None
    policy: Policy
    reading: Reading
    camera: Camera
    short: Short
    cache: Cache
    cache_folder: str | Path | None


class MotionOptions(_Options, total=False):
    """What `read_motion` takes; see `read_clip`."""

    motion: Motion | MotionEstimator


class ClipOptions(_Options, total=False):
    """What `read_clip` takes."""

    size: int | tuple[int, int] | None
    motion: Motion | MotionEstimator | None


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `read_clip`."""

    name: str
    with_pixels: bool
    start: int = 0
    start_seconds: float | None = None
    frames: int | None = 16
    stride: int = 4
    index: Sequence[int] | npt.NDArray[np.int64] | None = None
    size: int | tuple[int, int] | None = 224
    crop: Literal["centre"] | tuple[int, int, int, int] | None = "centre"
    motion: Motion | MotionEstimator | None = "codec"
    policy: Policy = "window_sum"
    reading: Reading = "clean"
    camera: Camera = "none"
    short: Short = "repeat_last"
    cache: Cache = "use"
    cache_folder: str | Path | None = None
    crops: tuple[tuple[int, int, int, int], ...] = ()
    """Instead of `crop`: several regions of the same frames, all scaled to `size`."""

    def __post_init__(self) -> None:
        numbers = (
            (self.stride, "stride"),
            (1 if self.frames is None else self.frames, "frames"),
            (self.start + 1, "start + 1"),
        )
        for value, what in numbers:
            if value < 1:
                raise VideoError(f"{self.name}: {what} is {value}, expected 1 or more")
        if self.start_seconds is not None and not 0 <= self.start_seconds < float("inf"):
            raise VideoError(f"{self.name}: start_seconds is {self.start_seconds}, expected 0 or more")
        if self.start_seconds is not None and self.start:
            raise VideoError(
                f"{self.name}: start is {self.start} and start_seconds is {self.start_seconds}, expected one of the two"
            )
        if self.index is not None:
            self._check_index(np.asarray(self.index))
        if self.motion == "difference" and self.camera != "none":
            raise VideoError(
                f"{self.name}: camera is {self.camera!r} and motion is 'difference', which has no direction; expected camera 'none'"
            )
        for chosen, what, known in (
            (self.motion, "motion", MOTION_NAMES),
            (self.policy, "policy", ("window_sum", "sampled", "window_max")),
            (self.reading, "reading", ("clean", "references", "raw")),
            (self.camera, "camera", ("none", "median", "affine")),
            (self.short, "short", ("repeat_last", "wrap", "error")),
            (self.cache, "cache", ("use", "build", "ignore")),
        ):
            if what == "motion" and str(chosen) == "raft":
                make_estimator("raft")  # says what it needs
            own = what == "motion" and (chosen is None or isinstance(chosen, MotionEstimator))
            if not own and chosen not in known:
                raise VideoError(f"{self.name}: {what} is {chosen!r}, expected one of {', '.join(known)}")
        if self.motion is None and not self.with_pixels:
            raise VideoError(f"{self.name}: motion is None, expected a source of motion; read_clip reads frames alone")
        self._check_shape()

    def _check_index(self, index: npt.NDArray[np.int64]) -> None:
        numbers = index.ndim == 1 and len(index) > 0 and np.issubdtype(index.dtype, np.integer)
        if not numbers or index[0] < 0 or (np.diff(index) < 0).any():
            raise VideoError(
                f"{self.name}: index is {self.index}, expected frame numbers of 0 or more in ascending order; sort them"
            )
        if self.start or self.start_seconds is not None:
            raise VideoError(f"{self.name}: index and a start are given, expected one of the two")

    def definite(self) -> Request:
        """The same request with `start` and `stride` where `index` says no more than they would: they are read by faster ways."""
        if self.index is None:
            return self
        index = np.asarray(self.index, np.int64)
        steps = np.diff(index)
        if len(index) > 1 and (steps[0] < 1 or (steps != steps[0]).any()):
            return replace(self, index=index)
        stride = int(steps[0]) if len(index) > 1 else self.stride
        return replace(self, index=None, start=int(index[0]), frames=len(index), stride=stride, short="error")

    def _check_shape(self) -> None:
        sizes = () if self.size is None else (self.size,) if isinstance(self.size, int) else tuple(self.size)
        if len(sizes) > 2 or any(not isinstance(side, int) or side < 1 for side in sizes):
            raise VideoError(
                f"{self.name}: size is {self.size!r}, expected a side or (height, width) of 1 pixel or more, or None"
            )
        box = not isinstance(self.crop, str) and self.crop is not None and len(self.crop) == 4
        if self.crop not in ("centre", None) and not box:
            raise VideoError(f"{self.name}: crop is {self.crop!r}, expected 'centre', (x, y, width, height) or None")

    def source_for(self, video: OpenVideo) -> Literal["codec"] | MotionEstimator | None:
        """Where the motion comes from in this video."""
        if self.motion is None or not isinstance(self.motion, str):
            return self.motion
        if self.motion in ("codec", "auto") and video.exports_vectors:
            return "codec"
        if self.motion == "codec":
            raise no_vectors(video)
        return make_estimator("flow" if self.motion == "auto" else self.motion)
