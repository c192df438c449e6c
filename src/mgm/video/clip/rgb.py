"""Decoded pictures to RGB arrays: crop before scaling, turn upright, and the same for the motion field."""

from __future__ import annotations

import operator
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import av.error
import av.filter
import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.kept_memory import KeptMemory
from mgm.spans import span
from mgm.video.clip.interleave import interleave
from mgm.video.clip.options import Box, Crop
from mgm.video.container.orientation import UPRIGHT, Orientation
from mgm.video.container.picture_size import OneSize
from mgm.video.motion.field import MotionField
from mgm.video.motion.names import PixelFormat

_SCALING = "flags=area+accurate_rnd+full_chroma_int"
"""It averages when it shrinks and is bilinear when it grows; without accurate rounding chroma drifts by a step or two."""


@dataclass(slots=True)
class FrameConverter:
    """Crops, scales and converts decoded pictures of one video to RGB; built once per clip, reused for its frames.

    Pictures of another size than the first are scaled to the first, as in a player's window; without a `size` they are an error.

    Args:
        size: side of the square result, or (height, width); None keeps the region's own.
        crop: "centre", a box in pixels of the upright frame, or None (the whole frame).
        name: of the video, for errors.
        orientation: of all pictures; None: that of the first.
        count: number of pictures to be converted, which then share one array, see `together`; 0: each has its own.
    """

    size: int | tuple[int, int] | None
    crop: Crop
    name: str
    orientation: Orientation | None = None
    count: int = 0
    _together: npt.NDArray[np.uint8] | None = field(default=None, init=False)
    _images: list[npt.NDArray[np.uint8]] = field(default_factory=list, init=False)
    _filters: dict[_Kind, _Filter] = field(default_factory=dict, init=False)
    _one_size: OneSize = field(init=False)
    _orientation: Orientation = field(default=UPRIGHT, init=False)

    def __post_init__(self) -> None:
        self._one_size = OneSize(self.name)

    def observe(self, picture: av.video.frame.VideoFrame) -> None:
        """Record the size and orientation of a decoded picture, which `transform_motion` uses."""
        if self._one_size.shape is None:
            self._orientation = self.orientation or Orientation.of(picture, self.name)
        if self._one_size.shape is None or self.size is None:
            self._one_size(picture)

    def __call__(self, picture: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) RGB of a decoded picture."""
        self.observe(picture)
        with span("convert"):
            try:
                return self._convert(picture)
            except av.error.FFmpegError as error:
                raise _not_convertible(self.name, picture, error) from error

    def _convert(self, picture: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
        kind = _kind(picture)
        found = self._filters.get(kind)
        if found is None:
            found = self._filters[kind] = self._filter(picture, kind)
        converted = _pull(found.graph, picture)
        image = self._next_image(self._orientation.shape(converted.height, converted.width))
        if found.planar:
            interleave(converted, image if self._orientation is UPRIGHT else self._orientation.coded(image))
        else:
            image[...] = self._orientation.image(_array(converted))
        return image

    def together(self, images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        """uint8 (T, H, W, 3) of images that `__call__` returned: without a copy where they are all of its `count`, in order."""
        if self._together is None or len(images) != self.count or any(map(operator.is_not, images, self._images)):
            return np.stack(images)
        return self._together

    def _next_image(self, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """An image of `shape` (height, width) to be filled."""
        if len(self._images) >= self.count:
            return np.empty((*shape, 3), np.uint8)
        if self._together is None:
            self._together = _frames.empty((self.count, *shape, 3))
        self._images.append(self._together[len(self._images)])
        return self._images[-1]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the coded pictures, after the first `observe`."""
        assert self._one_size.shape is not None
        return self._one_size.shape

    def transform_motion(self, motion: MotionField) -> MotionField:
        """The motion of the region that the converted frames show, turned like them."""
        with span("transform"):
            region = self.coded_region(motion.extent)
            if region != (0, 0, motion.extent[1], motion.extent[0]):
                motion = motion.crop(region)
            return motion.upright(self._orientation)

    def coded_region(self, shape: tuple[int, int]) -> Box:
        """The region in pixels of the coded (not yet upright) picture."""
        try:
            region = upright_region(*self._orientation.shape(*shape), self.size, self.crop)
        except VideoError as error:
            raise error.about(self.name) from None
        x, y, w, h = self._orientation.coded_box(region, *shape)
        return x - x % 2, y - y % 2, w, h

    def release(self) -> None:
        """Leave the filters to the next converter of this thread: a fiftieth of a clip's time is to build one."""
        _idle.filters = [*self._filters.values(), *_idle.filters][:_MOST_IDLE]
        self._filters = {}

    def _filter(self, picture: av.video.frame.VideoFrame, kind: _Kind) -> _Filter:
        region = self.coded_region(self.shape)
        size = (region[3], region[2]) if self.size is None else self._orientation.shape(*_pair(self.size))
        # Twice as fast as to rgb24, whose last step FFmpeg does not vectorise; a level differs in one value of a thousand.
        pixels = "gbrp" if _is_yuv(picture) else "rgb24"
        purpose = kind, self.shape, region, size, pixels
        for position, idle in enumerate(_idle.filters):
            if idle.purpose == purpose:
                return _idle.filters.pop(position)
        return _Filter(purpose, _graph(picture, self.shape, region, size, pixels), pixels == "gbrp")


@dataclass(frozen=True, slots=True)
class _Filter:
    """A filter, what it was built for, and whether it returns the planes of G, B and R."""

    purpose: tuple[object, ...]
    graph: av.filter.Graph
    planar: bool


_frames = KeptMemory()
_MOST_IDLE = 4


class _Idle(threading.local):
    """The filters of a thread that no converter uses, the latest first."""

    def __init__(self) -> None:
        self.filters: list[_Filter] = []


_idle = _Idle()


@dataclass(frozen=True, slots=True)
class MultiCropConverter:
    """Several regions of the same decoded pictures, each by a `FrameConverter` of its own."""

    regions: tuple[FrameConverter, ...]

    def observe(self, picture: av.video.frame.VideoFrame) -> None:
        """See `FrameConverter.observe`."""
        for region in self.regions:
            region.observe(picture)

    @property
    def observes_all(self) -> bool:
        """Whether `observe` does anything after its first picture."""
        return any(region.size is None for region in self.regions)

    def __call__(self, picture: av.video.frame.VideoFrame) -> tuple[npt.NDArray[np.uint8], ...]:
        """uint8 (H, W, 3) RGB of each region of a decoded picture."""
        return tuple(region(picture) for region in self.regions)

    def release(self) -> None:
        """See `FrameConverter.release`."""
        for region in self.regions:
            region.release()

    @property
    def shape(self) -> tuple[int, int]:
        """See `FrameConverter.shape`."""
        return self.regions[0].shape


@dataclass(slots=True)
class PictureConverter:
    """Shrinks whole decoded pictures for a motion estimator; as coded, not turned upright.

    Args:
        pixels: "gray" gives uint8 (h, w), "rgb24" uint8 (h, w, 3).
        shrink: divisor of the coded picture's sides; they are rounded up.
    """

    pixels: PixelFormat
    shrink: int
    _graphs: dict[_Kind, av.filter.Graph] = field(default_factory=dict, init=False)

    def __call__(self, picture: av.video.frame.VideoFrame, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The shrunk picture, as if it were of `shape` (height, width)."""
        kind = _kind(picture)
        if kind not in self._graphs:
            size = (-(-shape[0] // self.shrink), -(-shape[1] // self.shrink))
            self._graphs[kind] = _graph(picture, shape, (0, 0, shape[1], shape[0]), size, self.pixels)
        return _through(self._graphs[kind], picture)


def _is_yuv(picture: av.video.frame.VideoFrame) -> bool:
    return picture.format.name.startswith("yuv")


_Kind = tuple[int, int, str, int, int]
"""Size, pixel format, matrix and range of the pictures of a filter. A stream may change them, and FFmpeg's scaler keeps the matrix
for a picture without one."""


def _kind(picture: av.video.frame.VideoFrame) -> _Kind:
    return picture.height, picture.width, picture.format.name, picture.colorspace, picture.color_range


def _graph(
    picture: av.video.frame.VideoFrame, shape: tuple[int, int], region: Box, size: tuple[int, int], pixels: str
) -> av.filter.Graph:
    """A filter that crops `region` = (x, y, width, height), scales it to `size` = (height, width) and converts it.

    Args:
        picture: one of those to be filtered.
        shape: (height, width) of the picture that `region` refers to. One of another size is scaled to it before.
    """
    graph = av.filter.Graph()
    # As in decoding: clips are read side by side, and threads for one small picture cost more than they save.
    graph.threads = 1
    nodes = [
        graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=picture.time_base or Fraction(1, 1000),  # raw streams have none; these filters ignore times
        )
    ]
    x, y, width, height = region
    if (picture.height, picture.width) != shape:
        nodes.append(graph.add("scale", f"{shape[1]}:{shape[0]}:{_SCALING}"))
    if region != (0, 0, shape[1], shape[0]):
        nodes.append(graph.add("crop", f"{width}:{height}:{x}:{y}:exact=1"))
    nodes.append(graph.add("scale", f"{size[1]}:{size[0]}:{_SCALING}"))
    nodes.append(graph.add("format", pixels))
    nodes.append(graph.add("buffersink"))
    for before, after in pairwise(nodes):
        before.link_to(after)
    graph.configure()
    return graph


def _through(graph: av.filter.Graph, picture: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
    return _array(_pull(graph, picture))


def _pull(graph: av.filter.Graph, picture: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
    graph.push(picture)
    converted = graph.pull()
    assert isinstance(converted, av.video.frame.VideoFrame)
    return converted


def _array(picture: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(picture.to_ndarray(), np.uint8)


def _not_convertible(name: str, picture: av.video.frame.VideoFrame, error: av.error.FFmpegError) -> VideoError:
    return VideoError(
        name,
        f"FFmpeg cannot convert its pictures ({picture.format.name}, colour matrix {int(picture.colorspace)}) to RGB "
        f"({error.strerror})",
        advice="transcode it to H.264 with ordinary colours",
        reason="unsupported",
    )


def upright_region(height: int, width: int, size: int | tuple[int, int] | None, crop: Crop) -> Box:
    """The region (x, y, width, height) that a result of `size` shows of an upright frame of `height` x `width`."""
    if crop is None or (crop == "centre" and size is None):
        return 0, 0, width, height
    if crop == "centre":
        assert size is not None
        out_height, out_width = _pair(size)
        scale = min(height / out_height, width / out_width)
        h, w = min(height, round(out_height * scale)), min(width, round(out_width * scale))
        return (width - w) // 2, (height - h) // 2, w, h
    x, y, w, h = crop
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
        found = f"crop {crop} (x, y, width, height) does not fit into the frame of {width} x {height} pixels"
        raise VideoError("", found, advice="choose a box inside it", reason="invalid_value")
    return x, y, w, h


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
