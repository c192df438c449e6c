"""A figure as a list of shapes: words, lines, polygons and pictures at places in pixels, from the upper left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from mgm.show.font import label_font
from mgm.show.style import LABEL, THEMES, Ground, Mark, Rgb, Theme

Align = Literal["left", "middle", "right"]
Upright = Literal["top", "middle", "bottom", "baseline"]
Point = tuple[float, float]

_RISE: Final[dict[Upright, float]] = {"top": 0.74, "middle": 0.35, "bottom": -0.24, "baseline": 0.0}
"""From a word's place to its baseline, in heights of the font."""


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text; (x, y) is on its baseline. turned: read from below to above."""

    x: float
    y: float
    text: str
    size: float
    colour: Rgb
    align: Align
    turned: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """Straight lines through points; with `fill`, the polygon that they bound. width 0: no line."""

    points: tuple[Point, ...]
    colour: Rgb
    width: float
    fill: Rgb | None
    dashed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels uint8 (H, W, 3) or (H, W, 4) in a box. smooth: interpolated, else each pixel is a sharp square."""

    x: float
    y: float
    width: float
    height: float
    pixels: npt.NDArray[np.uint8]
    smooth: bool


Shape = Words | Lines | Picture


@dataclass(slots=True)
class Drawing:
    """A figure of a size in pixels; its shapes are drawn in their order.

    Attributes:
        title: what the figure is, for readers who cannot see it.
        ground: "light" or "dark".
    """

    width: float
    height: float
    title: str = ""
    ground: Ground = "light"
    shapes: list[Shape] = field(default_factory=list)

    @property
    def theme(self) -> Theme:
        """The colours of the ground."""
        return THEMES[self.ground]

    @property
    def words(self) -> list[str]:
        """All texts, in the order in which they were drawn."""
        return [shape.text for shape in self.shapes if isinstance(shape, Words)]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, in the order in which they were drawn."""
        return [shape for shape in self.shapes if isinstance(shape, Picture)]

    def text(
        self,
        place: Point,
        text: str,
        *,
        size: float = LABEL,
        colour: Rgb | None = None,
        align: Align = "left",
        upright: Upright = "middle",
        turned: bool = False,
    ) -> None:
        """Write a line of text whose `align` and `upright` part is at `place`. colour: default the ink of the theme."""
        x, y = place
        rise = _RISE[upright] * size
        at = (x + rise, y) if turned else (x, y + rise)
        self.shapes.append(Words(*at, text, size, colour or self.theme.ink, align, turned))

    def line(self, points: Sequence[Point], *, colour: Rgb, width: float = 1.5, dashed: bool = False) -> None:
        """Draw lines from point to point."""
        self.shapes.append(Lines(tuple(points), colour, width, None, dashed))

    def polygon(self, points: Sequence[Point], *, fill: Rgb, outline: Rgb | None = None, width: float = 1.0) -> None:
        """Fill a polygon."""
        self.shapes.append(Lines(tuple(points), outline or fill, width if outline else 0, fill, False))

    def box(self, place: Point, size: Point, *, fill: Rgb) -> None:
        """Fill a box of a width and height."""
        (x, y), (w, h) = place, size
        self.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], fill=fill)

    def frame(self, place: Point, size: Point, *, colour: Rgb, width: float) -> None:
        """Outline a box."""
        (x, y), (w, h) = place, size
        self.line([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)], colour=colour, width=width)

    def picture(self, place: Point, size: Point, pixels: npt.NDArray[np.uint8], *, smooth: bool = True) -> None:
        """Place pixels in a box of a width and height."""
        self.shapes.append(Picture(*place, *size, pixels, smooth))

    def mark(self, place: Point, kind: Mark, *, colour: Rgb, radius: float = 5.5, hollow: bool = False) -> None:
        """A mark of a series around a place. hollow: only its outline."""
        x, y = place
        if kind == "cross":
            for sign in (-1, 1):
                self.line([(x - radius, y - sign * radius), (x + radius, y + sign * radius)], colour=colour, width=2.5)
            return
        corners, turn, grow = {
            "circle": (24, 0.0, 1.0),
            "square": (4, math.pi / 4, 1.25),
            "triangle": (3, -math.pi / 2, 1.3),
            "diamond": (4, 0.0, 1.3),
        }[kind]
        angles = [turn + 2 * math.pi * k / corners for k in range(corners)]
        points = [(x + grow * radius * math.cos(a), y + grow * radius * math.sin(a)) for a in angles]
        self.polygon(points, fill=self.theme.ground if hollow else colour, outline=colour, width=2)


def text_width(text: str, size: float) -> float:
    """The width of a line of text in pixels."""
    return label_font(100).getlength(text) * size / 100
