"""Estimate motion from pictures: for codecs whose decoders export no vectors, and to compare vectors with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.motion.field import CELL_PIXELS, VectorField
from mgm.video.motion.names import EstimatorName, PixelFormat

Preset = Literal["ultrafast", "fast", "medium"]

_SHORTEST_SIDE = 32
"""Pictures are padded to this side: OpenCV's DIS dies of a segmentation fault if one side is shorter and the other much longer."""

_FINEST_LEVEL_SIDE = 50
"""Flow is refined down to the last pyramid level whose shorter side has this many pixels, or to the preset's own level if that is
finer. The preset's own level alone is too coarse for small pictures: a patch spans a fifth of them, and the motion of zooms and
small objects comes out too short."""


@runtime_checkable
class MotionEstimator(Protocol):
    """Estimates motion between two pictures. Any object with these members is one."""

    @property
    def name(self) -> EstimatorName:
        """Value of `MotionField.source`."""
        ...

    @property
    def pixel_format(self) -> PixelFormat:
        """Of the pictures: "gray" for uint8 (h, w), or "rgb24" for uint8 (h, w, 3)."""
        ...

    @property
    def shrink(self) -> int:
        """Factor by which pictures are shrunk beforehand: 1, 2 or 4. Their sides are those of the coded picture divided by it,
        rounded up."""
        ...

    @property
    def in_pixels(self) -> bool:
        """Whether `between` returns pixels; if not, its values are scaled neither with the picture nor with time."""
        ...

    def between(self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """float32 (h, w, 2): displacement (dx, dy) from `before` to `after` in pixels of these pictures, x to the right, y down.

        Each vector is placed at the pixel of `after` to which its content has moved, as in codecs.
        """
        ...


@dataclass(frozen=True, slots=True)
class DisFlow:
    """Dense optical flow by OpenCV's DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016).

    Attributes:
        preset: of DIS; medium costs about ten times ultrafast.
        shrink: 1, 2 or 4. Half the size costs a quarter of the time.
        finest: last level of the pyramid, 0, 1 or 2: flow is estimated at 1/2^finest of the given picture. None: by the picture's
            size: 0 for a shorter side under 100 px, 1 under 200 px, else the preset's own (2, of medium 1).
    """

    preset: Preset = "ultrafast"
    shrink: int = 2
    finest: int | None = None
    name: ClassVar[EstimatorName] = "flow"
    pixel_format: ClassVar[PixelFormat] = "gray"
    in_pixels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.preset not in get_args(Preset):
            known = ", ".join(get_args(Preset))
            raise VideoError(self.name, f"found preset {self.preset!r}", f"one of {known}", reason="unknown_name")
        if self.finest not in (None, 0, 1, 2):
            raise VideoError(self.name, f"found finest {self.finest!r}", "0, 1, 2 or None", reason="invalid_value")
        _check_shrink(self.name, self.shrink)

    def between(self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """float32 (h, w, 2), displacement in pixels of uint8 (h, w) pictures; see `MotionEstimator`.

        Raises:
            VideoError: OpenCV is missing, or the pictures are not two grey ones of one size.
        """
        opencv = _opencv()
        _check_pair(self.name, before, after)
        height, width = after.shape
        missing = ((0, max(_SHORTEST_SIDE - height, 0)), (0, max(_SHORTEST_SIDE - width, 0)))
        before, after = (_padded(picture, missing) for picture in (before, after))
        presets = {
            "ultrafast": opencv.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            "fast": opencv.DISOPTICAL_FLOW_PRESET_FAST,
            "medium": opencv.DISOPTICAL_FLOW_PRESET_MEDIUM,
        }
        # One object per call: it keeps buffers, so that threads must not share it. Creating it costs some microseconds.
        estimator = opencv.DISOpticalFlow.create(presets[self.preset])
        by_size = max((min(height, width) // _FINEST_LEVEL_SIDE).bit_length() - 1, 0)
        finest = min(estimator.getFinestScale(), by_size) if self.finest is None else self.finest
        estimator.setFinestScale(finest)
        # DIS places flow at the pixels of its first picture: backward flow of `after`, negated, is forward flow at `after`.
        back: npt.NDArray[np.float32] = estimator.calc(after, before, None)
        return -back[:height, :width]


@dataclass(frozen=True, slots=True)
class LumaDifference:
    """The absolute difference of luma: where the picture changed, without a direction. Needs no other package.

    Only the `magnitude` of such a field has a meaning; its unit is grey levels, 0..255. Moving objects leave a ghost at their old
    place.

    Attributes:
        shrink: 1, 2 or 4; small pictures have less noise.
    """

    shrink: int = 4
    name: ClassVar[EstimatorName] = "difference"
    pixel_format: ClassVar[PixelFormat] = "gray"
    in_pixels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_shrink(self.name, self.shrink)

    def between(self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """float32 (h, w, 2) of uint8 (h, w) pictures: [..., 0] the difference in grey levels, [..., 1] zero.

        Raises:
            VideoError: the pictures are not two grey ones of one size.
        """
        _check_pair(self.name, before, after)
        change = np.zeros((*after.shape, 2), np.float32)
        change[..., 0] = np.maximum(before, after) - np.minimum(before, after)
        return change


def make_estimator(name: str) -> MotionEstimator:
    """The estimator named "flow" or "difference", with its defaults.

    Raises:
        VideoError: another name, or OpenCV is missing for "flow".
    """
    if name == "flow":
        _opencv()  # fails before any picture is decoded
        return DisFlow()
    if name == "difference":
        return LumaDifference()
    if name == "raft":
        raise VideoError(
            "motion",
            "'raft' needs weights",
            "an estimator",
            "pass mgm.flow.raft.RaftEstimator(weights)",
            reason="missing_value",
        )
    raise VideoError("motion", f"found {name!r}", "flow or difference, the estimators by name", reason="unknown_name")


def to_cells(
    flow: npt.NDArray[np.float32], shrink: int, grid: tuple[int, int], *, in_pixels: bool = True
) -> npt.NDArray[np.float32]:
    """The mean over each cell of 8 x 8 coded pixels, float32 (rows, columns, 2), in pixels of the coded picture.

    Args:
        flow: float32 (h, w, 2) of the picture at 1/shrink of the coded size. The last cells average the pixels that they have.
        grid: (rows, columns) of the coded picture, see `mgm.video.motion.field.grid_shape`.
        in_pixels: False keeps the unit of the values.

    Raises:
        VideoError: the grid is not that of the picture.
    """
    side = CELL_PIXELS // shrink
    starts: list[npt.NDArray[np.intp]] = []
    sizes: list[npt.NDArray[np.float32]] = []
    for length, cells in zip(flow.shape[:2], grid, strict=True):
        if not max(cells * side - side, 1) <= length <= cells * side:
            raise VideoError(
                "flow",
                f"found {flow.shape[1]} x {flow.shape[0]} pixels at 1/{shrink}",
                f"the size of {grid[1]} x {grid[0]} cells of {side} pixels",
                f"shrink pictures to 1/{shrink} of the coded size, rounded up",
                reason="mismatch",
            )
        # A picture whose size was rounded down may end at the start of the last cell, which then takes the last pixel.
        start = np.minimum(np.arange(cells) * side, length - 1)
        starts.append(start)
        sizes.append(np.maximum(np.diff(start, append=length), 1).astype(np.float32))
    rows = np.add.reduceat(flow, starts[0], axis=0)
    total: npt.NDArray[np.float32] = np.add.reduceat(rows, starts[1], axis=1)
    area = sizes[0][:, None] * sizes[1][None, :]
    scale = np.float32(shrink if in_pixels else 1)
    return total * (scale / area)[..., None]


def needed_pictures(wanted: npt.NDArray[np.int64], stride: int | npt.NDArray[np.int64]) -> set[int]:
    """Numbers of the frames whose pictures `PairwiseMotion` needs for the sampled frames `wanted`.

    Args:
        stride: one for all, or one for each sampled frame.
    """
    before = np.maximum(wanted - stride, 0)
    return {number for pair in zip(wanted.tolist(), before.tolist(), strict=True) if pair[0] > 0 for number in pair}


class PairwiseMotion:
    """The motion of sampled frames, each since the frame one stride before it, estimated as the pictures arrive.

    Sampled frames before frame `stride` are compared with frame 0, and their motion, if in pixels, is scaled to a whole stride.
    Frame 0 has no frame before it: it is not valid, and takes the field of the next sampled frame, or zero without one.

    Args:
        stride: distance between sampled frames in frames, or by the number of each sampled frame.
        grid: (rows, columns) of 8-px cells of the coded picture; None: set it before the first picture.
    """

    def __init__(
        self, estimator: MotionEstimator, stride: int | Mapping[int, int], grid: tuple[int, int] | None = None
    ) -> None:
        self.estimator, self.grid = estimator, grid
        self._strides = stride if isinstance(stride, Mapping) else None
        self._longest = max(stride.values()) if isinstance(stride, Mapping) else stride
        self._pictures: dict[
            int, npt.NDArray[np.uint8]
        ] = {}  # of the last stride only: a long video would fill the memory
        self._fields: dict[int, npt.NDArray[np.float32]] = {}

    def add(self, number: int, picture: npt.NDArray[np.uint8]) -> None:
        """Accept the picture of a frame in the estimator's format, in display order; see `needed_pictures`."""
        stride = self._longest if self._strides is None else self._strides.get(number, 0)
        before = max(number - stride, 0)
        if number > 0 and stride and before in self._pictures:
            assert self.grid is not None
            in_pixels = self.estimator.in_pixels
            flow = self.estimator.between(self._pictures[before], picture)
            field = to_cells(flow, self.estimator.shrink, self.grid, in_pixels=in_pixels)
            self._fields[number] = field * np.float32(stride / (number - before) if in_pixels else 1)
        self._pictures = {n: p for n, p in self._pictures.items() if n > number - self._longest} | {number: picture}

    def field(self, wanted: npt.NDArray[np.int64]) -> VectorField:
        """(T, rows, columns) of the sampled frames `wanted`, int64 (T,), in pixels of the coded picture per stride.

        Numbers may repeat.

        Raises:
            VideoError: a picture that is needed was not added.
        """
        assert self.grid is not None
        numbers, positions = np.unique(wanted, return_inverse=True)
        fields = np.zeros((len(numbers), *self.grid, 2), np.float32)
        for position, number in enumerate(numbers.tolist()):
            if number > 0:
                if number not in self._fields:
                    raise self._missing_picture(number)
                fields[position] = self._fields[number]
        measured = numbers > 0
        if not measured[0] and len(numbers) > 1:
            fields[0] = fields[1]
        valid = np.broadcast_to(measured[positions][:, None, None], (len(wanted), *self.grid)).copy()
        return VectorField(fields[positions], valid)

    def _missing_picture(self, number: int) -> VideoError:
        stride = self._longest if self._strides is None else self._strides[number]
        return VideoError(
            "motion",
            f"frame {max(number - stride, 0)} or {number} was not decoded",
            "both, to estimate the motion between them",
            "the stream is damaged: repair it with 'ffmpeg -err_detect ignore_err -i IN OUT'",
            reason="damaged",
        )


def pairwise_field(
    estimator: MotionEstimator,
    pictures: Mapping[int, npt.NDArray[np.uint8]],
    wanted: npt.NDArray[np.int64],
    stride: int,
    grid: tuple[int, int],
) -> VectorField:
    """`PairwiseMotion` of pictures that are decoded already, by frame number: for decoders of your own."""
    motion = PairwiseMotion(estimator, stride, grid)
    for number in sorted(needed_pictures(wanted, stride)):
        motion.add(number, pictures[number])
    return motion.field(wanted)


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise VideoError.missing_package("motion 'flow'", "opencv-python-headless", extra="flow") from error
    module: ModuleType = cv2
    return module


def _padded(picture: npt.NDArray[np.uint8], missing: tuple[tuple[int, int], tuple[int, int]]) -> npt.NDArray[np.uint8]:
    """The picture with repeated edges, contiguous in memory: DIS refuses strided views, which decoders return."""
    wide = np.pad(picture, missing, mode="edge") if missing != ((0, 0), (0, 0)) else picture
    return np.ascontiguousarray(wide)


def _check_shrink(name: str, shrink: int) -> None:
    if shrink not in (1, 2, 4):
        raise VideoError(name, f"found shrink {shrink!r}", "1, 2 or 4", reason="invalid_value")


def _check_pair(name: str, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> None:
    if before.shape != after.shape or after.ndim != 2 or {before.dtype, after.dtype} != {np.dtype(np.uint8)}:
        raise VideoError(
            name,
            f"found pictures {before.dtype} {before.shape} and {after.dtype} {after.shape}",
            "two uint8 (h, w) of one size",
            "decode them as gray",
            reason="invalid_shape",
        )
