"""Frames and motion of a clip in one decode pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.convert import FrameConverter
from mgm.video.motion import MotionField, Policy, Reading, grid_shape, hold, over_windows, rasterise
from mgm.video.references import ReferenceTracker, neighbour_references
from mgm.video.stream import EXPORTS_B_VECTORS, OpenVideo, decode_packet, open_video
from mgm.video.vectors import KINDS, frame_vectors
from mgm.video.window import Window, read_window

Short = Literal["repeat_last", "wrap", "error"]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames and motion of one stretch of a video.

    Attributes:
        path: the file.
        frames: uint8 (T, H, W, 3), RGB.
        motion: the motion field of the same region, or None where it was not asked for.
        pts: float64 (T,), seconds.
        index: int64 (T,), frame numbers in display order. Shorter videos repeat numbers (see `short` of `read_clip`).
    """

    path: str
    frames: npt.NDArray[np.uint8]
    motion: MotionField | None
    pts: npt.NDArray[np.float64]
    index: npt.NDArray[np.int64]


def read_clip(
    path: str | Path,
    *,
    start: int = 0,
    frames: int | None = 16,
    stride: int = 4,
    size: int | tuple[int, int] | None = 224,
    crop: Literal["centre"] | tuple[int, int, int, int] | None = "centre",
    motion: Literal["codec"] | None = "codec",
    policy: Policy = "window_sum",
    reading: Reading = "clean",
    short: Short = "repeat_last",
) -> Clip:
    """Read `frames` frames, every `stride`-th from `start` on, with their motion, in one decode pass on one thread::

        video   . . . . . . . . . . . .      start=2, frames=3, stride=4
        clip        f       f       f        frames 2, 6, 10
        motion    +++     +++++   +++++      what window_sum adds up for each of them

    Frames are bit-identical to those of a full sequential decode.

    Args:
        start: number of the first frame, in display order.
        frames: how many; None reads to the end of the video.
        size: side of the square result (or (height, width)) in pixels; None keeps the source's.
        crop: "centre": the largest centred region of the result's shape; (x, y, width, height) in pixels of the upright frame
            (chroma is stored at half resolution: x and y are rounded down to even numbers); None: the whole frame,
            stretched to `size`. With `size=None`, "centre" keeps the whole frame.
        motion: "codec" reads the stream's motion vectors; None reads frames only.
        policy: how the frames that `stride` skips enter the motion: `window_sum` (default), `sampled` (the paper's literal
            reading), `window_max`; see `mgm.video.motion.over_windows`.
        reading: "clean" divides by the reference distance and joins both lists; "raw" is the literal reading: list 0 first, no
            division, and under `sampled` no multiplication by the stride.
        short: what a video does that ends before the clip: `repeat_last` repeats the last frame that the stride reaches, `wrap`
            starts again with the first, `error` raises.

    Returns:
        A `Clip`; videos with a display rotation come upright, motion included.

    Raises:
        VideoError: unreadable, damaged or truncated file; `start` behind the end; motion asked of a codec that has none.
    """
    for value, what in ((stride, "stride"), (1 if frames is None else frames, "frames"), (start + 1, "start + 1")):
        if value < 1:
            raise VideoError(f"{path}: {what} is {value}, expected 1 or more")
    with open_video(path, vectors=motion is not None) as video:
        if motion is not None and not video.exports_vectors:
            raise VideoError(no_vectors_message(video))
        # Where B-frames tell nothing, a sampled one takes the motion of a frame between.
        single = motion is None or (policy == "sampled" and video.codec in EXPORTS_B_VECTORS)
        reach = 0 if single else stride - 1
        request = _Request(start, frames, stride, reach, motion is not None, policy, reading, short)
        return _read(video, request, FrameConverter(size=size, crop=crop, name=video.name))


def no_vectors_message(video: OpenVideo) -> str:
    """What a user can do about a codec whose decoder exports no motion vectors."""
    codec = video.codec.upper()
    return (
        f"{video.name}: {codec} carries no exported motion vectors, expected H.264, MPEG-4 part 2, MPEG-1/2 or H.263; "
        "transcode it to H.264 first (ffmpeg -i IN -c:v libx264 OUT.mp4), or read its frames alone (motion=None, --motion none)"
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """The arguments of `read_clip` that say which frames are needed, and how their motion is read."""

    start: int
    frames: int | None
    stride: int
    reach: int  # how many frames before a sampled one its motion needs
    with_motion: bool
    policy: Policy
    reading: Reading
    short: Short

    @property
    def last(self) -> int | None:
        """The last sampled frame; None: the video's end tells."""
        return None if self.frames is None else self.start + (self.frames - 1) * self.stride


def _read(video: OpenVideo, request: _Request, converter: FrameConverter) -> Clip:
    first = max(request.start - request.reach, 0)
    last = request.last
    window = read_window(video, first, last)
    if window.order:
        count = window.base + len(window.order)
        wanted = _sampled(video, request, count, ended=window.ended)
        keep = set(wanted.tolist())
        fields = set(range(max(int(wanted.min()) - request.reach, 0), int(wanted.max()) + 1)) if request.reach else keep
        decoded = _decode(video, window, request, converter, keep=keep, fields=fields)
    else:  # no presentation times: count the frames as they leave the decoder
        decoded = _decode(video, window, request, converter, keep=None, fields=None)
        wanted = _sampled(video, request, len(decoded), ended=window.ended)
    missing = [i for i in wanted.tolist() if decoded.get(i) is None or decoded[i].image is None]
    if missing:
        raise VideoError(
            f"{video.name}: {len(missing)} of {len(wanted)} frames of the clip did not decode (first: frame {missing[0]}), "
            "expected all; the stream is damaged: repair it with ffmpeg, or remove it from the set"
        )
    pts = np.array([decoded[i].seconds for i in wanted.tolist()])
    field = None
    if request.with_motion:
        field = _field(video, decoded, wanted, request)
        field = converter.transform_motion(field)
    images = [image for i in wanted.tolist() if (image := decoded[i].image) is not None]
    return Clip(video.name, np.stack(images), field, pts, wanted)


def _sampled(video: OpenVideo, request: _Request, count: int, *, ended: bool) -> npt.NDArray[np.int64]:
    """The frame numbers of the clip. `count` frames are known; if `ended`, there are no more."""
    start, frames, stride = request.start, request.frames, request.stride
    if ended and start >= count:
        raise VideoError(f"{video.name}: no frame {start}: the video has {count} frames; choose a start below that")
    if frames is None:
        return np.arange(start, count, stride, dtype=np.int64)
    wanted = start + stride * np.arange(frames, dtype=np.int64)
    if not ended or wanted[-1] < count:
        return wanted
    if request.short == "error":
        raise VideoError(
            f"{video.name}: {count} frames, expected {wanted[-1] + 1} for {frames} frames x stride {stride} from frame {start}; "
            "use a smaller stride, or short='repeat_last'"
        )
    return clip_index(count, start=start, frames=frames, stride=stride, short=request.short)


def clip_index(
    total: int, *, start: int, frames: int, stride: int, short: Literal["repeat_last", "wrap"] = "repeat_last"
) -> npt.NDArray[np.int64]:
    """Frame numbers of a clip of a video of `total` frames, int64 (frames,); `start` must lie in it. See `short` of `read_clip`."""
    wanted = start + stride * np.arange(frames, dtype=np.int64)
    reachable = wanted[wanted < total]
    if short == "wrap":
        return np.resize(reachable, frames)
    return np.concatenate([reachable, np.full(frames - len(reachable), reachable[-1])])


@dataclass(slots=True)
class _Decoded:
    """What is kept of a decoded frame: the converted image if it is sampled, the vectors if its motion is needed."""

    time: float  # in the stream's time base; without presentation times the frame's number
    seconds: float
    interval: float | None  # since the previous frame, in the unit of `time`
    kind: str
    image: npt.NDArray[np.uint8] | None
    vectors: npt.NDArray[np.void] | None
    distance: tuple[float | None, float | None] | None = None  # to the references, H.264 only


def _decode(
    video: OpenVideo,
    window: Window,
    request: _Request,
    converter: FrameConverter,
    *,
    keep: set[int] | None,
    fields: set[int] | None,
) -> dict[int, _Decoded]:
    """Decode the window, converting the frames in `keep` and taking the vectors of those in `fields`; None: decide as they come."""
    timed = bool(window.order)
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    tracker = ReferenceTracker()
    start, stride, last, with_motion = request.start, request.stride, request.last, request.with_motion
    decoded: dict[int, _Decoded] = {}
    shown: dict[int, int] = {}  # untimed: position in decode order to frame number
    rate = video.stream.average_rate

    def take(frames: Iterable[av.video.frame.VideoFrame]) -> None:
        for frame in frames:
            interval: float | None
            if timed:
                if frame.pts is None or frame.pts not in number:
                    continue
                index, time, seconds = number[frame.pts], frame.pts, frame.pts * video.time_base
                position = index - window.base
                interval = time - window.order[position - 1] if position > 0 else None
                pending.discard(time)
            else:
                index = time = len(decoded)
                seconds, interval = float(index / rate) if rate else float("nan"), 1.0
                if frame.pts is not None:
                    shown[frame.pts] = index
            within = index >= start and (last is None or index <= last)
            wanted = index in keep if keep is not None else within and (index - start) % stride == 0
            moving = index in fields if fields is not None else index >= start - request.reach
            decoded[index] = _Decoded(
                time=time,
                seconds=seconds,
                interval=interval,
                kind=KINDS[int(frame.pict_type)],
                image=converter(frame) if wanted else None,
                vectors=frame_vectors(frame) if with_motion and moving else None,
            )

    needed = (keep or set()) | (fields or set() if with_motion else set())
    pending = {window.order[i - window.base] for i in needed if window.base <= i < window.base + len(window.order)}
    # The MPEG decoders lose the vectors of the picture that a flush brings out: there, go on until the last one came by itself.
    tells_references = video.codec == "h264"
    skipped = False
    for coded in window.coded:
        if timed and not pending:
            break
        if coded.pts is not None:  # without one it is the second field of the picture before it
            # Nobody wants it and no other picture refers to it: the decoder never sees it.
            skipped = timed and coded.reference is False and coded.pts not in pending
        if skipped:
            continue
        if tells_references and coded.pts is not None:
            pending.discard(coded.pts)  # a flush brings it out
        take(decode_packet(video, coded.packet))
    take(decode_packet(video, None))
    for coded in window.coded:
        if coded.reference is None or coded.pts is None:
            continue
        index = number.get(coded.pts) if timed else shown.get(coded.pts)
        time = coded.pts if timed else index
        if time is None:
            continue
        distance = tracker.feed(time, reference=coded.reference, idr=coded.idr)
        if index in decoded:
            decoded[index].distance = distance
    return decoded


def _field(
    video: OpenVideo,
    decoded: dict[int, _Decoded],
    wanted: npt.NDArray[np.int64],
    request: _Request,
) -> MotionField:
    """The motion field of the sampled frames from the vectors of the decoded ones."""
    reading, policy, stride = request.reading, request.policy, request.stride
    context = video.stream.codec_context
    height, width = context.height, context.width
    grid = grid_shape(height, width)
    numbers = sorted(i for i, d in decoded.items() if d.vectors is not None)
    anchors = [d.time for d in decoded.values() if d.kind in "IP"]
    usual = _usual_interval(video, decoded)
    fields = np.zeros((len(numbers), *grid, 2), np.float32)
    measured = np.zeros((len(numbers), *grid), np.bool_)
    for position, number in enumerate(numbers):
        frame = decoded[number]
        if frame.vectors is None or not len(frame.vectors):
            continue
        past = future = 1.0
        if reading == "clean":
            if frame.kind == "B" and video.codec not in EXPORTS_B_VECTORS:
                continue
            before, after = frame.distance or neighbour_references(frame.time, anchors)
            interval = frame.interval or usual
            past = interval / before if before else 1.0
            future = interval / after if after else 1.0
        fields[position], measured[position] = rasterise(frame.vectors, grid, past=past, future=future, reading=reading)
    if reading == "clean":
        fields = hold(fields, measured)
    place = {number: position for position, number in enumerate(numbers)}
    ends = np.array([place[i] for i in wanted.tolist()], np.intp)
    unit = 1 if reading == "raw" and policy == "sampled" else stride
    vectors, valid = over_windows(fields, measured, ends, stride=unit, policy=policy)
    return MotionField(vectors, valid, "codec", (height, width))


def _usual_interval(video: OpenVideo, decoded: dict[int, _Decoded]) -> float:
    """Time between two frames in the stream's time base: its average rate, else the smallest gap seen."""
    rate = video.stream.average_rate
    if rate and video.stream.time_base:
        return float(1 / (rate * video.stream.time_base))
    times = sorted(d.time for d in decoded.values())
    return float(min(np.diff(times), default=1)) if len(times) > 1 else 1.0
