"""The motion of a whole video in pieces that fit memory, and its totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mgm.video.clip.options import MotionOptions
from mgm.video.clip.reader import MotionClip, VideoReader
from mgm.video.container.metadata import read_video_info
from mgm.video.container.orientation import Orientation
from mgm.video.container.stream import decode_all, open_video
from mgm.video.motion.cache import iter_cached_motion
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.field import MotionField, VectorField, aggregate_windows, counts_whole_steps
from mgm.video.motion.names import CameraModel, Policy, Reading
from mgm.video.motion.streaming import FrameMotion
from mgm.video.motion.velocity import smoothed_support

_FRAMES = 128
"""Frames of a chunk: at 720p their fields take 15 MB."""

_PER_PIXEL = 64
_LONGEST = 1024


@dataclass(slots=True)
class MotionTotals:
    """Totals of a motion field, added up chunk by chunk.

    Attributes:
        frames: sampled frames.
        grid: (rows, columns) of cells; (0, 0) before the first chunk.
        extent: (height, width) in pixels of the coded frame, turned upright.
        source: see `MotionField`.
    """

    frames: int = 0
    grid: tuple[int, int] = (0, 0)
    extent: tuple[int, int] = (0, 0)
    source: str = ""
    _length: float = 0.0
    _valid: int = 0
    _cells: int = 0
    _histogram: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_PER_PIXEL * _LONGEST + 1, np.int64))

    def add(self, motion: MotionField) -> None:
        """Count a chunk."""
        magnitude = motion.magnitude
        self.frames += len(magnitude)
        self.grid, self.extent, self.source = motion.valid.shape[1:], motion.extent, motion.source
        self._length += float(magnitude.sum(dtype=np.float64))
        self._valid += int(motion.valid.sum())
        self._cells += magnitude.size
        places = np.minimum(magnitude * _PER_PIXEL, _PER_PIXEL * _LONGEST).astype(np.int64)
        self._histogram += np.bincount(places.ravel(), minlength=len(self._histogram))

    @property
    def mean(self) -> float:
        """Mean magnitude of all cells in pixels of the coded frame per sampling step."""
        return self._length / self._cells if self._cells else 0.0

    @property
    def p99(self) -> float:
        """99th percentile of the magnitude, to 1/64 px; 1024 px at most."""
        place = int(np.searchsorted(np.cumsum(self._histogram), 0.99 * self._cells))
        return place / _PER_PIXEL if self._cells else 0.0

    @property
    def measured(self) -> float:
        """Share of the cells that were measured, 0..1; the others hold a neighbour in time."""
        return self._valid / self._cells if self._cells else 0.0


def motion_chunks(
    video: str | Path,
    *,
    stride: int = 1,
    policy: Policy = "window_sum",
    reading: Reading = "clean",
    camera: CameraModel = "none",
) -> Iterator[MotionClip]:
    """Yield the motion of every `stride`-th frame of a whole video in pieces of some hundred frames, upright, in constant memory.

    Together they equal `mgm.video.read_motion(video, stride=stride, motion="auto", ...)`: the codec's vectors (from a sidecar if
    one exists), or optical flow for a stream without vectors. One difference: a cell that is first measured after the last sampled
    frame holds that value here, and zero there.

    Raises:
        VideoError: unreadable or damaged video, an argument out of range, or OpenCV is missing and flow is needed.
    """
    MotionOptions(stride=stride, policy=policy, reading=reading, camera=camera).check(str(video))
    with open_video(video, vectors=False) as opened:
        has_vectors = opened.exports_vectors
    every = stride if policy == "sampled" else 1  # as in a clip: frames between sampled ones are ignored
    first = _first_measured(_every(video, reading, every)) if has_vectors else None
    if first is None:
        yield from _read_in_pieces(video, stride=stride, policy=policy, reading=reading, camera=camera)
        return
    orientation, extent = _first_picture(video)
    unit = stride if counts_whole_steps(reading, policy) else 1
    held = first if reading == "clean" else None
    for piece in _pieces(_every(video, reading, every), stride, held):
        fields = VectorField(np.stack(piece.fields), np.stack(piece.measured))
        aggregated = aggregate_windows(fields, np.array(piece.ends, np.intp), stride=unit, policy=policy)
        motion = remove_camera(MotionField.of(aggregated, "codec", extent), camera)
        yield MotionClip(
            str(video),
            motion.upright(orientation),
            np.array(piece.pts),
            np.array(piece.sampled, np.int64),
            "".join(piece.kinds),
        )


def _every(video: str | Path, reading: Reading, every: int) -> Iterator[FrameMotion]:
    return (frame for frame in iter_cached_motion(video, reading=reading) if frame.index % every == 0)


@dataclass(slots=True)
class _Piece:
    """Fields of frames that follow each other; those at `ends` are sampled."""

    fields: list[npt.NDArray[np.float32]] = field(default_factory=list)
    measured: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)
    pts: list[float] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


def _pieces(fields: Iterator[FrameMotion], stride: int, held: npt.NDArray[np.float32] | None) -> Iterator[_Piece]:
    """Cut the video after sampled frames, so that no window of a piece reaches into the one before.

    Args:
        held: the value of each cell until it is measured; None: gaps are not filled.
    """
    piece = _Piece()
    for frame in fields:
        if held is None:
            piece.fields.append(frame.field.vectors)
        else:
            held = np.where(_known(frame)[..., None], frame.field.vectors, held)
            piece.fields.append(held)
        piece.measured.append(frame.field.valid)
        if frame.index % stride:
            continue
        piece.ends.append(len(piece.fields) - 1)
        piece.sampled.append(frame.index)
        piece.pts.append(frame.pts_seconds)
        piece.kinds.append(frame.picture_type)
        if len(piece.fields) >= _FRAMES:
            yield piece
            piece = _Piece()
    if piece.ends:
        yield piece


def _known(frame: FrameMotion) -> npt.NDArray[np.bool_]:
    known: npt.NDArray[np.bool_] = smoothed_support(frame.field.valid[None])[0]
    return known


def _first_measured(fields: Iterator[FrameMotion]) -> npt.NDArray[np.float32] | None:
    """The value of each cell before its first measurement, float32 (gh, gw, 2); None for a video without any measurement.

    Reads until every cell is measured, usually to the second frame of the video.
    """
    held = seen = None
    for frame in fields:
        if held is None or seen is None:
            held, seen = np.zeros_like(frame.field.vectors), np.zeros_like(frame.field.valid)
        new = _known(frame) & ~seen
        held[new] = frame.field.vectors[new]
        seen |= new
        if seen.all():
            break
    return held if seen is not None and seen.any() else None


def _first_picture(video: str | Path) -> tuple[Orientation, tuple[int, int]]:
    """The orientation and (height, width) of the coded pictures."""
    with open_video(video, vectors=False) as opened:
        picture = next(decode_all(opened))
        return Orientation.of(picture, opened.name), (picture.height, picture.width)


def _read_in_pieces(
    video: str | Path, *, stride: int, policy: Policy, reading: Reading, camera: CameraModel
) -> Iterator[MotionClip]:
    """Motion that an estimator measures, one clip after another."""
    frames = max(_FRAMES // stride, 2)  # with one alone, the first frame of the video would have no value to hold
    with VideoReader(video) as reader:
        for start in range(0, read_video_info(video).frames, frames * stride):
            clip = reader.read_motion(
                start=start, frames=frames, stride=stride, motion="auto", policy=policy, reading=reading, camera=camera
            )
            new = np.diff(clip.frame_indices, prepend=-1) > 0  # the last clip repeats its last frame
            motion = replace(clip.motion, vectors=clip.motion.vectors[new], valid=clip.motion.valid[new])
            kinds = "".join(kind for kind, kept in zip(clip.picture_types, new.tolist(), strict=True) if kept)
            yield MotionClip(clip.path, motion, clip.pts_seconds[new], clip.frame_indices[new], kinds)
