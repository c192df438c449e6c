"""What is asked of a video, and which of its frames that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.assembly import Stepping
from mgm.video.camera import Camera
from mgm.video.motion import Policy, Reading
from mgm.video.onepass import Needs, never
from mgm.video.profiles import read_profile
from mgm.video.references import enclosing_frames, links_of
from mgm.video.sources import MOTION_NAMES, PairSource, make_source, needed_pictures
from mgm.video.stream import MOST_REORDERED, OpenVideo
from mgm.video.window import Window

if TYPE_CHECKING:
    from mgm.video.sidecar import Sidecar

Short = Literal["repeat_last", "wrap", "error"]
Motion = Literal["codec", "flow", "difference", "auto"]
Cache = Literal["use", "build", "ignore"]


class MotionOptions(TypedDict, total=False):
    """What `read_motion` takes; see `read_clip`."""

    start: int
    start_seconds: float | None
    frames: int | None
    stride: int
    index: Sequence[int] | npt.NDArray[np.int64] | None
    crop: Literal["centre"] | tuple[int, int, int, int] | None
    motion: Motion | PairSource
    policy: Policy
    reading: Reading
    camera: Camera
    short: Short
    cache: Cache
    cache_folder: str | Path | None


class ClipOptions(TypedDict, total=False):
    """What `read_clip` takes."""

    start: int
    start_seconds: float | None
    frames: int | None
    stride: int
    index: Sequence[int] | npt.NDArray[np.int64] | None
    size: int | tuple[int, int] | None
    crop: Literal["centre"] | tuple[int, int, int, int] | None
    motion: Motion | PairSource | None
    policy: Policy
    reading: Reading
    camera: Camera
    short: Short
    cache: Cache
    cache_folder: str | Path | None


def no_vectors_message(video: OpenVideo) -> str:
    """What a user can do about a codec whose decoder exports no motion vectors."""
    codec = video.codec.upper()
    return (
        f"{video.name}: {codec} carries no exported motion vectors, expected H.264, MPEG-4 part 2, MPEG-1/2 or H.263; "
        "measure optical flow instead (motion='auto', --motion auto), or transcode it first (mgm prepare SRC DST)"
    )


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
    motion: Motion | PairSource | None = "codec"
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
                make_source("raft")  # says what it needs
            own = what == "motion" and (chosen is None or isinstance(chosen, PairSource))
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

    def source_for(self, video: OpenVideo) -> Literal["codec"] | PairSource | None:
        """Where the motion comes from in this video."""
        if self.motion is None or not isinstance(self.motion, str):
            return self.motion
        if self.motion in ("codec", "auto") and video.exports_vectors:
            return "codec"
        if self.motion == "codec":
            raise VideoError(no_vectors_message(video))
        return make_source("flow" if self.motion == "auto" else self.motion)


@dataclass(frozen=True, slots=True)
class Plan:
    """A request made definite: the first frame, and the source of motion."""

    request: Request
    start: int
    source: Literal["codec"] | PairSource | None
    codec: str
    unit: int = 1
    sidecar: Sidecar | None = None  # where the fields are stored

    @property
    def stored(self) -> bool:
        """Whether the motion needs no decoding."""
        return self.sidecar is not None

    @property
    def last(self) -> int | None:
        """The last sampled frame; None: the video's end tells."""
        if self.request.index is not None:
            return int(self.request.index[-1])
        if self.request.frames is None:
            return None
        return self.start + (self.request.frames - 1) * self.request.stride

    @property
    def strides(self) -> int | npt.NDArray[np.int64]:
        """Frames from one sampled frame to the next, or from the one before to each of them."""
        if self.request.index is None:
            return self.request.stride
        return index_strides(np.asarray(self.request.index), default=self.request.stride)

    @property
    def stride_of(self) -> int | Mapping[int, int]:
        """The stride of all sampled frames, or by number the one of each."""
        index = self.request.index
        if index is None:
            return self.request.stride
        return dict(zip(np.asarray(index).tolist(), np.asarray(self.strides).tolist(), strict=True))

    @property
    def steps(self) -> Stepping:
        """How codec motion is put together."""
        return Stepping(self.strides, self.unit, self.request.policy, self.request.reading)

    @property
    def reach(self) -> int:
        """How many frames before a sampled one its motion needs."""
        if self.source == "codec":
            return self.steps.reach
        return 0 if self.source is None else int(np.max(self.strides))

    @property
    def first(self) -> int:
        """The first frame that is needed."""
        # The step to a key picture of a prepared file is told by the frames before it, which decode from the key before.
        before = self.unit if self.unit > 1 else 0
        return self.start if self.stored else max(self.start - self.reach - before, 0)

    def moving(self, wanted: npt.NDArray[np.int64]) -> list[int]:
        """The frames, ascending, whose fields make the codec's motion of the sampled ones."""
        if not self.reach:
            return sorted(set(wanted.tolist()))
        low = max(int(wanted.min()) - self.reach, int(wanted.min()) % self.unit)
        return list(range(low, int(wanted.max()) + 1, self.unit))

    @property
    def encloses(self) -> bool:
        """Whether only the decoder tells which pictures' vectors enclose a frame."""
        return self.source == "codec" and self.request.reading != "raw" and self.codec != "h264" and not self.stored

    @property
    def read_to(self) -> int | None:
        """The last frame whose packets are read."""
        return self.last if self.last is None or not self.encloses else self.last + MOST_REORDERED

    def needs(self, wanted: npt.NDArray[np.int64], window: Window) -> Needs:
        """What is needed of which frame, `wanted` being the sampled ones."""
        sampled = set(wanted.tolist())
        image = sampled.__contains__ if self.request.with_pixels else never
        if self.source is None:
            return Needs(image, never, never)
        if self.source != "codec":
            return Needs(image, never, (needed_pictures(wanted, self.strides) | sampled).__contains__)
        if self.stored:  # without pixels one frame must still be looked at: which way up it is
            return Needs(image, never, never if self.request.with_pixels else {int(wanted[0])}.__contains__)
        moving = set(self.moving(wanted))
        if self.unit > 1:
            moving = moving | {i for key in moving & inner_keys(window) for i in range(key - self.unit + 1, key)}
        if self.request.reading != "raw" and self.codec == "h264":
            links = links_of(window, {pts: window.base + i for i, pts in enumerate(window.order)})
            enclosing = enclosing_frames(window, links, moving)
            if self.request.reading == "references":  # of the others nothing is read; one frame tells the size
                moving = (moving & links.references) | enclosing or {int(wanted[0])}
            moving = moving | enclosing
        return Needs(image, moving.__contains__, never, self.first if self.encloses else None)

    def needs_untimed(self) -> Needs:
        """The same where frames are counted as they leave the decoder, and nobody knows yet how many come."""
        start, stride, last = self.start, self.request.stride, self.last
        index = None if self.request.index is None else np.asarray(self.request.index)
        listed = set() if index is None else set(index.tolist())
        pictures = set() if index is None else needed_pictures(index, self.strides) | listed

        def sampled(number: int) -> bool:
            if index is not None:
                return number in listed
            return number >= start and (last is None or number <= last) and (number - start) % stride == 0

        def before(number: int) -> bool:
            return number >= start - self.reach and (last is None or number <= last)

        def compared(number: int) -> bool:
            if index is not None:
                return number in pictures
            return before(number) and ((number - start) % stride == 0 or (number == 0 and start < stride))

        image = sampled if self.request.with_pixels else never
        if self.source is None:
            return Needs(image, never, never)
        if self.source != "codec":
            return Needs(image, never, compared)
        if self.stored:
            return Needs(image, never, sampled)
        if self.request.reading != "raw":  # which frames enclose which, is known when all are there
            return Needs(image, lambda number: number >= start - self.reach, never, start)
        return Needs(image, before if self.reach else sampled, never)

    def sampled(self, count: int, *, ended: bool) -> npt.NDArray[np.int64]:
        """The frame numbers of the clip. `count` frames are known; if `ended`, there are no more."""
        start, frames, stride, name = self.start, self.request.frames, self.request.stride, self.request.name
        if ended and not count:
            raise VideoError(
                f"{name}: no frame could be decoded, expected at least one; the file is damaged: remove it from the set"
            )
        if ended and start >= count:
            raise VideoError(f"{name}: no frame {start}: the video has {count} frames; choose a start below that")
        if self.request.index is not None:
            listed = np.asarray(self.request.index, np.int64)
            if ended and listed[-1] >= count:
                raise VideoError(
                    f"{name}: no frame {listed[-1]}: the video has {count} frames; choose an index below that"
                )
            return listed
        if frames is None:
            return np.arange(start, count, stride, dtype=np.int64)
        wanted = start + stride * np.arange(frames, dtype=np.int64)
        if not ended or wanted[-1] < count:
            return wanted
        if self.request.short == "error":
            raise VideoError(
                f"{name}: {count} frames, expected {wanted[-1] + 1} for {frames} frames x stride {stride} from frame {start}; "
                "use a smaller stride, or short='repeat_last'"
            )
        return clip_index(count, start=start, frames=frames, stride=stride, short=self.request.short)


def index_strides(index: npt.NDArray[np.int64], *, default: int) -> npt.NDArray[np.int64]:
    """Of each frame of a clip how many frames lie back to the one before it, int64 (T,). The first one has the stride of the
    second; a repeated number has that of the number it repeats, as its motion is; `default` where nothing tells."""
    steps = np.diff(index, prepend=index[:1])
    known = np.flatnonzero(steps)
    if not len(known):
        return np.full(len(index), default, np.int64)
    latest = np.maximum.accumulate(np.where(steps > 0, np.arange(len(index)), known[0]))
    strides: npt.NDArray[np.int64] = steps[latest]
    return strides


def prepared_unit(plan: Plan, metadata: Mapping[str, str]) -> int:
    """How many frames one codec field may span: the stride of a file that `mgm prepare` made for strides, where the clip keeps to
    its grid. Only every such frame is a reference there: its vectors tell the whole step, the frames between need no decoding."""
    request = plan.request
    if (
        plan.source != "codec"
        or request.index is not None
        or request.policy != "window_sum"
        or request.reading != "clean"
    ):
        return 1
    unit = (read_profile(metadata) or {}).get("stride", 1)
    fits = isinstance(unit, int) and unit > 0 and request.stride % unit == 0 and plan.start % unit == 0
    return unit if fits else 1  # type: ignore[return-value]


def inner_keys(window: Window) -> set[int]:
    """The numbers of the key pictures inside a window: the frames before them decode, those before the first one do not."""
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    return {number[c.pts] for c in window.coded[1:] if c.key and c.pts is not None and c.pts in number}


def is_aligned(window: Window, plan: Plan) -> bool:
    """Whether the reference pictures of a window are just those of the grid: metadata outlives a cut or a second encoding."""
    if not window.order:
        return False
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    count = window.base + len(window.order)
    top = (count - 1) // plan.unit * plan.unit  # behind it the encoder may end with a reference of its own
    for coded in window.coded:
        at = number.get(coded.pts) if coded.pts is not None else None
        inside = at is not None and plan.first <= at <= min(top, top if plan.last is None else plan.last)
        if inside and coded.reference != (at % plan.unit == 0):  # type: ignore[operator]
            return False
    return True


def clip_index(
    total: int, *, start: int, frames: int, stride: int, short: Literal["repeat_last", "wrap"] = "repeat_last"
) -> npt.NDArray[np.int64]:
    """Frame numbers of a clip of a video of `total` frames, int64 (frames,); `start` must lie in it. See `short` of `read_clip`."""
    wanted = start + stride * np.arange(frames, dtype=np.int64)
    reachable = wanted[wanted < total]
    if short == "wrap":
        return np.resize(reachable, frames)
    return np.concatenate([reachable, np.full(frames - len(reachable), reachable[-1])])
