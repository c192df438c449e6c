"""Make decoded pictures upright, progressive and of one size, as a player shows them; they stay YUV, for an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import av.error
import av.filter
import av.video.frame

from mgm.errors import VideoError
from mgm.video.container.orientation import Orientation
from mgm.video.container.stream import OpenVideo

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_LIMITED_RANGE = 1
_BT601 = 6  # AVCOL_SPC_SMPTE170M: swscale converts RGB to it


class PictureNormaliser:
    """Turns decoded pictures of one video into upright yuv420p of one even size; deinterlaces from the first interlaced picture on.

    Args:
        short_side: of the result in pixels, never more than the source's; 0 keeps the source's.

    Attributes:
        interlaced: whether any picture so far is.
        transposed: whether rows became columns.
        colour_range, matrix: of the result, as FFmpeg numbers them (AVColorRange, AVColorSpace); known after the first picture.
    """

    def __init__(self, video: OpenVideo, short_side: int) -> None:
        self._name = video.name
        self._short_side = short_side
        self._graph: av.filter.Graph | None = None
        self._key: tuple[object, ...] = ()
        self._orientation: Orientation | None = None
        self._size: tuple[int, int] | None = None  # width and height of the result before it is turned upright
        self.interlaced = False
        self.transposed = False
        self.colour_range = 0
        self.matrix = 0

    def normalise(
        self, pictures: Iterator[av.video.frame.VideoFrame], clock: Callable[[av.video.frame.VideoFrame], int]
    ) -> Iterator[tuple[av.video.frame.VideoFrame, int]]:
        """Yield (picture, its time in the units of `clock`) for each of the pictures."""
        waiting: list[int] = []
        for picture in pictures:
            waiting.append(clock(picture))
            self.interlaced = self.interlaced or picture.interlaced_frame
            key = (picture.width, picture.height, picture.format.name, self.interlaced)
            if key != self._key:  # a stream may change its size; the result keeps that of the first picture
                yield from ((shaped, waiting.pop(0)) for shaped in self._drain())
                self._graph, self._key = self._build(picture), key
            assert self._graph is not None
            self._graph.push(picture)
            yield from ((shaped, waiting.pop(0)) for shaped in self._pull())
        yield from ((shaped, waiting.pop(0)) for shaped in self._drain())
        if waiting:
            found = f"{len(waiting)} frames were lost in FFmpeg's filters"
            raise VideoError(self._name, found, "none", "report it with the source", reason="mismatch")

    def _pull(self) -> Iterator[av.video.frame.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                yield cast(av.video.frame.VideoFrame, self._graph.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def _drain(self) -> Iterator[av.video.frame.VideoFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()

    def _build(self, picture: av.video.frame.VideoFrame) -> av.filter.Graph:
        rgb = picture.format.is_rgb
        full = picture.color_range == _FULL_RANGE or picture.format.name.startswith("yuvj")
        orientation = self._orientation = self._orientation or Orientation.of(picture, self._name)
        if self._size is None:
            self._size = _result_size(picture.width, picture.height, self._short_side)
            self.transposed = orientation.transposed
            self.colour_range = _LIMITED_RANGE if rgb else _FULL_RANGE if full else int(picture.color_range)
            self.matrix = _BT601 if rgb else int(picture.colorspace)
        graph = av.filter.Graph()
        graph.threads = 1
        source = {
            "video_size": f"{picture.width}x{picture.height}",
            "pix_fmt": picture.format.name,
            "time_base": "1/1000",  # no filter here uses times
        }
        if not rgb:
            source |= {
                "colorspace": str(int(picture.colorspace)),
                "range": str(_FULL_RANGE if full else int(picture.color_range)),
            }
        nodes = [graph.add("buffer", **source)]
        if self.interlaced:
            nodes.append(graph.add("bwdif", "mode=send_frame:deint=interlaced"))
        range_in = "full" if full or rgb else "limited"
        range_out = "full" if self.colour_range == _FULL_RANGE else "limited"
        width, height = self._size
        nodes.append(
            graph.add(
                "scale",
                f"{width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int+bitexact:in_range={range_in}:out_range={range_out}",
            )
        )
        nodes.append(graph.add("format", "yuv420p"))
        nodes += [graph.add("transpose", "0")] if orientation.transposed else []
        nodes += [graph.add("hflip")] if orientation.mirrored else []
        nodes += [graph.add("vflip")] if orientation.flipped else []
        nodes.append(graph.add("buffersink"))
        for before, after in pairwise(nodes):
            before.link_to(after)
        graph.configure()
        return graph


def _result_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height), even and 2 or more; an odd side loses a pixel, so that no side grows."""
    short = min(width, height)
    if short_side and short > short_side:
        longer = max(width, height) * short_side // (2 * short) * 2
        sides = (short_side, longer) if width < height else (longer, short_side)
        return max(sides[0], 2), max(sides[1], 2)
    return max(width // 2 * 2, 2), max(height // 2 * 2, 2)
