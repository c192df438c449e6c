"""Decoded pictures to RGB arrays: crop before scaling, turn upright, and the same for the motion field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import av.error
import av.filter
import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.spans import span
from mgm.video.clip.options import Box, Crop
from mgm.video.container.orientation import UPRIGHT, Orientation
from mgm.video.motion.field import MotionField


@dataclass(slots=True)
class FrameConverter:
    """Crops, scales and converts decoded pictures of one video to RGB; built once per clip, reused for its frames.

    Args:
        size: side of the square result, or (height, width); None keeps the region's own.
        crop: "centre", a box in pixels of the upright frame, or None (the whole frame).
        name: of the video, for errors.
    """

    size: int | tuple[int, int] | None
    crop: Crop
    name: str
    _graph: av.filter.Graph | None = field(default=None, init=False)
    _shape: tuple[int, int] | None = field(default=None, init=False)  # height and width of the coded picture
    _orientation: Orientation = field(default=UPRIGHT, init=False)

    def observe(self, picture: av.video.frame.VideoFrame) -> None:
        """Record the size and orientation of a decoded picture, which `transform_motion` uses."""
        shape = (picture.height, picture.width)
        if shape != self._shape:
            if self._shape is not None:
                before = f"{self._shape[1]}x{self._shape[0]}"
                found = f"the size changes from {before} to {picture.width}x{picture.height} pixels"
                advice = "re-encode it (mgm prepare SRC DST)"
                raise VideoError(self.name, found, "one size", advice, reason="unsupported")
            self._shape = shape
            self._orientation = Orientation.of(picture, self.name)

    def __call__(self, picture: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) RGB of a decoded picture."""
        self.observe(picture)
        with span("convert"), _conversion_errors(self.name, picture):
            if self._graph is None:
                self._graph = self._build(picture)
            return np.ascontiguousarray(self._orientation.image(_through(self._graph, picture)))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the coded pictures, after the first `observe`."""
        assert self._shape is not None
        return self._shape

    def transform_motion(self, motion: MotionField) -> MotionField:
        """The motion of the region that the converted frames show, turned like them."""
        with span("transform"):
            region = self._coded_region(motion.extent)
            if region != (0, 0, motion.extent[1], motion.extent[0]):
                motion = motion.crop(region)
            return motion.upright(self._orientation)

    def _coded_region(self, shape: tuple[int, int]) -> Box:
        """The region in pixels of the coded (not yet upright) picture."""
        try:
            region = upright_region(*self._orientation.shape(*shape), self.size, self.crop)
        except VideoError as error:
            raise error.about(self.name) from None
        x, y, w, h = self._orientation.coded_box(region, *shape)
        return x - x % 2, y - y % 2, w, h

    def _build(self, picture: av.video.frame.VideoFrame) -> av.filter.Graph:
        assert self._shape is not None
        region = self._coded_region(self._shape)
        size = (region[3], region[2]) if self.size is None else self._orientation.shape(*_pair(self.size))
        return _graph(picture, region, size, "rgb24")


@dataclass(frozen=True, slots=True)
class MultiCropConverter:
    """Several regions of the same decoded pictures, each by a `FrameConverter` of its own."""

    regions: tuple[FrameConverter, ...]

    def observe(self, picture: av.video.frame.VideoFrame) -> None:
        """See `FrameConverter.observe`."""
        for region in self.regions:
            region.observe(picture)

    def __call__(self, picture: av.video.frame.VideoFrame) -> tuple[npt.NDArray[np.uint8], ...]:
        """uint8 (H, W, 3) RGB of each region of a decoded picture."""
        return tuple(region(picture) for region in self.regions)

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

    pixels: Literal["gray", "rgb24"]
    shrink: int
    _graph: av.filter.Graph | None = field(default=None, init=False)

    def __call__(self, picture: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
        """The shrunk picture. All pictures of a video must have one size; `FrameConverter.observe` checks that."""
        if self._graph is None:
            size = (-(-picture.height // self.shrink), -(-picture.width // self.shrink))
            self._graph = _graph(picture, (0, 0, picture.width, picture.height), size, self.pixels)
        return _through(self._graph, picture)


def _graph(picture: av.video.frame.VideoFrame, region: Box, size: tuple[int, int], pixels: str) -> av.filter.Graph:
    """A filter that crops `region` = (x, y, width, height), scales it to `size` = (height, width) and converts it."""
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
    if region != (0, 0, picture.width, picture.height):
        nodes.append(graph.add("crop", f"{width}:{height}:{x}:{y}:exact=1"))
    # "area" averages when it shrinks and is bilinear when it grows; without accurate rounding chroma drifts by a step or two.
    nodes.append(graph.add("scale", f"{size[1]}:{size[0]}:flags=area+accurate_rnd+full_chroma_int"))
    nodes.append(graph.add("format", pixels))
    nodes.append(graph.add("buffersink"))
    for before, after in pairwise(nodes):
        before.link_to(after)
    graph.configure()
    return graph


def _through(graph: av.filter.Graph, picture: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
    graph.push(picture)
    converted = graph.pull()
    assert isinstance(converted, av.video.frame.VideoFrame)
    return np.ascontiguousarray(converted.to_ndarray(), np.uint8)


@contextmanager
def _conversion_errors(name: str, picture: av.video.frame.VideoFrame) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        kind = f"{picture.format.name}, colour matrix {int(picture.colorspace)}"
        raise VideoError(
            name,
            f"FFmpeg cannot convert its pictures ({kind}) to RGB ({error.strerror})",
            advice="transcode it to H.264 with ordinary colours, or remove it from the set",
            reason="unsupported",
        ) from error


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
