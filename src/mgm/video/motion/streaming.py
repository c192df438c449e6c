"""Stream the motion of every frame of a video since the frame before it, in constant memory."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.video.container.frame_clock import FrameClock
from mgm.video.container.h264 import SliceInfo, may_hold_fields, parameter_sets, parse_first_slice
from mgm.video.container.orientation import UPRIGHT, Orientation
from mgm.video.container.stream import MOST_REORDERED, OpenVideo, Packet, decode_packet, no_frame, packets
from mgm.video.motion.field import VectorField, grid_shape, raw_field
from mgm.video.motion.names import Reading
from mgm.video.motion.reference_distance import Distance, ReferenceTracker, neighbour_references
from mgm.video.motion.vectors import NO_VECTORS, PICTURE_TYPES, frame_vectors
from mgm.video.motion.velocity import VelocitySum, accumulate_frame, smooth


@dataclass(frozen=True, slots=True, eq=False)
class FrameMotion:
    """The motion of one frame.

    Attributes:
        index: number of the frame in display order, from 0.
        pts_seconds: presentation time, NaN if unknown.
        picture_type: "I", "P" or "B".
        is_key: decoding can start here.
        field: (gh, gw), displacement since the previous frame in pixels of the coded frame; zero where neither the cell nor one
            near it is measured. Not valid in intra-coded blocks and I-frames.
        orientation: what makes the frame upright; the field is as coded.
        interlaced: the frame consists of two fields. H.264's vectors of blocks coded field by field then have half the height,
            and those blocks are not marked.
    """

    index: int
    pts_seconds: float
    picture_type: str
    is_key: bool
    field: VectorField
    orientation: Orientation = UPRIGHT
    interlaced: bool = False


_WITHOUT_TIME = -(1 << 62)
"""From here to half of it: numbers of packets whose pictures have no presentation time in a stream with times."""


def iter_frame_motion(
    video: OpenVideo,
    *,
    reading: Reading = "clean",
    observe: Callable[[av.video.frame.VideoFrame], None] = lambda picture: None,
    observe_packet: Callable[[Packet], None] = lambda packet: None,
) -> Iterator[FrameMotion]:
    """Yield the field of every frame of a freshly opened video in display order, keeping only a few frames in memory.

    Open it with `vectors=True, skip_loop_filter=True`: pixels are not used.

    Args:
        observe: called with each decoded picture, in display order.
        observe_packet: called with each packet, in decode order.

    Raises:
        VideoError: the stream is damaged, or has no frame.
    """
    lengths = video.nal_length_size
    frames_only = lengths is not None and not may_hold_fields(
        parameter_sets(video.stream.codec_context.extradata or b"")
    )
    queue = _FrameQueue(video, reading, observe)
    for position, packet in enumerate(packets(video)):
        observe_packet(packet)
        if not video.timed:
            packet.pts = position  # identifies the packet of the decoded frame
        elif packet.pts is None and frames_only:  # an MPEG program stream gives one time to several short pictures
            packet.pts = _WITHOUT_TIME + position
        # Any other packet without a time contains the second field of the picture before it.
        if lengths is not None and packet.pts is not None:
            info = parse_first_slice(bytes(packet), lengths)
            queue.coded.append((packet.pts, info))
            if reading == "references" and not info.reference:
                queue.unused.add(packet.pts)
        yield from queue.push(decode_packet(video, packet))
    yield from queue.push(decode_packet(video, None))
    yield from queue.flush()
    if not queue.count:
        raise no_frame(video.name)


@dataclass(slots=True)
class _QueuedFrame:
    """A decoded frame whose references may not be known yet."""

    index: int
    time: float  # in the stream's time base; the frame's number in streams without presentation times
    pts_seconds: float
    picture_type: str
    is_key: bool
    interval: float  # since the previous frame, in the unit of `time`
    vectors: npt.NDArray[np.void]
    packet_pts: int | None  # identifies its packet
    grid: tuple[int, int]
    orientation: Orientation
    interlaced: bool
    velocity: VelocitySum | None = None


@dataclass(slots=True)
class _FrameQueue:
    """Frames in display order, yielded as soon as the distances to their references are known."""

    video: OpenVideo
    reading: Reading
    observe: Callable[[av.video.frame.VideoFrame], None]
    # H.264 in decode order, by packet_pts
    coded: deque[tuple[int, SliceInfo]] = dataclasses.field(default_factory=deque)
    frames: deque[_QueuedFrame] = dataclasses.field(default_factory=deque)
    tracker: ReferenceTracker = dataclasses.field(default_factory=ReferenceTracker)
    distances: dict[int, Distance] = dataclasses.field(default_factory=dict)  # by packet_pts
    unused: set[int] = dataclasses.field(default_factory=set)  # packet_pts of pictures whose vectors are not used
    times: dict[int, float] = dataclasses.field(default_factory=dict)  # by packet_pts, where that is no time
    count: int = 0
    last: float | None = None  # time of the newest frame
    anchor: float | None = None  # time of the newest I- or P-frame that has left the queue
    orientation: Orientation | None = None  # of the first frame; a container declares one for all
    clock: FrameClock = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.clock = FrameClock(self.video)

    def push(self, frames: list[av.video.frame.VideoFrame]) -> Iterator[FrameMotion]:
        """Accept decoded frames; yield those that are ready."""
        for frame in frames:
            self.observe(frame)
            self._append(frame)
        self._follow_references()
        while self.frames and self._is_ready():
            yield self._pop()

    def flush(self) -> Iterator[FrameMotion]:
        """Yield the remaining frames at the end of the stream."""
        self._follow_references(ended=True)
        while self.frames:
            yield self._pop()

    def _is_ready(self) -> bool:
        """Whether the distances of the first frame, and of those that enclose it, are known."""
        if self.reading == "raw" or len(self.frames) > 2 * MOST_REORDERED:
            return True
        frame: _QueuedFrame | None = self.frames[0]
        while frame is not None and (distance := self._distance(frame)) is not None:
            if distance[1] is None:
                return True
            frame = self._at(frame.time + distance[1])
        return False

    def _at(self, time: float) -> _QueuedFrame | None:
        return next((frame for frame in self.frames if abs(frame.time - time) < 0.5), None)

    def _has_time(self, packet_pts: int) -> bool:
        return self.video.timed and packet_pts > _WITHOUT_TIME // 2

    def _append(self, frame: av.video.frame.VideoFrame) -> None:
        if self.orientation is None:
            self.orientation = Orientation.of(frame, self.video.name)
        own = frame.pts if frame.pts is not None and self._has_time(frame.pts) else None
        pts_seconds = self.clock(own)
        if not self.video.timed:
            usual, time = 1.0, float(self.count)
        else:
            usual = self.video.usual_interval
            # The references of H.264 are followed by the times of packets; those of MPEG are found among the frames.
            time = self.clock.last or 0.0 if own is None or self.video.nal_length_size is None else float(own)
        if own is None and frame.pts is not None:
            self.times[frame.pts] = time
        unused = frame.pts in self.unused
        self.unused.discard(frame.pts or 0)
        interval = usual if self.last is None or time <= self.last else time - self.last
        self.frames.append(
            _QueuedFrame(
                index=self.count,
                time=time,
                pts_seconds=pts_seconds,
                picture_type=PICTURE_TYPES[int(frame.pict_type)],
                is_key=bool(frame.key_frame),
                interval=interval,
                vectors=NO_VECTORS if unused else frame_vectors(frame),
                packet_pts=frame.pts,
                grid=grid_shape(frame.height, frame.width),
                orientation=self.orientation,
                interlaced=bool(frame.interlaced_frame),
            )
        )
        self.count += 1
        self.last = time

    def _follow_references(self, *, ended: bool = False) -> None:
        """Feed the tracker in decode order, up to the first picture whose display time is not known yet."""
        while self.coded:
            packet_pts, info = self.coded[0]
            time: float | None = packet_pts if self._has_time(packet_pts) else self.times.pop(packet_pts, None)
            if time is None and not ended and len(self.frames) <= 2 * MOST_REORDERED:
                return
            self.coded.popleft()
            if time is not None:  # otherwise the decoder never returned its picture
                self.distances[packet_pts] = self.tracker.feed(time, reference=info.reference, idr=info.idr)

    def _distance(self, frame: _QueuedFrame) -> Distance | None:
        """The distance of a queued frame to its references; None: not known yet."""
        if self.video.codec == "h264":
            return (None, None) if frame.packet_pts is None else self.distances.get(frame.packet_pts)
        # MPEG: the references of a B-frame are the I- and P-frames around it.
        anchors = [queued.time for queued in self.frames if queued.picture_type != "B"]
        before, after = neighbour_references(frame.time, anchors if self.anchor is None else [self.anchor, *anchors])
        if frame.picture_type != "B":
            return before, None
        return (before, after) if after is not None else None

    def _velocity(self, frame: _QueuedFrame) -> VelocitySum:
        """The sum over the frame's vectors and those of the frames that enclose it."""
        if frame.velocity is None:
            distance = self._distance(frame) or (None, None)
            after = None if distance[1] is None else self._at(frame.time + distance[1])
            frame.velocity = accumulate_frame(
                frame.vectors,
                frame.grid,
                codec=self.video.codec,
                picture_type=frame.picture_type,
                distance=distance,
                interval=frame.interval,
                enclosing=None if after is None or after.grid != frame.grid else self._velocity(after),
            )
        return frame.velocity

    def _pop(self) -> FrameMotion:
        first = self.frames[0]
        raw = self.reading == "raw"
        field = raw_field(first.vectors, first.grid) if raw else smooth(self._velocity(first), first.interval)
        self.frames.popleft()
        if first.packet_pts is not None:
            self.distances.pop(first.packet_pts, None)
        if first.picture_type != "B":
            self.anchor = first.time
        return FrameMotion(
            index=first.index,
            pts_seconds=first.pts_seconds,
            picture_type=first.picture_type,
            is_key=first.is_key,
            field=field,
            orientation=first.orientation,
            interlaced=first.interlaced,
        )
