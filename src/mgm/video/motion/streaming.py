"""Motion of every frame since the frame before it: from one frame's vectors, and streamed over a whole video."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.video.container.h264 import parse_first_slice
from mgm.video.container.stream import EXPORTS_B_VECTORS, MOST_REORDERED, OpenVideo, decode_packet, no_frame, packets
from mgm.video.motion.field import Reading, VectorField, grid_shape, raw_field
from mgm.video.motion.reference_distance import Distance, ReferenceTracker, neighbour_references
from mgm.video.motion.vectors import KINDS, NO_VECTORS, frame_vectors
from mgm.video.motion.velocity import VelocitySum, accumulate_vectors, smooth


def accumulate_frame(
    vectors: npt.NDArray[np.void],
    grid: tuple[int, int],
    *,
    codec: str,
    kind: str,
    distance: Distance,
    interval: float,
    enclosing: VelocitySum | None,
) -> VelocitySum:
    """What the vectors of one frame, and of the frame that encloses it, say of its velocity; see `accumulate_vectors`.

    Args:
        vectors: array of `VECTOR_DTYPE`.
        grid: (rows, columns) of 8-px cells.
        codec, kind: FFmpeg's name of the codec, and "I", "P" or "B": the decoders of the MPEG-4 family export exact zeros for B.
        distance: to the references, in the unit of `interval`.
        interval: since the previous frame: what a vector is taken to span whose reference nobody knows.
        enclosing: evidence of the later reference picture that `distance` tells of, if any.
    """
    if kind == "B" and codec not in EXPORTS_B_VECTORS:
        vectors = NO_VECTORS
    before, after = distance
    return accumulate_vectors(vectors, grid, past=before or interval, future=after or interval, enclosing=enclosing)


@dataclass(frozen=True, slots=True, eq=False)
class FrameMotion:
    """The motion of one frame.

    Attributes:
        index: number of the frame in display order, from 0.
        pts: presentation time in seconds, NaN where nothing tells it.
        kind: "I", "P" or "B".
        key: decoding can start here.
        field: (gh, gw), displacement since the previous frame in pixels of the coded frame; zero where nothing is known: not
            measured, and no cell near it is. Not valid in intra-coded blocks and I-frames.
        rotation: that makes the frame upright, in degrees counter-clockwise; the field is not turned.
        interlaced: the frame is two fields; H.264's vectors of blocks coded field by field then have half the height, and
            nothing tells which those are.
    """

    index: int
    pts: float
    kind: str
    key: bool
    field: VectorField
    rotation: int = 0
    interlaced: bool = False


def iter_frame_motion(video: OpenVideo, *, reading: Reading = "clean") -> Iterator[FrameMotion]:
    """Yield the field of every frame of a freshly opened video in display order, holding only a few frames at a time.

    Open it with `vectors=True, skip_loop_filter=True`: the pixels are not looked at.

    Raises:
        VideoError: the stream is damaged, or holds no frame.
    """
    lengths = video.nal_length_size
    waiting = _Waiting(video, reading, video.timed)
    for position, packet in enumerate(packets(video)):
        if position == 0 and packet.pts is None:
            waiting.timed = False
        if not waiting.timed:
            packet.pts = position  # the frame will tell by it which packet it came from
        if (
            lengths is not None and packet.pts is not None
        ):  # without one it is the second field of the picture before it
            info = parse_first_slice(bytes(packet), lengths)
            waiting.coded.append((packet.pts, info.reference, info.idr))
            if reading == "references" and not info.reference:
                waiting.unread.add(packet.pts)
        yield from waiting.take(decode_packet(video, packet))
    yield from waiting.take(decode_packet(video, None))
    yield from waiting.rest()
    if not waiting.count:
        raise no_frame(video.name)


@dataclass(slots=True)
class _Held:
    """A decoded frame whose references may not be known yet."""

    index: int
    time: float  # in the stream's time base; the frame's number where there are no presentation times
    pts: float
    kind: str
    key: bool
    interval: float  # since the previous frame, in the unit of `time`
    vectors: npt.NDArray[np.void]
    packet: int | None  # the presentation time by which its packet is known
    grid: tuple[int, int]
    rotation: int
    interlaced: bool
    velocity: VelocitySum | None = None


@dataclass(slots=True)
class _Waiting:
    """Frames in display order, let go as soon as the distances to their references are known."""

    video: OpenVideo
    reading: Reading
    timed: bool
    coded: deque[tuple[int, bool, bool]] = dataclasses.field(
        default_factory=deque
    )  # H.264 in decode order: (pts, reference, idr)
    held: deque[_Held] = dataclasses.field(default_factory=deque)
    tracker: ReferenceTracker = dataclasses.field(default_factory=ReferenceTracker)
    distances: dict[int, Distance] = dataclasses.field(default_factory=dict)
    unread: set[int] = dataclasses.field(
        default_factory=set
    )  # packets of pictures whose vectors the reading leaves out
    numbers: dict[int, int] = dataclasses.field(
        default_factory=dict
    )  # untimed: the packet's position to the frame's number
    count: int = 0
    last: float | None = None
    anchor: float | None = None
    rate: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.rate = float(self.video.stream.average_rate or 0)  # a Fraction, made anew whenever it is asked for

    def take(self, frames: list[av.video.frame.VideoFrame]) -> Iterator[FrameMotion]:
        """Accept decoded frames, yield those that are ready."""
        for frame in frames:
            self._hold(frame)
        self._measure()
        while self.held and self._is_ready():
            yield self._let_go()

    def rest(self) -> Iterator[FrameMotion]:
        """Yield what is left when the stream has ended."""
        while self.held:
            yield self._let_go()

    def _is_ready(self) -> bool:
        """Whether the distances of the first frame, and of those that enclose it, are known."""
        if self.reading == "raw" or len(self.held) > 2 * MOST_REORDERED:
            return True
        frame: _Held | None = self.held[0]
        while frame is not None and (distance := self._distance(frame)) is not None:
            if distance[1] is None:
                return True
            frame = self._shown_at(frame.time + distance[1])
        return False

    def _shown_at(self, time: float) -> _Held | None:
        return next((h for h in self.held if h.time == time), None)

    def _hold(self, frame: av.video.frame.VideoFrame) -> None:
        if self.timed:
            usual = 1 / (self.rate * self.video.time_base) if self.rate else 1.0
            time = float(frame.pts) if frame.pts is not None else (self.last or 0) + usual
            pts = time * self.video.time_base
        else:
            usual, time = 1.0, float(self.count)
            pts = self.count / self.rate if self.rate else float("nan")
            if frame.pts is not None:
                self.numbers[frame.pts] = self.count
        unread = frame.pts in self.unread
        self.unread.discard(frame.pts or 0)
        interval = usual if self.last is None or time <= self.last else time - self.last
        self.held.append(
            _Held(
                index=self.count,
                time=time,
                pts=pts,
                kind=KINDS[int(frame.pict_type)],
                key=bool(frame.key_frame),
                interval=interval,
                vectors=NO_VECTORS if unread else frame_vectors(frame),
                packet=frame.pts,
                grid=grid_shape(frame.height, frame.width),
                rotation=round(frame.rotation),
                interlaced=bool(frame.interlaced_frame),
            )
        )
        self.count += 1
        self.last = time

    def _measure(self) -> None:
        """Follow the reference pictures in decode order, as far as it is known when each is shown."""
        while self.coded:
            pts, reference, idr = self.coded[0]
            time: float | None = pts if self.timed else self.numbers.pop(pts, None)
            if time is None and len(self.held) <= 2 * MOST_REORDERED:
                return
            self.coded.popleft()
            if time is not None:  # else its picture never came out
                self.distances[pts] = self.tracker.feed(time, reference=reference, idr=idr)

    def _distance(self, frame: _Held) -> Distance | None:
        """Of a frame that is held; None: not known yet."""
        if self.video.codec == "h264":
            return (None, None) if frame.packet is None else self.distances.get(frame.packet)
        # MPEG: the references of a B-frame are the I- and P-frames around it.
        anchors = [h.time for h in self.held if h.kind != "B"]
        before, after = neighbour_references(frame.time, anchors if self.anchor is None else [self.anchor, *anchors])
        if frame.kind != "B":
            return before, None
        return (before, after) if after is not None else None

    def _velocity(self, frame: _Held) -> VelocitySum:
        """With that of the frames that enclose it."""
        if frame.velocity is None:
            distance = self._distance(frame) or (None, None)
            after = None if distance[1] is None else self._shown_at(frame.time + distance[1])
            frame.velocity = accumulate_frame(
                frame.vectors,
                frame.grid,
                codec=self.video.codec,
                kind=frame.kind,
                distance=distance,
                interval=frame.interval,
                enclosing=None if after is None or after.grid != frame.grid else self._velocity(after),
            )
        return frame.velocity

    def _let_go(self) -> FrameMotion:
        first = self.held[0]
        raw = self.reading == "raw"
        field = raw_field(first.vectors, first.grid) if raw else smooth(self._velocity(first), first.interval)
        self.held.popleft()
        if first.packet is not None:
            self.distances.pop(first.packet, None)
        if first.kind != "B":
            self.anchor = first.time
        return FrameMotion(first.index, first.pts, first.kind, first.key, field, first.rotation, first.interlaced)
