"""One decode pass over a window of packets: pixels of the sampled frames, and what their motion is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.video.convert import FrameConverter, PictureConverter, SeveralConverter
from mgm.video.fields import Distance, frame_field
from mgm.video.motion import Policy, Reading, grid_shape, hold, over_windows
from mgm.video.references import ReferenceTracker, neighbour_references
from mgm.video.sources import PairMotion
from mgm.video.stream import OpenVideo, decode_packet
from mgm.video.vectors import KINDS, frame_vectors
from mgm.video.window import Window

Field = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]
"""(displacement float32 (rows, columns, 2), measured bool (rows, columns))."""

Wanted = Callable[[int], bool]
"""Whether a frame, by its number, is needed for something."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Which frames are wanted for what.

    Attributes:
        image: converted to pixels of the clip.
        vectors: their motion vectors are kept.
        picture: given to a source of motion that compares pictures.
    """

    image: Wanted
    vectors: Wanted
    picture: Wanted

    def any(self, number: int) -> bool:
        """Whether the frame is wanted for anything."""
        return self.image(number) or self.vectors(number) or self.picture(number)


def never(number: int) -> bool:
    """Wants no frame."""
    return False


@dataclass(slots=True)
class Decoded:
    """What is kept of a decoded frame."""

    time: float  # in the stream's time base; the frame's number where there are no presentation times
    seconds: float
    kind: str
    image: npt.NDArray[np.uint8] | tuple[npt.NDArray[np.uint8], ...] | None
    vectors: npt.NDArray[np.void] | None
    distance: Distance | None = None  # to the references, H.264 only


def decode(
    video: OpenVideo,
    window: Window,
    needs: Needs,
    image_of: FrameConverter | SeveralConverter,
    pairs: PairMotion | None,
    *,
    last: int | None,
) -> dict[int, Decoded]:
    """Decode a window up to frame `last`: by number, every frame that came out. `pairs` is given the pictures it needs."""
    picture_of = None if pairs is None else PictureConverter(pairs.source.pixels, pairs.source.shrink)
    timed = bool(window.order)
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    decoded: dict[int, Decoded] = {}
    shown: dict[int, int] = {}  # untimed: position in decode order to frame number
    rate = float(video.stream.average_rate or 0)
    pending = {pts for pts, i in number.items() if needs.any(i)}

    def take(frames: Iterable[av.video.frame.VideoFrame]) -> None:
        for frame in frames:
            image_of.look(frame)
            if pairs is not None and pairs.grid is None:
                pairs.grid = grid_shape(frame.height, frame.width)
            if timed:
                if frame.pts is None or frame.pts not in number:
                    continue
                index, time, seconds = number[frame.pts], frame.pts, frame.pts * video.time_base
                pending.discard(time)
            else:
                index = time = len(decoded)
                seconds = index / rate if rate else float("nan")
                if frame.pts is not None:
                    shown[frame.pts] = index
            if pairs is not None and picture_of is not None and needs.picture(index):
                pairs.add(index, picture_of(frame))
            decoded[index] = Decoded(
                time=time,
                seconds=seconds,
                kind=KINDS[int(frame.pict_type)],
                image=image_of(frame) if needs.image(index) else None,
                vectors=frame_vectors(frame) if needs.vectors(index) else None,
            )

    # The MPEG decoders lose the vectors of the picture that a flush brings out: there, go on until the last one came by itself.
    tells_references = video.codec == "h264"
    skipped = False
    unneeded = _unneeded(window, pending) if timed and tells_references else set()
    for position, coded in enumerate(window.coded):
        if (timed and not pending) or (not timed and last is not None and len(decoded) > last):
            break
        if coded.pts is not None:  # without one it is the second field of the picture before it
            # Nobody wants it and no other picture refers to it: the decoder never sees it.
            skipped = position in unneeded or (timed and coded.reference is False and coded.pts not in pending)
        if skipped:
            continue
        if tells_references and coded.pts is not None:
            pending.discard(coded.pts)  # a flush brings it out
        take(decode_packet(video, coded.packet))
    take(decode_packet(video, None))
    _measure_distances(window, decoded, number if timed else shown)
    return decoded


def _unneeded(window: Window, pending: set[int]) -> set[int]:
    """The positions of the H.264 pictures of a timed window behind the last wanted one of their group: nothing that is wanted
    refers to them, since decoding starts anew at the next IDR picture. Frames far apart are read without most of those between."""
    unneeded = set()
    wanted = False
    for position in reversed(range(len(window.coded))):
        coded = window.coded[position]
        wanted = wanted or coded.pts in pending
        if not wanted:
            unneeded.add(position)
        if coded.idr:
            wanted = False
    return unneeded


def _measure_distances(window: Window, decoded: dict[int, Decoded], number: dict[int, int]) -> None:
    """Follow the reference pictures in decode order, skipped ones included."""
    tracker = ReferenceTracker()
    timed = bool(window.order)
    for coded in window.coded:
        if coded.reference is None or coded.pts is None or coded.pts not in number:
            continue
        index = number[coded.pts]
        distance = tracker.feed(coded.pts if timed else index, reference=coded.reference, idr=coded.idr)
        if index in decoded:
            decoded[index].distance = distance


@dataclass(frozen=True, slots=True)
class Stepping:
    """How the motion of sampled frames is put together from the motion of single ones.

    Attributes:
        stride: frames from one sampled frame to the next, or int64 (T,), from the one before to each of them.
        unit: frames that one field spans: 1, or the distance between the reference frames of a file prepared for strides.
        policy, reading: see `mgm.read_clip`.
        silent: the codec's B-frames tell nothing of their motion.
    """

    stride: int | npt.NDArray[np.int64]
    unit: int
    policy: Policy
    reading: Reading
    silent: bool = False

    @property
    def reach(self) -> int:
        """How many frames before a sampled one its motion needs."""
        return 0 if self.policy == "sampled" and not self.silent else int(np.max(self.stride)) - self.unit


def codec_field(
    video: OpenVideo,
    window: Window,
    decoded: dict[int, Decoded],
    wanted: npt.NDArray[np.int64],
    steps: Stepping,
    grid: tuple[int, int],
) -> Field:
    """The motion of the sampled frames from the vectors of the decoded ones, on a grid of (rows, columns)."""
    vectors = {i: d.vectors for i, d in sorted(decoded.items()) if d.vectors is not None}
    anchors = sorted(d.time for d in decoded.values() if d.kind in "IP")
    intervals = _Intervals(video, window, steps.unit)

    def spread(number: int) -> Field:
        frame = decoded[number]
        return frame_field(
            vectors[number],
            grid,
            codec=video.codec,
            kind=frame.kind,
            distance=frame.distance or neighbour_references(frame.time, anchors),
            interval=intervals.before(number),
            reading=steps.reading,
        )

    numbers = [i for i in vectors if i % steps.unit == 0]
    fields = np.zeros((len(numbers), *grid, 2), np.float32)
    measured = np.zeros((len(numbers), *grid), np.bool_)
    for position, number in enumerate(numbers):
        if len(vectors[number]):
            fields[position], measured[position] = spread(number)
        elif steps.unit > 1:
            between = [spread(i) for i in range(number - steps.unit + 1, number) if i in vectors]
            fields[position], measured[position] = _mean(between, grid)
    return put_together(numbers, fields, measured, wanted, steps)


def put_together(
    numbers: list[int],
    fields: npt.NDArray[np.float32],
    measured: npt.NDArray[np.bool_],
    wanted: npt.NDArray[np.int64],
    steps: Stepping,
) -> Field:
    """The motion of the sampled frames `wanted` from the fields of the frames `numbers`, gaps held."""
    if steps.reading == "clean":
        fields = hold(fields, measured)
    place = {number: position for position, number in enumerate(numbers)}
    ends = np.array([place[i] for i in wanted.tolist()], np.intp)
    literal = steps.reading == "raw" and steps.policy == "sampled"
    return over_windows(
        fields, measured, ends, stride=1 if literal else steps.stride // steps.unit, policy=steps.policy
    )


def _mean(found: list[Field], grid: tuple[int, int]) -> Field:
    """Of the fields of the frames before a key picture, which has no vectors: each tells the whole step to it."""
    total, count = np.zeros((*grid, 2), np.float32), np.zeros(grid, np.float32)
    for field, measured in found:
        total += field  # zero where it is not measured
        count += measured
    mean = total / np.maximum(count, 1)[..., None]
    return mean.astype(np.float32, copy=False), count > 0


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Time between frames, in the unit of `Decoded.time`."""

    video: OpenVideo
    window: Window
    unit: int

    def before(self, number: int) -> float:
        """Since the frame `unit` frames before `number`."""
        order = self.window.order
        if not order:
            return float(self.unit)
        end = number - self.window.base
        if end >= self.unit:
            return float(order[end] - order[end - self.unit])
        rate, base = self.video.stream.average_rate, self.video.stream.time_base
        if rate and base:
            return float(self.unit / (rate * base))
        return float(min((b - a for a, b in pairwise(order)), default=1) * self.unit)
