"""Which frames of a video a request takes, and what is needed of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.clip.clip_motion import StepAggregation
from mgm.video.clip.decode import Needs, never
from mgm.video.clip.numbers import clip_index, index_strides
from mgm.video.clip.options import Request
from mgm.video.container.metadata import read_profile
from mgm.video.container.packets import PacketWindow
from mgm.video.container.stream import MOST_REORDERED, no_frame
from mgm.video.motion.estimators import MotionEstimator, needed_pictures
from mgm.video.motion.reference_distance import enclosing_frames, follow_references

if TYPE_CHECKING:
    from mgm.video.motion.cache import Sidecar


@dataclass(frozen=True, slots=True)
class Plan:
    """A request made definite: the first frame, and the source of motion."""

    request: Request
    start: int
    source: Literal["codec"] | MotionEstimator | None
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
    def steps(self) -> StepAggregation:
        """How codec motion is put together."""
        return StepAggregation(self.strides, self.unit, self.request.policy, self.request.reading)

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

    def needs(self, wanted: npt.NDArray[np.int64], window: PacketWindow) -> Needs:
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
            links = follow_references(window, {pts: window.base + i for i, pts in enumerate(window.order)})
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
            raise no_frame(name)
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


def inner_keys(window: PacketWindow) -> set[int]:
    """The numbers of the key pictures inside a window: the frames before them decode, those before the first one do not."""
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    return {number[c.pts] for c in window.coded[1:] if c.key and c.pts is not None and c.pts in number}


def is_aligned(window: PacketWindow, plan: Plan) -> bool:
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
