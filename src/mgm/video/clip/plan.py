"""The plan of a clip: the numbers of its frames, and the frames that its pixels and motion need."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.clip.options import ClipOptions
from mgm.video.container.clip_packets import PacketWindow
from mgm.video.container.metadata import prepared_stride
from mgm.video.container.shortcuts import ShortcutFailedError
from mgm.video.container.stream import MOST_REORDERED, OpenVideo, no_frame
from mgm.video.motion.estimators import MotionEstimator
from mgm.video.motion.names import Policy, Reading
from mgm.video.motion.reference_distance import ReferenceGraph, enclosing_frames, follow_references
from mgm.video.motion.sidecar import Sidecar

_NO_END = 1 << 62
"""A number above those of all frames."""


@dataclass(frozen=True, slots=True)
class StepAggregation:
    """How the motion of sampled frames is aggregated from the motion of single frames.

    Attributes:
        stride: frames from one sampled frame to the next, or int64 (T,), from the one before to each of them.
        unit: frames that one field spans: 1, or the distance between the reference frames of a file prepared for strides.
        policy, reading: see `ClipOptions`.
    """

    stride: int | npt.NDArray[np.int64]
    unit: int
    policy: Policy
    reading: Reading

    @property
    def reach(self) -> int:
        """Number of frames before a sampled one that its motion needs."""
        return 0 if self.policy == "sampled" else int(np.max(self.stride)) - self.unit


@dataclass(frozen=True, slots=True, eq=False)
class ClipPlan:
    """A clip's options, resolved for one video.

    Attributes:
        name: of the video.
        options: normalised.
        source: of the motion; None: frames only.
        codec: FFmpeg's name of the codec.
        start, last: the first and the last sampled frame; `last` is None if the end of the video determines it.
        steps: how codec motion is aggregated.
        reach: number of frames before a sampled one that its motion needs.
        first: the first frame whose packets are read.
        read_to: the last frame whose packets are read; None: to the end.
        sidecar: the stored motion; None: motion is decoded or measured.
    """

    name: str
    options: ClipOptions
    source: Literal["codec"] | MotionEstimator | None
    codec: str
    start: int
    last: int | None
    steps: StepAggregation
    reach: int
    first: int
    read_to: int | None
    sidecar: Sidecar | None

    @property
    def stride_of(self) -> int | Mapping[int, int]:
        """The stride of all sampled frames, or the stride of each by its number."""
        indices, stride = self.options.frame_indices, self.steps.stride
        if indices is None or isinstance(stride, int):
            return self.options.stride
        return dict(zip(np.asarray(indices).tolist(), stride.tolist(), strict=True))

    def sampled(self, end: int) -> Container[int]:
        """The numbers of the sampled frames below `end`."""
        if self.options.frame_indices is not None:
            return frozenset(np.asarray(self.options.frame_indices).tolist())
        return range(self.start, end, self.options.stride)

    def moving(self, end: int) -> Sequence[int]:
        """The frames below `end`, ascending, whose fields make the codec's motion of the sampled ones."""
        if self.reach:
            return range(max(self.start - self.reach, self.start % self.steps.unit), end, self.steps.unit)
        if self.options.frame_indices is not None:
            return sorted(set(np.asarray(self.options.frame_indices).tolist()))
        return range(self.start, end, self.options.stride)


def plan_clip(
    video: OpenVideo,
    options: ClipOptions,
    start: int,
    source: Literal["codec"] | MotionEstimator | None,
    *,
    unit: int,
    sidecar: Sidecar | None,
) -> ClipPlan:
    """Resolve the options of a clip that begins at frame `start`.

    Args:
        unit: see `StepAggregation`.
        sidecar: the stored motion, if the clip may use it.
    """
    indices = options.frame_indices
    stride: int | npt.NDArray[np.int64] = options.stride
    if indices is not None:
        stride = frame_strides(np.asarray(indices), default=options.stride)
        last: int | None = int(indices[-1])
    else:
        last = None if options.frames is None else start + (options.frames - 1) * options.stride
    steps = StepAggregation(stride, unit, options.policy, options.reading)
    codec = source == "codec"
    reach = steps.reach if codec else 0 if source is None else int(np.max(stride))
    # Frames after the last one may enclose it, and only the decoder shows which do.
    enclosed = codec and options.reading != "raw" and video.codec != "h264" and sidecar is None
    # The step to a keyframe of a prepared file is measured by the frames before it, which decode from the keyframe before.
    before = reach + (unit if unit > 1 else 0)
    return ClipPlan(
        name=video.name,
        options=options,
        source=source,
        codec=video.codec,
        start=start,
        last=last,
        steps=steps,
        reach=reach,
        first=start if sidecar is not None else max(start - before, 0),
        read_to=last + MOST_REORDERED if last is not None and enclosed else last,
        sidecar=sidecar,
    )


@dataclass(frozen=True, slots=True)
class FrameNeeds:
    """The numbers of the frames that are needed for something.

    Attributes:
        image: converted to pixels of the clip.
        vectors: their motion vectors are kept.
        picture: passed to a motion estimator; without pixels and vectors, the frame that shows the size and orientation.
        anchors: from this frame on the vectors of I- and P-pictures are kept as well, and decoding continues to the one after the
            last needed frame: for streams whose packets do not show which pictures enclose a frame.
        graph: of the references of the window's pictures, where the vectors of single frames were chosen by it.
    """

    image: Container[int]
    vectors: Container[int]
    picture: Container[int]
    anchors: int | None = None
    graph: ReferenceGraph | None = None

    def any(self, number: int) -> bool:
        """Whether the frame is needed for anything."""
        return number in self.image or number in self.vectors or number in self.picture


def frame_needs(plan: ClipPlan, window: PacketWindow, sampled: npt.NDArray[np.int64] | None) -> FrameNeeds:
    """The frames that a plan needs.

    Args:
        sampled: int64 (T,), the sampled frames; None where frames are counted as they leave the decoder, so that the end of the
            video is not known yet.
    """
    end = _NO_END if plan.last is None else plan.last + 1
    if sampled is not None:
        end = int(sampled.max()) + 1
    clip = plan.sampled(end)
    image: Container[int] = clip if plan.options.with_pixels else ()
    if plan.source is None:
        return FrameNeeds(image, (), ())
    if plan.sidecar is not None:
        return FrameNeeds(image, (), () if plan.options.with_pixels else (plan.start,))
    if plan.source != "codec":
        return FrameNeeds(image, (), _compared(plan, clip, end))
    moving = plan.moving(end)
    if plan.options.reading == "raw":
        return FrameNeeds(image, moving, ())
    if sampled is None:  # the frames that enclose others are known when all are decoded
        return FrameNeeds(image, range(plan.first, _NO_END), (), plan.first)
    if plan.codec != "h264":
        return FrameNeeds(image, moving, (), plan.first)
    vectors = set(moving)
    if plan.steps.unit > 1:  # the step to a keyframe is measured by the frames before it
        unit = plan.steps.unit
        vectors |= {i for key in vectors & _inner_keyframes(window) for i in range(key - unit + 1, key)}
    graph = follow_references(window, window.frame_numbers)
    enclosing = enclosing_frames(window, graph, vectors)
    if plan.options.reading == "references":  # vectors of other frames are not read; one frame shows the size
        vectors = (vectors & graph.references) | enclosing or {plan.start}
    return FrameNeeds(image, vectors | enclosing, (), graph=graph)


def _compared(plan: ClipPlan, clip: Container[int], end: int) -> Container[int]:
    """The frames below `end` that a motion estimator compares: the sampled ones and those one stride before."""
    stride_of = plan.stride_of
    if not isinstance(stride_of, int):
        before = {max(number - stride, 0) for number, stride in stride_of.items() if number > 0}
        return before.union(stride_of)
    if plan.start >= stride_of:
        return range(plan.start - stride_of, end, stride_of)
    return clip if plan.start == 0 else _Either((0,), clip)


@dataclass(frozen=True, slots=True)
class _Either:
    """Numbers that are in one of two collections."""

    one: Container[int]
    other: Container[int]

    def __contains__(self, number: object) -> bool:
        return number in self.one or number in self.other


def _inner_keyframes(window: PacketWindow) -> set[int]:
    """The numbers of the keyframes inside a window: the frames before them decode, those before the first one do not."""
    number = window.frame_numbers
    return {number[c.pts] for c in window.coded[1:] if c.key and c.pts is not None and c.pts in number}


def sample_frames(
    name: str, options: ClipOptions, count: int, *, start: int, ended: bool = True
) -> npt.NDArray[np.int64]:
    """The frame numbers of a clip that begins at frame `start`, int64 (T,).

    Args:
        count: known frames of the video; if `ended`, all of them.

    Raises:
        VideoError: the video is empty, or ends before the clip.
    """
    if ended and not count:
        raise no_frame(name)
    if ended and start >= count:
        raise _no_such_frame(name, start, count, "start" if options.frame_indices is None else "frame_indices")
    if options.frame_indices is not None:
        indices = np.asarray(options.frame_indices, np.int64)
        if ended and indices[-1] >= count:
            raise _no_such_frame(name, int(indices[-1]), count, "frame_indices")
        return indices
    frames, stride = options.frames, options.stride
    if frames is None:
        return np.arange(start, count, stride, dtype=np.int64)
    sampled = start + stride * np.arange(frames, dtype=np.int64)
    if not ended or sampled[-1] < count:
        return sampled
    if options.short == "error":
        raise VideoError(
            name,
            f"{count} frames",
            f"{sampled[-1] + 1} for {frames} frames x stride {stride} from frame {start}",
            "use a smaller stride, or short='repeat_last'",
            reason="invalid_value",
        )
    return clip_frames(count, start=start, frames=frames, stride=stride, short=options.short)


def clip_frames(
    count: int, *, start: int, frames: int, stride: int, short: Literal["repeat_last", "wrap"] = "repeat_last"
) -> npt.NDArray[np.int64]:
    """Frame numbers of a clip of a video of `count` frames, int64 (frames,); `start` must be one of them. `short`: see
    `ClipOptions`."""
    sampled = start + stride * np.arange(frames, dtype=np.int64)
    reachable = sampled[sampled < count]
    if short == "wrap":
        return np.resize(reachable, frames)
    return np.concatenate([reachable, np.full(frames - len(reachable), reachable[-1])])


def frame_strides(frame_indices: npt.NDArray[np.int64], *, default: int) -> npt.NDArray[np.int64]:
    """The distance of each frame of a clip to the one before it, int64 (T,). The first frame has the stride of the second; a
    repeated number has that of the number it repeats, like its motion; `default` for a clip of one frame."""
    steps = np.diff(frame_indices, prepend=frame_indices[:1])
    known = np.flatnonzero(steps)
    if not len(known):
        return np.full(len(frame_indices), default, np.int64)
    latest = np.maximum.accumulate(np.where(steps > 0, np.arange(len(frame_indices)), known[0]))
    strides: npt.NDArray[np.int64] = steps[latest]
    return strides


def prepared_unit(options: ClipOptions, start: int, metadata: Mapping[str, str]) -> int:
    """Number of frames that one codec field may span: the stride of a file that `mgm prepare` made for strides, if the clip keeps
    to its grid. Only the frames of the grid are references there: their vectors span the whole step, and the frames between need
    not be decoded."""
    if options.frame_indices is not None or options.policy != "window_sum" or options.reading != "clean":
        return 1
    unit = prepared_stride(metadata)
    return unit if options.stride % unit == 0 and start % unit == 0 else 1


def check_alignment(plan: ClipPlan, window: PacketWindow) -> None:
    """Raise ShortcutFailedError unless the reference pictures of a window are exactly those of the grid of a prepared file."""
    failed = ShortcutFailedError("profile", lasting=False)
    if not window.order:
        raise failed
    unit, number = plan.steps.unit, window.frame_numbers
    # after it the encoder may end with a reference of its own
    top = (window.base + len(window.order) - 1) // unit * unit
    if plan.last is not None:
        top = min(top, plan.last)
    for coded in window.coded:
        at = number.get(coded.pts) if coded.pts is not None else None
        if at is not None and plan.first <= at <= top and coded.reference != (at % unit == 0):
            raise failed


def _no_such_frame(name: str, number: int, count: int, option: str) -> VideoError:
    """The error of a frame number beyond the end."""
    return VideoError(
        name,
        f"no frame {number}: the video has {count} frames",
        advice=f"choose {option} below {count}",
        reason="invalid_value",
    )
