"""From the vectors of decoded frames to the motion of the sampled ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mgm.video.clip.decode import Decoded
from mgm.video.container.packets import PacketWindow
from mgm.video.container.stream import OpenVideo
from mgm.video.motion.field import Policy, Reading, VectorField, aggregate_windows, fill_gaps, raw_field
from mgm.video.motion.reference_distance import Distance, ReferenceGraph, follow_references, neighbour_references
from mgm.video.motion.vectors import NO_VECTORS
from mgm.video.motion.velocity import VelocitySum, accumulate_frame, smooth, smoothed_support


@dataclass(frozen=True, slots=True)
class StepAggregation:
    """How the motion of sampled frames is put together from the motion of single ones.

    Attributes:
        stride: frames from one sampled frame to the next, or int64 (T,), from the one before to each of them.
        unit: frames that one field spans: 1, or the distance between the reference frames of a file prepared for strides.
        policy, reading: see `mgm.read_clip`.
    """

    stride: int | npt.NDArray[np.int64]
    unit: int
    policy: Policy
    reading: Reading

    @property
    def reach(self) -> int:
        """How many frames before a sampled one its motion needs."""
        return 0 if self.policy == "sampled" else int(np.max(self.stride)) - self.unit


def motion_from_vectors(
    video: OpenVideo,
    window: PacketWindow,
    decoded: dict[int, Decoded],
    wanted: npt.NDArray[np.int64],
    moving: list[int],
    steps: StepAggregation,
    grid: tuple[int, int],
) -> VectorField:
    """The motion of the sampled frames `wanted` from the vectors of the frames `moving`, on a grid of (rows, columns)."""
    numbers = moving if window.order else [i for i in moving if i in decoded]
    fields = VectorField.empty((len(numbers), *grid))
    evidence = _Evidence(video, window, decoded, steps, grid)
    last: tuple[VelocitySum, float] | None = None
    for position, number in enumerate(numbers):
        if steps.reading == "raw":
            vectors = decoded[number].vectors
            assert vectors is not None
            raw = raw_field(vectors, grid)
            fields.vectors[position], fields.valid[position] = raw.vectors, raw.valid
            continue
        told, interval = evidence.of(number), evidence.interval(number)
        if steps.unit > 1 and not told[2].any():  # a key picture: each frame before it tells the whole step to it
            for between in range(number - steps.unit + 1, number):
                told = told + evidence.of(between)
        if last is not None and last[0] is told and last[1] == interval:
            fields.vectors[position], fields.valid[position] = fields.vectors[position - 1], fields.valid[position - 1]
        else:
            smooth(told, interval, out=fields[position])
        last = told, interval
    return aggregate(numbers, fields, wanted, steps)


def aggregate(
    numbers: list[int],
    fields: VectorField,
    wanted: npt.NDArray[np.int64],
    steps: StepAggregation,
) -> VectorField:
    """The motion of the sampled frames `wanted` from the fields of the frames `numbers`, gaps held."""
    if steps.reading != "raw":
        fill_gaps(fields.vectors, smoothed_support(fields.valid))
    if np.all(steps.stride == steps.unit) and numbers == wanted.tolist():
        return fields  # a whole video, frame by frame: nothing is to be added up
    place = {number: position for position, number in enumerate(numbers)}
    ends = np.array([place[i] for i in wanted.tolist()], np.intp)
    literal = steps.reading == "raw" and steps.policy == "sampled"
    return aggregate_windows(fields, ends, stride=1 if literal else steps.stride // steps.unit, policy=steps.policy)


@dataclass(slots=True)
class _Evidence:
    """What vectors say of the velocity of frames, in the unit of `Decoded.time`."""

    video: OpenVideo
    window: PacketWindow
    decoded: dict[int, Decoded]
    steps: StepAggregation
    grid: tuple[int, int]
    known: dict[int, VelocitySum] = field(default_factory=dict)
    anchors: list[float] = field(init=False)
    links: ReferenceGraph = field(init=False)
    shown: dict[float, int] = field(init=False)  # numbers of the frames by their times

    def __post_init__(self) -> None:
        base, order = self.window.base, self.window.order
        self.anchors = sorted(d.time for d in self.decoded.values() if d.kind != "B")
        if order:
            numbers = {time: base + i for i, time in enumerate(order)}
            self.shown = {float(time): i for time, i in numbers.items()}
        else:
            numbers = {d.packet: i for i, d in self.decoded.items() if d.packet is not None}
            self.shown = {d.time: i for i, d in self.decoded.items()}
        self.links = follow_references(self.window, numbers)

    def of(self, number: int) -> VelocitySum:
        """Of a frame and of those that enclose it."""
        if number not in self.known:
            distance = self._distance(number)
            after = None if distance[1] is None else self.shown.get(self._time(number) + distance[1])
            frame = self.decoded.get(number)
            vectors = NO_VECTORS if frame is None or frame.vectors is None else frame.vectors
            if (
                self.steps.reading == "references"
                and self.video.codec == "h264"
                and number not in self.links.references
            ):
                vectors = NO_VECTORS
            self.known[number] = accumulate_frame(
                vectors,
                self.grid,
                codec=self.video.codec,
                picture_type="B" if frame is None else frame.kind,
                distance=distance,
                interval=self.interval(number),
                enclosing=None if after is None else self.of(after),
            )
        return self.known[number]

    def _time(self, number: int) -> float:
        return self.window.order[number - self.window.base] if self.window.order else number

    def _distance(self, number: int) -> Distance:
        if self.video.codec == "h264":
            return self.links.distances.get(number, (None, None))
        if number not in self.decoded:
            return None, None
        before, after = neighbour_references(self._time(number), self.anchors)
        return before, after if self.decoded[number].kind == "B" else None

    def interval(self, number: int) -> float:
        """Time since the frame `unit` frames before `number`."""
        unit, order = self.steps.unit, self.window.order
        if not order:
            return float(unit)
        end = number - self.window.base
        if end >= unit:
            return float(order[end] - order[end - unit])
        rate, base = self.video.stream.average_rate, self.video.stream.time_base
        if rate and base:
            return float(unit / (rate * base))
        return float(min((b - a for a, b in pairwise(order)), default=1) * unit)
