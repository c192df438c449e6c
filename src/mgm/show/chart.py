"""Charts as drawings: points and lines over two axes, with units on both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mgm.show.drawing.shapes import Drawing, Point, text_width
from mgm.show.sheet import MARGIN, draw_heading
from mgm.show.style import LABEL, MARKS, SMALL, Ground, Mark, Rgb, Theme
from mgm.show.ticks import ticks_around

_LEFT: Final = 66
_FOOT: Final = 52
_GAP: Final = 30


@dataclass(frozen=True, slots=True)
class Series:
    """Values that belong together.

    Attributes:
        points: (x, y); several are joined by a line in their order.
        colour: number of a colour of the theme; equal numbers are drawn alike. None: grey, for what others are compared with.
        intervals: low and high of each point; empty: none.
        mark: None: a line alone, without an entry in the key.
        hollow: an outline instead of a filled mark.
    """

    name: str
    points: tuple[Point, ...]
    colour: int | None
    mark: Mark | None = "circle"
    intervals: tuple[tuple[float, float], ...] = ()
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes.

    Attributes:
        x_ticks: values named on the x axis; empty: chosen here.
        notes: small print below the key.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_ticks: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def draw_charts(
    panels: Sequence[Panel],
    *,
    title: str,
    facts: Sequence[str] = (),
    size: Point = (430, 300),
    ground: Ground = "light",
) -> Drawing:
    """Panels side by side, each of `size` pixels with a key of its series below it."""
    width = MARGIN * 2 + len(panels) * (size[0] + _LEFT + _GAP) - _GAP
    drawing = Drawing(width, 0, title, ground)
    top = draw_heading(drawing, title, facts)
    bottoms = []
    for number, panel in enumerate(panels):
        left = MARGIN + number * (size[0] + _LEFT + _GAP) + _LEFT
        bottoms.append(_draw_panel(drawing, panel, (left, top), size))
    drawing.height = max(bottoms) + MARGIN
    return drawing


def _draw_panel(drawing: Drawing, panel: Panel, place: Point, size: Point) -> float:
    theme = drawing.theme
    (left, top), (wide, high) = place, size
    if panel.title:
        drawing.text((left, top), panel.title, upright="top")
        top += LABEL + 12
    x_low, x_high, x_named = _range([x for s in panel.series for x, _ in s.points], panel.x_ticks)
    heights = [y for s in panel.series for _, y in s.points]
    heights += [end for s in panel.series for interval in s.intervals for end in interval]
    y_named = ticks_around(min(heights), max(heights))
    y_low, y_high = y_named[0], y_named[-1]

    def at(x: float, y: float) -> Point:
        """The place of a value in the drawing."""
        return (
            left + wide * (x - x_low) / (x_high - x_low),
            top + high * (1 - (y - y_low) / (y_high - y_low)),
        )

    for y in y_named:
        drawing.line([at(x_low, y), at(x_high, y)], colour=theme.grid, width=1)
        drawing.text((left - 8, at(x_low, y)[1]), f"{y:g}", size=SMALL, colour=theme.faint, align="right")
    for x in x_named:
        drawing.line([at(x, y_low), (at(x, y_low)[0], top + high + 5)], colour=theme.faint, width=1)
        drawing.text(
            (at(x, y_low)[0], top + high + 8), f"{x:g}", size=SMALL, colour=theme.faint, align="middle", upright="top"
        )
    drawing.line([(left, top), (left, top + high), (left + wide, top + high)], colour=theme.faint, width=1.2)
    drawing.text((left + wide / 2, top + high + 28), panel.x_label, align="middle", upright="top")
    drawing.text((left - 46, top + high / 2), panel.y_label, align="middle", turned=True)
    for series in panel.series:
        _draw_series(drawing, series, [at(x, y) for x, y in series.points], at)
    bottom = _draw_series_key(drawing, panel.series, (left, top + high + _FOOT + 6), wide)
    for note in panel.notes:
        drawing.text((left, bottom), note, size=SMALL, colour=theme.faint, upright="top")
        bottom += 16
    return bottom


def _range(values: Iterable[float], named: Sequence[float]) -> tuple[float, float, Sequence[float]]:
    """Ends of the x axis with room for marks, and the values to name."""
    inside = [*values, *named]
    low, high = min(inside), max(inside)
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    if not named and low == high:
        named = [low]  # round values around it may all lie beside the axis
    elif not named:
        named = [tick for tick in ticks_around(low, high) if low - room <= tick <= high + room]
    return low - room, high + room, named


_At = Callable[[float, float], Point]
"""From values to a place."""


def _draw_series(drawing: Drawing, series: Series, places: list[Point], at: _At) -> None:
    colour = _colour(series, drawing.theme)
    if len(places) > 1:
        drawing.line(places, colour=colour, width=2, dashed=series.hollow)
    for (x, _), (low, high), (middle, _) in zip(series.points, series.intervals, places, strict=False):
        ends = at(x, low)[1], at(x, high)[1]
        drawing.line([(middle, ends[0]), (middle, ends[1])], colour=colour, width=1.5)
        for end in ends:
            drawing.line([(middle - 4, end), (middle + 4, end)], colour=colour, width=1.5)
    if series.mark is not None:
        for place in places:
            drawing.mark(place, series.mark, colour=colour, hollow=series.hollow)


def _draw_series_key(drawing: Drawing, series: Sequence[Series], place: Point, wide: float) -> float:
    (left, y), x = place, place[0]
    named = [one for one in series if one.mark is not None]
    for one in named:
        needed = 20 + text_width(one.name, SMALL) + 18
        if x > left and x + needed > left + wide:
            x, y = left, y + 19
        colour = _colour(one, drawing.theme)
        drawing.mark((x + 6, y + 6), one.mark or "circle", colour=colour, radius=5, hollow=one.hollow)
        drawing.text((x + 18, y + 6), one.name, size=SMALL, colour=drawing.theme.faint)
        x += needed
    return y + 24 if named else y


def _colour(series: Series, theme: Theme) -> Rgb:
    return theme.faint if series.colour is None else theme.series[series.colour % len(theme.series)]


def mark_of(number: int) -> Mark:
    """The mark of a series that is told apart by it."""
    return MARKS[number % len(MARKS)]
