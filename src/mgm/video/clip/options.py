"""The options of a clip, spelled once: a dataclass whose fields are the keyword arguments of `read_clip` and its relatives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec, Protocol, Self, TypeVar, get_args, overload

import numpy as np
import numpy.typing as npt

from mgm.errors import Reason, VideoError, did_you_mean
from mgm.video.container.picture_size import MOST_PICTURE_PIXELS
from mgm.video.container.stream import OpenVideo, no_vectors
from mgm.video.motion.camera import no_direction
from mgm.video.motion.estimators import MotionEstimator, make_estimator
from mgm.video.motion.names import CameraModel, MotionName, Policy, Reading

Short = Literal["repeat_last", "wrap", "error"]
Cache = Literal["use", "build", "ignore"]
Box = tuple[int, int, int, int]
"""(x, y, width, height) in pixels."""
Crop = Literal["centre"] | Box | None
"""The region of a clip, see `ClipOptions`."""
MOST_CLIP_FRAMES = 2**24
"""Of one clip, 155 hours at 30 frames per second: a mistyped number must not fill the memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipOptions:
    """The keyword arguments of `mgm.read_clip`:

        video   . . . . . . . . . . . .      start=2, frames=3, stride=4
        clip        f       f       f        frames 2, 6, 10
        motion    +++     +++++   +++++      added up by window_sum for each of them

    Args:
        start: number of the first frame, in display order.
        start_seconds: instead of `start`: the frame that is shown at this presentation time (the time line of
            `Clip.pts_seconds`).
        frames: number of frames; None reads to the end of the video.
        stride: distance between sampled frames.
        frame_indices: instead of `start`, `frames` and `stride`: the frame numbers of the clip, ascending; they may repeat.
            Motion is then measured over the step from the frame before in the list, that of the first frame over the step to
            the second.
        size: side of the square result (or (height, width)) in pixels; None keeps the source's.
        crop: "centre": the largest centred region of the result's shape; (x, y, width, height) in pixels of the upright frame
            (chroma is stored at half resolution: x and y are rounded to even numbers of the coded frame); None: the whole frame,
            stretched to `size`. With `size=None`, "centre" keeps the whole frame.
        motion: "codec" reads the stream's motion vectors; "flow" measures optical flow between sampled frames (needs OpenCV);
            "difference" measures only where something changed; "auto" is "codec" if the stream has vectors, else "flow"; "raft"
            reads the motion that `mgm.flow.stored.store_raft` stored beside the video; or an estimator, such as
            `mgm.flow.raft.RaftEstimator` or your own (see `mgm.video.motion.estimators.MotionEstimator`). None reads frames only.

    Expert options:
        policy: how the frames that `stride` skips enter the codec's motion: `window_sum`, `sampled` (the paper's literal
            reading), `window_max`; see `mgm.video.motion.field.aggregate_windows`. Estimators compare sampled frames.
        reading: "clean" divides by the reference distance, joins all vectors that span a frame and smooths (see
            `mgm.video.motion.velocity`); "references" does so with the vectors of reference pictures alone: B-frames of H.264
            that no other frame refers to are decoded only if their pixels are needed; "raw" is the literal reading: list 0
            first, no division, and under `sampled` no multiplication by the stride.
        camera: "median" or "affine" subtracts the motion of the camera; see `mgm.video.motion.camera.remove_camera`.
        short: for a video that ends before the clip: `repeat_last` repeats the last frame that the stride reaches, `wrap` starts
            again with the first, `error` raises.
        cache: "use" takes clean codec motion from a valid sidecar file beside the video (see `mgm.video.motion.cache`), the same
            bit for bit; "build" writes a missing one first; "ignore" reads the stream.
        cache_folder: folder of the sidecars, instead of beside their videos.
    """

    start: int = 0
    start_seconds: float | None = None
    frames: int | None = 16
    stride: int = 4
    frame_indices: Sequence[int] | npt.NDArray[np.int64] | None = None
    size: int | tuple[int, int] | None = 224
    crop: Crop = "centre"
    motion: MotionName | MotionEstimator | None = "codec"
    policy: Policy = "window_sum"
    reading: Reading = "clean"
    camera: CameraModel = "none"
    short: Short = "repeat_last"
    cache: Cache = "use"
    cache_folder: str | Path | None = None
    with_pixels: ClassVar[bool] = True

    def check(self, name: str) -> None:
        """Raise VideoError, about the video `name`, for a value out of range or a combination that is not possible."""
        _check_number(name, "stride", self.stride, least=1, most=MOST_CLIP_FRAMES)
        if self.frames is not None:
            _check_number(name, "frames", self.frames, least=1, most=MOST_CLIP_FRAMES, other=", or None")
        _check_number(name, "start", self.start, least=0, most=2**40)
        if self.start_seconds is not None and not 0 <= self.start_seconds < float("inf"):
            raise _invalid(name, "start_seconds", self.start_seconds, "0 or more")
        if self.start_seconds is not None and self.start:
            found = f"start is {self.start} and start_seconds is {self.start_seconds}"
            raise VideoError(name, found, "one of the two", reason="conflict")
        if self.frame_indices is not None:
            self._check_indices(name, np.asarray(self.frame_indices))
        self._check_names(name)
        self._check_shape(name)

    def _check_indices(self, name: str, indices: npt.NDArray[np.int64]) -> None:
        numbers = indices.ndim == 1 and len(indices) > 0 and np.issubdtype(indices.dtype, np.integer)
        if not numbers or indices[0] < 0 or (np.diff(indices) < 0).any():
            found = f"frame_indices is {self.frame_indices}"
            raise VideoError(
                name, found, "frame numbers of 0 or more in ascending order", "sort them", reason="invalid_value"
            )
        if self.start or self.start_seconds is not None:
            raise VideoError(name, "both frame_indices and a start", "one of the two", reason="conflict")

    def _check_names(self, name: str) -> None:
        if self.motion == "difference" and self.camera != "none":
            raise no_direction(name, self.camera)
        if self.motion is None:
            if not self.with_pixels:
                found = "motion is None"
                raise VideoError(
                    name, found, "a source of motion", "read frames alone with read_clip", reason="missing_value"
                )
        elif not isinstance(self.motion, MotionEstimator):
            _check_choice(name, "motion", self.motion, get_args(MotionName))
        _check_choice(name, "policy", self.policy, get_args(Policy))
        _check_choice(name, "reading", self.reading, get_args(Reading))
        _check_choice(name, "camera", self.camera, get_args(CameraModel))
        _check_choice(name, "short", self.short, get_args(Short))
        _check_choice(name, "cache", self.cache, get_args(Cache))

    def _check_shape(self, name: str) -> None:
        sizes = () if self.size is None else (self.size,) if isinstance(self.size, int) else tuple(self.size)
        if len(sizes) > 2 or any(not isinstance(side, int) or side < 1 for side in sizes):
            raise _invalid(name, "size", repr(self.size), "a side or (height, width) of 1 pixel or more, or None")
        if sizes and sizes[0] * sizes[-1] > MOST_PICTURE_PIXELS:
            raise _invalid(name, "size", repr(self.size), f"at most {MOST_PICTURE_PIXELS:,} pixels")
        box = not isinstance(self.crop, str) and self.crop is not None and len(self.crop) == 4
        if self.crop not in ("centre", None) and not box:
            raise _invalid(name, "crop", repr(self.crop), "'centre', (x, y, width, height) or None")

    def normalised(self) -> Self:
        """The same options with `start` and `stride` in place of `frame_indices` at a constant distance: faster to read."""
        if self.frame_indices is None:
            return self
        indices = np.asarray(self.frame_indices, np.int64)
        steps = np.diff(indices)
        if len(indices) > 1 and (steps[0] < 1 or (steps != steps[0]).any()):
            return replace(self, frame_indices=indices)
        stride = int(steps[0]) if len(indices) > 1 else self.stride
        return replace(
            self, frame_indices=None, start=int(indices[0]), frames=len(indices), stride=stride, short="error"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionOptions(ClipOptions):
    """The keyword arguments of `mgm.video.read_motion`: those of `ClipOptions` but `size`, with other defaults."""

    frames: int | None = None
    stride: int = 1
    crop: Crop = None
    size: None = field(init=False, default=None)
    with_pixels: ClassVar[bool] = False


def motion_source(
    options: ClipOptions, video: OpenVideo, *, vectors: bool
) -> Literal["codec"] | MotionEstimator | None:
    """The source of a clip's motion.

    Args:
        vectors: the stream may have motion vectors; see `Shortcuts.vectors`.

    Raises:
        VideoError: motion is "codec", and the decoder exports no vectors; OpenCV is missing for "flow".
    """
    if options.motion is None or not isinstance(options.motion, str):
        return options.motion
    if options.motion == "auto":
        return "codec" if video.exports_vectors and vectors else make_estimator("flow")
    if options.motion == "codec":
        if not video.exports_vectors:
            raise no_vectors(video)
        return "codec"
    return make_estimator(options.motion)


def _check_number(name: str, option: str, value: object, *, least: int, most: int, other: str = "") -> None:
    if not isinstance(value, (int, np.integer)):
        raise _invalid(name, option, repr(value), f"a whole number{other}", reason="invalid_type")
    if value < least:
        raise _invalid(name, option, value, f"{least} or more{other}")
    if value > most:
        raise _invalid(name, option, value, f"at most {most:,}{other}")


def _check_choice(name: str, option: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise _invalid(name, option, repr(value), f"one of {', '.join(choices)}", reason="unknown_name")


def _invalid(name: str, option: str, value: object, expected: str, *, reason: Reason = "invalid_value") -> VideoError:
    """The error of an option's value."""
    return VideoError(name, f"{option} is {value}", expected, reason=reason)


Keywords = ParamSpec("Keywords")
OptionsT = TypeVar("OptionsT", covariant=True)
SubjectT = TypeVar("SubjectT")
MoreT = TypeVar("MoreT")
ResultT = TypeVar("ResultT")


class _TakesKeywords(Protocol[OptionsT, Keywords]):
    @overload
    def __call__(
        self, function: Callable[[SubjectT, OptionsT], ResultT], /
    ) -> Callable[Concatenate[SubjectT, Keywords], ResultT]: ...
    @overload
    def __call__(
        self, function: Callable[[SubjectT, MoreT, OptionsT], ResultT], /
    ) -> Callable[Concatenate[SubjectT, MoreT, Keywords], ResultT]: ...


def keywords_of(options: Callable[Keywords, OptionsT]) -> _TakesKeywords[OptionsT, Keywords]:
    """Let a function that takes an options object last take its fields as keyword arguments instead.

    Editors, type checkers and `help` show the fields with their types and defaults, so that an option is added in one place. The
    other arguments may be given by name, too; type checkers, which have no spelling for it, accept them by position only.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        *own, last = inspect.signature(function).parameters.values()
        fields = inspect.signature(options).parameters

        @wraps(function)
        def with_keywords(*subjects: Any, **keywords: Any) -> Any:
            named = {parameter.name: keywords.pop(parameter.name) for parameter in own if parameter.name in keywords}
            unknown = next((name for name in keywords if name not in fields), None)
            if unknown is not None:
                advice = did_you_mean(unknown, fields) or f"its options are {', '.join(fields)}"
                raise TypeError(f"{function.__name__}() got an unexpected keyword argument {unknown!r}; {advice}")
            named[last.name] = options(**keywords)  # type: ignore[call-arg]
            return function(*subjects, **named)

        with_keywords.__signature__ = inspect.Signature([*own, *fields.values()])  # type: ignore[attr-defined]
        with_keywords.__doc__ = f"{inspect.getdoc(function)}\n\n{inspect.getdoc(options)}"
        return with_keywords

    return decorate
