"""From the vectors of decoded frames to the motion of the sampled ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mgm.video.clip.decode import Decoded
from mgm.video.container.packets import Window
from mgm.video.container.stream import OpenVideo
from mgm.video.motion.field import Policy, Reading, hold, literal_field, over_windows
from mgm.video.motion.reference_distance import Distance, Links, links_of, neighbour_references
from mgm.video.motion.streaming import evidence_of
from mgm.video.motion.vectors import NO_VECTORS
from mgm.video.motion.velocity import Evidence, reached, settle

Field = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]
"""(displacement float32 (rows, columns, 2), measured bool (rows, columns))."""


@dataclass(frozen=True, slots=True)
class Stepping:
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
    numbers = moving if window.order else [i for i in moving if i in decoded]
    fields = np.empty((len(numbers), *grid, 2), np.float32)
    measured = np.empty((len(numbers), *grid), np.bool_)
    evidence = _Evidence(video, window, decoded, steps, grid)
    last: tuple[Evidence, float] | None = None
    for position, number in enumerate(numbers):
        if steps.reading == "raw":
            vectors = decoded[number].vectors
            assert vectors is not None
            fields[position], measured[position] = literal_field(vectors, grid)
            continue
        told, interval = evidence.of(number), evidence.interval(number)
        if steps.unit > 1 and not told[2].any():  # a key picture: each frame before it tells the whole step to it
            for between in range(number - steps.unit + 1, number):
                told = told + evidence.of(between)
        if last is not None and last[0] is told and last[1] == interval:
            fields[position], measured[position] = fields[position - 1], measured[position - 1]
        else:
            settle(told, interval, out=(fields[position], measured[position]))
        last = told, interval
    return put_together(numbers, fields, measured, wanted, steps)


def put_together(
    numbers: list[int],
    fields: npt.NDArray[np.float32],
    measured: npt.NDArray[np.bool_],
    wanted: npt.NDArray[np.int64],
    steps: Stepping,
) -> Field:
    """The motion of the sampled frames `wanted` from the fields of the frames `numbers`, gaps held."""
    if steps.reading != "raw":
        hold(fields, reached(measured))
    if np.all(steps.stride == steps.unit) and numbers == wanted.tolist():
        return fields, measured  # a whole video, frame by frame: nothing is to be added up
    place = {number: position for position, number in enumerate(numbers)}
    ends = np.array([place[i] for i in wanted.tolist()], np.intp)
    literal = steps.reading == "raw" and steps.policy == "sampled"
    return over_windows(
        fields, measured, ends, stride=1 if literal else steps.stride // steps.unit, policy=steps.policy
    )


@dataclass(slots=True)
class _Evidence:
    """What vectors say of the velocity of frames, in the unit of `Decoded.time`."""

    video: OpenVideo
    window: Window
    decoded: dict[int, Decoded]
    steps: Stepping
    grid: tuple[int, int]
    known: dict[int, Evidence] = field(default_factory=dict)
    anchors: list[float] = field(init=False)
    links: Links = field(init=False)
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
        self.links = links_of(self.window, numbers)

    def of(self, number: int) -> Evidence:
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
            self.known[number] = evidence_of(
                vectors,
                self.grid,
                codec=self.video.codec,
                kind="B" if frame is None else frame.kind,
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
