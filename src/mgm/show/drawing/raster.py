"""A figure as pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from PIL import Image, ImageDraw

from mgm.show.drawing.shapes import Drawing, Lines, Picture, Words
from mgm.show.font import label_font

_FINE: Final = 2
"""Shapes are drawn larger and shrunk: Pillow's have jagged edges."""
_ANCHORS: Final = {"left": "ls", "middle": "ms", "right": "rs"}
_DASH: Final = 6.0


def draw_image(drawing: Drawing, *, scale: float = 1.0) -> Image.Image:
    """The figure as an RGB image of `scale` times its size."""
    fine = scale * _FINE
    size = (round(drawing.width * fine), round(drawing.height * fine))
    image = Image.new("RGB", size, drawing.theme.ground)
    pen = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        if isinstance(shape, Picture):
            _paste(image, shape, fine)
        elif isinstance(shape, Lines):
            _lines(pen, shape, fine)
        elif shape.turned:
            _write_turned(image, shape, fine)
        else:
            font = label_font(round(shape.size * fine))
            place = (shape.x * fine, shape.y * fine)
            pen.text(place, shape.text, fill=shape.colour, font=font, anchor=_ANCHORS[shape.align])
    return image.reduce(_FINE)


def _paste(image: Image.Image, shape: Picture, fine: float) -> None:
    left, top = round(shape.x * fine), round(shape.y * fine)
    size = (max(1, round((shape.x + shape.width) * fine) - left), max(1, round((shape.y + shape.height) * fine) - top))
    filter_ = Image.Resampling.LANCZOS if shape.smooth else Image.Resampling.NEAREST
    picture = Image.fromarray(shape.pixels).resize(size, filter_)
    image.paste(picture, (left, top), picture if picture.mode == "RGBA" else None)


def _lines(pen: ImageDraw.ImageDraw, shape: Lines, fine: float) -> None:
    points = [(x * fine, y * fine) for x, y in shape.points]
    if shape.fill is not None:
        pen.polygon(points, fill=shape.fill)
        points = [*points, points[0]]
    if shape.width:
        width = max(1, round(shape.width * fine))
        for part in _dashes(points, _DASH * fine) if shape.dashed else [points]:
            pen.line(part, fill=shape.colour, width=width, joint="curve")


def _dashes(points: list[tuple[float, float]], length: float) -> list[list[tuple[float, float]]]:
    """Every second piece of `length` along the lines."""
    parts, done = [], 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        whole = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        at = 0.0
        while at < whole:
            step = min(length - done % length, whole - at)
            if int((done + 1e-6) / length) % 2 == 0:
                a, b = at / whole, (at + step) / whole
                parts.append([(x0 + (x1 - x0) * f, y0 + (y1 - y0) * f) for f in (a, b)])
            at, done = at + step, done + step
    return parts


def _write_turned(image: Image.Image, shape: Words, fine: float) -> None:
    font = label_font(round(shape.size * fine))
    left, top, right, bottom = font.getbbox(shape.text, anchor="ls")
    width, height = round(right - left) + 2, round(bottom - top) + 2
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), shape.text, fill=255, font=font, anchor="ls")
    turned = mask.rotate(90, expand=True)
    # The text runs upwards from its place, which is on the baseline at the right of the turned picture.
    back = {"left": 0.0, "middle": 0.5, "right": 1.0}[shape.align] * font.getlength(shape.text)
    x, y = round(shape.x * fine + top - 1), round(shape.y * fine + back - width + 1)
    image.paste(Image.new("RGB", turned.size, shape.colour), (x, y), turned)
