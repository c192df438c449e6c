"""A video with its motion drawn on it, frame by frame, as a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mgm.errors import VideoError
from mgm.files.atomic import refuse_to_replace
from mgm.show.figures import LUMA, direction_colour
from mgm.show.font import label_font
from mgm.show.panels import watchable_rate
from mgm.show.style import ARROW, SHADOW, THEMES, Rgb
from mgm.video.clip.rgb import FrameConverter
from mgm.video.clip.whole_video import MotionTotals, motion_chunks
from mgm.video.container.orientation import Orientation
from mgm.video.container.stream import decode_all, open_video
from mgm.video.motion.field import CELL_PIXELS
from mgm.video.motion.names import Reading
from mgm.video.transcode.write import write_video

Style = Literal["arrows", "wheel"]
RgbImage = npt.NDArray[np.uint8]

SHORT_SIDE = 480
"""Pixels; smaller videos are enlarged by a whole number to at least this, so that arrows and words have room."""

_BAR, _INK, _FAINT_INK = THEMES["dark"].ground, THEMES["dark"].ink, THEMES["dark"].faint
_HELD_OPACITY = 0.5
_SHORTEST = 9  # pixels at a shorter side of 480; a shorter arrow is all head
_FINE = 3  # Pillow's shapes have jagged edges, so they are drawn larger and shrunk


def overlay_video(
    video: str | Path,
    out: str | Path,
    style: Style = "arrows",
    *,
    reading: Reading = "clean",
    full_scale: float | None = None,
) -> MotionTotals:
    """Write an .mp4 (H.264) of a video with the motion of each frame since the one before, upright, with a legend below.

    "arrows": the mean of a few cells each, pointing to the destination of the content, longer than the motion by a factor shown
    in the legend. "wheel": each cell in the colour of its direction, as in all figures, denser for faster motion, over the frame in
    grey. Vectors filled in from another frame are faint. Frames are shown at the video's mean rate; videos with a shorter side
    under 480 px are enlarged.

    Args:
        out: ends in .mp4; appears when it is complete.
        reading: see `mgm.read_clip`.
        full_scale: pixels of the coded frame per frame that are drawn at full length or colour. None: the 99th percentile of
            the video, 1 px at least, which costs a pass over its motion beforehand.

    Returns:
        Totals of the motion.

    Raises:
        VideoError: unreadable video, unknown style or another suffix.
        FileError: `out` cannot be written.
        DataError: the frames cannot be encoded.
    """
    out = Path(out)
    if out.suffix.lower() != ".mp4":
        raise VideoError.wrong_suffix(out, (".mp4",))
    refuse_to_replace(out, video)
    if style not in get_args(Style):
        raise VideoError(out, f"style is {style!r}", f"one of {', '.join(get_args(Style))}", reason="unknown_name")
    if full_scale is None:
        before = MotionTotals()
        for chunk in motion_chunks(video, reading=reading):
            before.add(chunk.motion)
        full_scale = max(before.p99, 1.0)
    totals = MotionTotals()
    with open_video(video, vectors=False) as opened:
        rate = watchable_rate(opened.stream.average_rate or 25)
    write_video(
        out, _frames(video, style, reading, full_scale, totals), fps=rate, options={"crf": 18, "preset": "fast"}
    )
    return totals


def _frames(
    video: str | Path, style: Style, reading: Reading, full_scale: float, totals: MotionTotals
) -> Iterator[RgbImage]:
    pictures = upright_pictures(video)
    painter: _Arrows | _Wheel | None = None
    for chunk in motion_chunks(video, reading=reading):
        totals.add(chunk.motion)
        motion = chunk.motion
        # The two passes end together, unless an edit list hides frames from one of them.
        for vectors, valid, seconds, picture in zip(
            motion.vectors, motion.valid, chunk.pts_seconds, pictures, strict=False
        ):
            if painter is None:
                make = _Arrows if style == "arrows" else _Wheel
                painter = make(picture.shape[:2], motion.extent, full_scale)
                bar = _Bar(picture.shape[1], painter)
            yield np.concatenate([painter.draw(picture, vectors, valid), bar.at(seconds)])


def upright_pictures(video: str | Path) -> Iterator[RgbImage]:
    """Every frame uint8 (H, W, 3) upright, enlarged if small, with even sides."""
    with open_video(video, vectors=False) as opened:
        convert: FrameConverter | None = None
        for frame in decode_all(opened):
            if convert is None:
                height, width = Orientation.of(frame, opened.name).shape(frame.height, frame.width)
                factor = -(-SHORT_SIDE // min(height, width))
                size = (height * factor // 2 * 2, width * factor // 2 * 2)
                convert = FrameConverter(size=size, crop=None, name=opened.name)
            yield convert(frame)


class _Arrows:
    """Arrows over a picture of `size` that shows `extent`, both (height, width)."""

    def __init__(self, size: tuple[int, int], extent: tuple[int, int], full_scale: float) -> None:
        self.unit = min(size) / SHORT_SIDE
        self._size = size
        self._to_picture = np.array([size[1] / extent[1], size[0] / extent[0]])
        self._every = max(round(30 * self.unit / (CELL_PIXELS * float(self._to_picture.min()))), 1)
        self._spacing = self._every * CELL_PIXELS * float(self._to_picture.min())
        self._gain = 1.5 * self._spacing / (full_scale * float(self._to_picture.min()))

    def draw(self, picture: RgbImage, vectors: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> RgbImage:
        """`picture` with the field (gh, gw, 2) on it."""
        mean, share = _blocks(vectors, valid, self._every)
        rows, columns = share.shape
        place = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1) + 0.5
        centre = place * self._every * CELL_PIXELS * self._to_picture
        arrow = mean * self._to_picture * self._gain
        length = np.hypot(arrow[..., 0], arrow[..., 1])
        arrow *= np.minimum(1, 2.5 * self._spacing / np.maximum(length, 1e-6))[..., None]
        shown = length >= _SHORTEST * self.unit
        shown &= (centre < self._size[::-1]).all(axis=-1)
        image = Image.fromarray(picture)
        for of, colour, opacity in (
            (shown & (share < 0.5), ARROW, _HELD_OPACITY),
            (shown & (share >= 0.5), ARROW, 1.0),
        ):
            outlines = [_outline(c, a, self.unit) for c, a in zip(centre[of], arrow[of], strict=True)]
            _paint(image, outlines, colour, opacity, self.unit)
        return np.asarray(image)

    def legend(self, bar: Image.Image, left: float) -> None:
        """Draw the legend of the arrows from `left` on."""
        middle = bar.height / 2
        per_pixel = float(self._to_picture.min()) * self._gain
        pixels = _round_number(46 * self.unit / per_pixel)
        pen, font = ImageDraw.Draw(bar), label_font(round(15 * self.unit))
        entries = (
            (pixels * per_pixel, ARROW, 1.0, f"{pixels:g} px per frame"),
            (24 * self.unit, ARROW, _HELD_OPACITY, "not measured, filled in"),
        )
        for length, colour, opacity, words in entries:
            centre = np.array([left + length / 2, middle])
            _paint(bar, [_outline(centre, np.array([length, 0.0]), self.unit)], colour, opacity, self.unit)
            left += length + 10 * self.unit
            pen.text((left, middle), words, fill=_INK, font=font, anchor="lm")
            left += font.getlength(words) + 26 * self.unit

    def bar_height(self) -> int:
        """Pixels, even."""
        return round(20 * self.unit) * 2


class _Wheel:
    """Colours over a picture of `size` that shows `extent`, both (height, width)."""

    def __init__(self, size: tuple[int, int], extent: tuple[int, int], full_scale: float) -> None:
        self.unit = min(size) / SHORT_SIDE
        self._size = size
        self._extent = extent
        self._full_scale = full_scale

    def draw(self, picture: RgbImage, vectors: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> RgbImage:
        """`picture` with the field (gh, gw, 2) on it."""
        height, width = self._extent
        colour, opacity = wheel_colour(vectors / np.float32(self._full_scale))
        opacity *= np.where(valid, 1.0, _HELD_OPACITY)
        # Colours weighted by their opacity, so that those of still cells do not bleed into moving ones.
        planes = np.concatenate([colour * opacity[..., None], opacity[..., None]], axis=-1)
        box = (0, 0, width / CELL_PIXELS, height / CELL_PIXELS)
        grown = [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(planes[..., k], np.float32)).resize(
                    self._size[::-1], Image.Resampling.BILINEAR, box=box
                )
            )
            for k in range(4)
        ]
        grey = picture @ LUMA.astype(np.float32)
        ground = (0.85 * grey + 10)[..., None] * (1 - grown[3][..., None])
        painted: RgbImage = (ground + np.stack(grown[:3], axis=-1)).clip(0, 255).round().astype(np.uint8)
        return painted

    def legend(self, bar: Image.Image, left: float) -> None:
        """Draw the legend of the colours from `left` on."""
        side = round(bar.height * 0.84)
        top = (bar.height - side) // 2
        bar.paste(Image.fromarray(wheel(side)), (round(left), top), _disc(side))
        pen, font = ImageDraw.Draw(bar), label_font(round(15 * self.unit))
        left += side + 14 * self.unit
        rows = (f"rim: {self._full_scale:.2g} px per frame", "half as dense: not measured, filled in")
        for row, words in enumerate(rows):
            pen.text((left, bar.height * (0.33 + 0.36 * row)), words, fill=_INK, font=font, anchor="lm")

    def bar_height(self) -> int:
        """Pixels, even."""
        return round(33 * self.unit) * 2


class _Bar:
    """The strip below the frames: legend at the left, time at the right."""

    def __init__(self, width: int, painter: _Arrows | _Wheel) -> None:
        self._unit = painter.unit
        self._still = Image.new("RGB", (width, painter.bar_height()), _BAR)
        painter.legend(self._still, 14 * self._unit)

    def at(self, seconds: float) -> RgbImage:
        """The strip of a frame, uint8 (h, W, 3)."""
        bar = self._still.copy()
        if np.isfinite(seconds):
            place = (bar.width - 14 * self._unit, bar.height / 2)
            font = label_font(round(15 * self._unit))
            ImageDraw.Draw(bar).text(place, f"{seconds:.2f} s", fill=_FAINT_INK, font=font, anchor="rm")
        return np.asarray(bar)


def wheel(side: int) -> RgbImage:
    """The legend of style "wheel": uint8 (side, side, 3), each place in the colour of the motion from the centre to it, on grey."""
    along = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    colour, opacity = wheel_colour(np.stack(np.meshgrid(along, along), axis=-1))
    mixed: RgbImage = (128 * (1 - opacity[..., None]) + colour * opacity[..., None]).round().astype(np.uint8)
    return mixed


def wheel_colour(motion: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Motion (..., 2), 1 = full scale, to the full colour of its direction (..., 3), 0..255, and its opacity (...), 0..1."""
    speed = np.hypot(motion[..., 0], motion[..., 1])
    direction = motion / np.maximum(speed, np.float32(1e-9))[..., None]
    colour = direction_colour(direction[..., 0], direction[..., 1], "dark")
    return colour.astype(np.float32), (0.8 * np.minimum(speed, 1) ** 0.75).astype(np.float32)


def _blocks(
    vectors: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], every: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(mean (h, w, 2), valid share (h, w)) of squares of `every` x `every` cells.

    The mean of the valid cells if they are at least half of the square, else the mean of all.
    """
    rows, columns = valid.shape
    edges = (np.arange(0, rows, every), np.arange(0, columns, every))

    def total(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sums over the squares; those at the right and lower edge may be smaller."""
        summed: npt.NDArray[np.float64] = np.add.reduceat(np.add.reduceat(values, edges[0], axis=0), edges[1], axis=1)
        return summed

    seen = valid.astype(np.float64)
    count, measured = total(np.ones(valid.shape)), total(seen)
    share = measured / count
    of_valid = total(seen[..., None] * vectors) / np.maximum(measured, 1)[..., None]
    of_all = total(np.asarray(vectors, np.float64)) / count[..., None]
    return np.where((share >= 0.5)[..., None], of_valid, of_all), share


def _outline(centre: npt.NDArray[np.float64], arrow: npt.NDArray[np.float64], unit: float) -> list[tuple[float, float]]:
    """The seven corners of an arrow with its middle at `centre`."""
    length = float(np.hypot(*arrow))
    along = arrow / length
    across = np.array([-along[1], along[0]])
    head = min(9.0 * unit, 0.55 * length)
    half, wing = min(1.3 * unit, 0.2 * head), 0.48 * head
    tail, tip = centre - arrow / 2, centre + arrow / 2
    neck = tip - along * head
    corners = [tail + across * half * 0.5, neck + across * half, neck + across * wing, tip]
    corners += [neck - across * wing, neck - across * half, tail - across * half * 0.5]
    return [(float(x), float(y)) for x, y in corners]


def _paint(
    image: Image.Image, outlines: list[list[tuple[float, float]]], colour: Rgb, opacity: float, unit: float
) -> None:
    """Filled shapes with a dark rim, which keeps them legible on any ground, onto `image`."""
    if not outlines:
        return
    size = (image.width * _FINE, image.height * _FINE)
    for tint, rim, strength in ((SHADOW, 1.4 * unit, 0.65 * opacity), (colour, 0.0, opacity)):
        layer = Image.new("L", size)
        pen = ImageDraw.Draw(layer)
        for outline in outlines:
            corners = [(x * _FINE, y * _FINE) for x, y in outline]
            pen.polygon(corners, fill=255)
            if rim:
                pen.line([*corners, corners[0], corners[1]], fill=255, width=round(2 * rim * _FINE), joint="curve")
        cover = layer.resize(image.size, Image.Resampling.BOX).point([round(k * strength) for k in range(256)])
        image.paste(tint, mask=cover)


def _disc(side: int) -> Image.Image:
    fine = Image.new("L", (side * _FINE, side * _FINE))
    ImageDraw.Draw(fine).ellipse((0, 0, side * _FINE - 1, side * _FINE - 1), fill=255)
    return fine.resize((side, side), Image.Resampling.BOX)


def _round_number(value: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(k * power for k in (1, 2, 5) if k * power <= value * (1 + 1e-9)))
