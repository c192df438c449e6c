"""One decode pass over a window of packets: pixels of the sampled frames, and what their motion is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.video.convert import FrameConverter, PictureConverter
from mgm.video.evidence import Evidence, reached, settle
from mgm.video.fields import Distance, evidence_of
from mgm.video.motion import Policy, Reading, grid_shape, hold, literal_field, over_windows
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
        anchors: from this frame on the vectors of I- and P-pictures are kept as well, and decoding goes on to the one behind the
            last frame that is wanted: for codecs whose packets do not tell which pictures enclose a frame.
    """

    image: Wanted
    vectors: Wanted
    picture: Wanted
    anchors: int | None = None

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
    image: npt.NDArray[np.uint8] | None
    vectors: npt.NDArray[np.void] | None
    distance: Distance | None = None  # to the references, H.264 only


def decode(
    video: OpenVideo,
    window: Window,
    needs: Needs,
    image_of: FrameConverter,
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
    newest = ""

    def take(frames: Iterable[av.video.frame.VideoFrame]) -> None:
        nonlocal newest
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
            newest = KINDS[int(frame.pict_type)]
            moves = needs.vectors(index) or (needs.anchors is not None and index >= needs.anchors and newest != "B")
            decoded[index] = Decoded(
                time=time,
                seconds=seconds,
                kind=newest,
                image=image_of(frame) if needs.image(index) else None,
                vectors=frame_vectors(frame) if moves else None,
            )

    # The MPEG decoders lose the vectors of the picture that a flush brings out: there, go on until the last one came by itself.
    tells_references = video.codec == "h264"
    skipped = False
    for coded in window.coded:
        complete = not pending if timed else last is not None and len(decoded) > last
        if complete and (needs.anchors is None or newest != "B"):
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
    for index, distance in reference_distances(window, number if timed else shown).items():
        if index in decoded:
            decoded[index].distance = distance
    return decoded


def reference_distances(window: Window, number: dict[int, int]) -> dict[int, Distance]:
    """The distances of H.264 pictures to their references, by frame number: follows the pictures of a window in decode order.

    Args:
        number: of the frame, by the presentation time of its packet.
    """
    tracker = ReferenceTracker()
    timed = bool(window.order)
    distances = {}
    for coded in window.coded:
        if coded.reference is None or coded.pts is None or coded.pts not in number:
            continue
        index = number[coded.pts]
        time = coded.pts if timed else index
        distances[index] = tracker.feed(time, reference=coded.reference, idr=coded.idr)
    return distances


def enclosing_frames(window: Window, frames: Iterable[int]) -> set[int]:
    """The numbers of the later reference pictures of H.264 frames, and of those in turn: their vectors span those frames, too."""
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    distances = reference_distances(window, number)
    found: set[int] = set()
    for index in frames:
        while index in distances and (after := distances[index][1]) is not None:
            index = number[round(window.order[index - window.base] + after)]
            found.add(index)
    return found


@dataclass(frozen=True, slots=True)
class Stepping:
    """How the motion of sampled frames is put together from the motion of single ones.

    Attributes:
        stride: frames between sampled ones.
        unit: frames that one field spans: 1, or the distance between the reference frames of a file prepared for strides.
        policy, reading: see `mgm.read_clip`.
    """

    stride: int
    unit: int
    policy: Policy
    reading: Reading

    @property
    def reach(self) -> int:
        """How many frames before a sampled one its motion needs."""
        return 0 if self.policy == "sampled" else self.stride - self.unit


def codec_field(
    video: OpenVideo,
    window: Window,
    decoded: dict[int, Decoded],
    wanted: npt.NDArray[np.int64],
    moving: list[int],
    steps: Stepping,
    grid: tuple[int, int],
) -> Field:
    """The motion of the sampled frames `wanted` from the vectors of the frames `moving`, on a grid of (rows, columns)."""
    numbers = [i for i in moving if i in decoded and decoded[i].vectors is not None]
    fields = np.zeros((len(numbers), *grid, 2), np.float32)
    measured = np.zeros((len(numbers), *grid), np.bool_)
    evidence = _Evidence(video, window, decoded, steps.unit, grid)
    for position, number in enumerate(numbers):
        vectors = decoded[number].vectors
        if steps.reading == "raw" and vectors is not None:
            fields[position], measured[position] = literal_field(vectors, grid)
            continue
        told = evidence.of(number)
        if steps.unit > 1 and not told[2].any():  # a key picture: each frame before it tells the whole step to it
            for between in range(number - steps.unit + 1, number):
                told = told + evidence.of(between)
        fields[position], measured[position] = settle(told, evidence.interval(number))
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
        fields = hold(fields, reached(measured))
    place = {number: position for position, number in enumerate(numbers)}
    ends = np.array([place[i] for i in wanted.tolist()], np.intp)
    literal = steps.reading == "raw" and steps.policy == "sampled"
    return over_windows(
        fields, measured, ends, stride=1 if literal else steps.stride // steps.unit, policy=steps.policy
    )


@dataclass(slots=True)
class _Evidence:
    """What vectors say of the velocity of decoded frames, in the unit of `Decoded.time`."""

    video: OpenVideo
    window: Window
    decoded: dict[int, Decoded]
    unit: int
    grid: tuple[int, int]
    known: dict[int, Evidence] = field(default_factory=dict)
    anchors: list[float] = field(init=False)
    shown: dict[float, int] = field(init=False)

    def __post_init__(self) -> None:
        self.anchors = sorted(d.time for d in self.decoded.values() if d.kind != "B")
        self.shown = {d.time: i for i, d in self.decoded.items()}

    def of(self, number: int) -> Evidence:
        """Of a frame and of those that enclose it."""
        if number not in self.known:
            frame = self.decoded.get(number)
            if frame is None or frame.vectors is None:
                return np.zeros((3, *self.grid), np.float32)
            distance = self._distance(frame)
            after = None if distance[1] is None else self.shown.get(frame.time + distance[1])
            self.known[number] = evidence_of(
                frame.vectors,
                self.grid,
                codec=self.video.codec,
                kind=frame.kind,
                distance=distance,
                interval=self.interval(number),
                enclosing=None if after is None else self.of(after),
            )
        return self.known[number]

    def _distance(self, frame: Decoded) -> Distance:
        if self.video.codec == "h264":
            return frame.distance or (None, None)
        before, after = neighbour_references(frame.time, self.anchors)
        return before, after if frame.kind == "B" else None

    def interval(self, number: int) -> float:
        """Time since the frame `unit` frames before `number`."""
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
