"""The motion of a clip: from the vectors of decoded frames, from a sidecar, or from an estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.kept_memory import KeptMemory
from mgm.spans import span
from mgm.video.clip.decode import DecodedClip
from mgm.video.clip.plan import ClipPlan, StepAggregation
from mgm.video.container.clip_packets import PacketWindow
from mgm.video.container.stream import OpenVideo
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.field import (
    MotionField,
    VectorField,
    aggregate_windows,
    counts_whole_steps,
    fill_gaps,
    grid_shape,
    raw_field,
)
from mgm.video.motion.reference_distance import Distance, ReferenceGraph, follow_references, neighbour_references
from mgm.video.motion.sidecar import DamagedSidecarError, Sidecar
from mgm.video.motion.vectors import NO_VECTORS, scale_vectors
from mgm.video.motion.velocity import VelocitySum, accumulate_frame, smooth, smoothed_support

_vectors_of_frames, _valid_of_frames = KeptMemory(), KeptMemory()


def clip_motion(video: OpenVideo, window: PacketWindow, plan: ClipPlan, decoded: DecodedClip) -> MotionField | None:
    """The motion of a decoded clip, in pixels of the whole coded frame; None for a clip of frames only.

    Raises:
        DamagedSidecarError: the plan's sidecar does not fit the video.
        VideoError: a frame that an estimator compares did not decode.
    """
    extent, pairs = decoded.converter.shape, decoded.pairs
    if plan.source is None:
        return None
    with span("field"):
        if pairs is not None:
            try:
                motion = MotionField.of(pairs.field(decoded.sampled), pairs.estimator.name, extent)
            except VideoError as error:
                raise error.about(video.name) from None
        elif plan.sidecar is not None:
            _check_sidecar(plan.sidecar, window, plan, decoded)
            motion = MotionField.of(motion_from_sidecar(plan.sidecar, plan, decoded), plan.sidecar.source, extent)
        else:
            motion = MotionField.of(motion_from_vectors(video, window, plan, decoded), "codec", extent)
        return motion if plan.options.camera == "none" else remove_camera(motion, plan.options.camera)


def motion_from_vectors(video: OpenVideo, window: PacketWindow, plan: ClipPlan, decoded: DecodedClip) -> VectorField:
    """The motion of a clip from its frames' vectors, (T, rows, columns)."""
    steps, grid = plan.steps, grid_shape(*decoded.converter.shape)
    numbers = list(plan.moving(int(decoded.sampled.max()) + 1))
    if not window.order:
        numbers = [i for i in numbers if i in decoded.frames]
    shape = len(numbers), *grid
    fields = VectorField(_vectors_of_frames.empty((*shape, 2), np.float32), _valid_of_frames.empty(shape, np.bool_))
    velocities = _FrameVelocities(video, window, decoded, steps)
    last: tuple[VelocitySum, float] | None = None
    for position, number in enumerate(numbers):
        if steps.reading == "raw":
            raw = raw_field(velocities.vectors(number), grid)
            fields.vectors[position], fields.valid[position] = raw.vectors, raw.valid
            continue
        interval = velocities.interval(number)
        total = velocities.of(number, interval)
        if steps.unit > 1 and not total[2].any():  # a keyframe: each frame before it measures the whole step to it
            for between in range(number - steps.unit + 1, number):
                total = total + velocities.of(between)
                velocities.forget(between)
        if last is not None and last[0] is total and last[1] == interval:
            fields.vectors[position], fields.valid[position] = fields.vectors[position - 1], fields.valid[position - 1]
        else:
            smooth(total, interval, out=fields[position])
        last = total, interval
        velocities.forget(number)
    return aggregate(numbers, fields, decoded.sampled, steps)


def motion_from_sidecar(sidecar: Sidecar, plan: ClipPlan, decoded: DecodedClip) -> VectorField:
    """The motion of a clip from stored fields, (T, rows, columns)."""
    numbers = list(plan.moving(int(decoded.sampled.max()) + 1))
    fields = sidecar.read(numbers[0], numbers[-1])
    if len(numbers) < len(fields):
        fields = fields[np.array(numbers) - numbers[0]]
    return aggregate(numbers, fields, decoded.sampled, plan.steps)


def aggregate(
    numbers: list[int], fields: VectorField, sampled: npt.NDArray[np.int64], steps: StepAggregation
) -> VectorField:
    """The motion of the sampled frames from the fields of the frames `numbers`, whose gaps are filled in place."""
    if steps.reading != "raw":
        fill_gaps(fields.vectors, smoothed_support(fields.valid))
    if np.all(steps.stride == steps.unit) and numbers == sampled.tolist():
        return fields  # a whole video, frame by frame: there is nothing to add up
    position = {number: place for place, number in enumerate(numbers)}
    ends = np.array([position[i] for i in sampled.tolist()], np.intp)
    stride = steps.stride // steps.unit if counts_whole_steps(steps.reading, steps.policy) else 1
    return aggregate_windows(fields, ends, stride=stride, policy=steps.policy)


def _check_sidecar(sidecar: Sidecar, window: PacketWindow, plan: ClipPlan, decoded: DecodedClip) -> None:
    """Raise DamagedSidecarError if a sidecar numbers frames in another way than the decoder does."""
    known = int(decoded.sampled.max()) < sidecar.num_frames
    same = known and np.array_equal(decoded.pts_seconds, sidecar.pts_seconds[decoded.sampled], equal_nan=True)
    short = window.ended and window.order and window.base + len(window.order) != sidecar.num_frames
    if not same or short:
        raise DamagedSidecarError(
            sidecar.path, f"its frames are not those of {plan.name}", advice="delete it", reason="damaged"
        )


@dataclass(slots=True)
class _FrameVelocities:
    """Velocities of single frames from their vectors, in the unit of `DecodedFrame.time`."""

    video: OpenVideo
    window: PacketWindow
    decoded: DecodedClip
    steps: StepAggregation
    _known: dict[int, VelocitySum] = field(default_factory=dict)
    shape: tuple[int, int] = field(init=False)  # (height, width) of the clip's first picture
    grid: tuple[int, int] = field(init=False)
    anchors: list[float] = field(init=False)
    links: ReferenceGraph = field(init=False)
    shown: dict[float, int] = field(init=False)  # numbers of the frames by their times

    def __post_init__(self) -> None:
        self.shape = self.decoded.converter.shape
        self.grid = grid_shape(*self.shape)
        self.anchors = sorted(d.time for d in self.decoded.frames.values() if d.kind != "B")
        if self.window.order:
            numbers = self.window.frame_numbers
            self.shown = {float(time): i for time, i in numbers.items()}
        else:
            frames = self.decoded.frames
            numbers = {d.packet: i for i, d in frames.items() if d.packet is not None}
            self.shown = {d.time: i for i, d in frames.items()}
        self.links = self.decoded.graph or follow_references(self.window, numbers)

    def of(self, number: int, interval: float | None = None) -> VelocitySum:
        """Of a frame, including the vectors of those that enclose it. `interval`: its own, where it is known."""
        known = self._known.get(number)
        if known is not None:
            return known
        distance = self._distance(number)
        after = None if distance[1] is None else self.shown.get(self._time(number) + distance[1])
        frame = self.decoded.frames.get(number)
        unused = self.steps.reading == "references" and self.video.codec == "h264"
        total = self._known[number] = accumulate_frame(
            NO_VECTORS if unused and number not in self.links.references else self.vectors(number),
            self.grid,
            codec=self.video.codec,
            picture_type="B" if frame is None else frame.kind,
            distance=distance,
            interval=self.interval(number) if interval is None else interval,
            enclosing=None if after is None else self.of(after),
        )
        return total

    def vectors(self, number: int) -> npt.NDArray[np.void]:
        """Those of a frame in pixels of the clip's first picture, to whose size a stream that changes it is scaled."""
        frame = self.decoded.frames.get(number)
        if frame is None or frame.vectors is None:
            return NO_VECTORS
        vectors = self.decoded.vectors[frame.vectors]
        if frame.shape == self.shape:
            return vectors
        return scale_vectors(vectors, self.shape[1] / frame.shape[1], self.shape[0] / frame.shape[0])

    def forget(self, number: int) -> None:
        """Give back the memory of a frame that no later one needs: those enclose frames before them."""
        self._known.pop(number, None)

    def _time(self, number: int) -> float:
        return self.window.order[number - self.window.base] if self.window.order else number

    def _distance(self, number: int) -> Distance:
        if self.video.codec == "h264":
            return self.links.distances.get(number, (None, None))
        if number not in self.decoded.frames:
            return None, None
        before, after = neighbour_references(self._time(number), self.anchors)
        return before, after if self.decoded.frames[number].kind == "B" else None

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
