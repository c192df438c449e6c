"""Contact sheets as drawings: rows of one clip's frames, time from left to right, with the key of all that is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from mgm.show.drawing.shapes import Drawing, Point, text_width
from mgm.show.figures import RgbFrames, colour_wheel
from mgm.show.filmstrip import pick_moments
from mgm.show.style import ARROW, BOX, EDGE, FULL_SHARE, HIDDEN, HOT, LABEL, QUERY, SMALL, TITLE, VEIL, Ground, Rgb
from mgm.video import MotionField

MARGIN: Final = 18
GAP: Final = 5
WHEEL: Final = 58
_LINE: Final = 16
_ARROWS_HIGH: Final = 9
"""Arrows along the shorter side of a frame."""


@dataclass(frozen=True, slots=True)
class LegendKey:
    """A colour and what it means; a filled square, a line, or a ramp from the colour to white."""

    words: str
    colour: Rgb
    shape: Literal["fill", "line", "ramp"] = "fill"

    @property
    def width(self) -> int:
        """Of what is drawn beside the words, in pixels."""
        return 56 if self.shape == "ramp" else 14


HIDDEN_KEY: Final = LegendKey("hidden from the encoder", HIDDEN)
VEIL_KEY: Final = LegendKey("hidden tokens, shown through a veil", VEIL)
EDGE_KEY: Final = LegendKey("outline of the hidden region", EDGE, "line")
BOX_KEY: Final = LegendKey("true box", BOX, "line")
HEAT_KEY: Final = LegendKey("attention: the warmer, the more", HOT)
QUERY_KEY: Final = LegendKey("the query token", QUERY, "line")


@dataclass(frozen=True, slots=True, eq=False)
class SheetRow:
    """One row of a sheet.

    Attributes:
        frames: uint8 (T, H, W, 3).
        notes: lines in small print under the label.
        outline: bool (t, h, w), tokens whose region is outlined.
        arrows: a motion field whose directions are drawn.
        boxes: T arrays (n, 4) of x0 y0 x1 y1 in pixels of the frames.
        token: (grid, (t, h, w)), a token to frame at its time.
        end: a picture uint8 (h, w, 3) after the last frame; its pixels are shown as squares.
    """

    label: str
    frames: RgbFrames
    notes: tuple[str, ...] = ()
    outline: npt.NDArray[np.bool_] | None = None
    arrows: MotionField | None = None
    boxes: Sequence[npt.NDArray[np.floating]] | None = None
    token: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None
    end: npt.NDArray[np.uint8] | None = None

    def drawn_keys(self) -> Iterator[LegendKey]:
        """The keys of what is drawn over the frames."""
        if self.outline is not None:
            yield EDGE_KEY
        if self.boxes is not None:
            yield BOX_KEY
        if self.token is not None:
            yield QUERY_KEY


def fixed_scale(extent: tuple[int, int]) -> float:
    """Pixels per step of full colour for a region of (height, width) coded pixels: a tenth of its shorter side, in every sheet."""
    return float(max(1, round(min(extent) * FULL_SHARE)))


def pick_columns(length: int, columns: int) -> npt.NDArray[np.intp]:
    """At most `columns` frames of `length`, evenly spread, first and last included; of one column the middle frame."""
    if columns == 1:
        return np.array([length // 2], np.intp)
    return pick_moments(length, columns)


def draw_sheet(
    rows: Sequence[SheetRow],
    *,
    title: str,
    facts: Sequence[str] = (),
    times: npt.NDArray[np.floating] | None = None,
    columns: int = 8,
    cell_height: int = 112,
    keys: Sequence[LegendKey] = (),
    end_name: str = "",
    ground: Ground = "light",
) -> Drawing:
    """A contact sheet: title, facts, rows, the time of each column, and the key of colours, with the wheel if a row has arrows.

    Args:
        rows: all of one T.
        facts: lines under the title: video, mask, ratio.
        times: seconds (T,) from the first frame, written under the columns.
        columns: number of frames shown, evenly spread.
        keys: of colours in the rows' frames; those of outlines, boxes and tokens are added.
        end_name: written under the lowest of the rows' last pictures.
    """
    arrows = next((row.arrows for row in rows if row.arrows is not None), None)
    scale = 1.0 if arrows is None else fixed_scale(arrows.extent)
    length, height, width, _ = rows[0].frames.shape
    moments = pick_columns(length, columns)
    cell = (width * cell_height / height, float(cell_height))
    left = MARGIN * 2 + max(
        [text_width(row.label, LABEL) for row in rows] + [text_width(note, SMALL) for row in rows for note in row.notes]
    )
    end_rows = [number for number, row in enumerate(rows) if row.end is not None]
    ends = bool(end_rows)
    span = len(moments) * (cell[0] + GAP) - GAP + ends * (cell[0] + 3 * GAP)
    words = max([text_width(title, TITLE), *(text_width(fact, SMALL) for fact in facts)])
    drawing = Drawing(max(left + span, MARGIN + words) + MARGIN, 0, title, ground)
    first = top = draw_heading(drawing, title, facts)
    for row in rows:
        _write_label(drawing, row, top + cell[1] / 2)
        for number, moment in enumerate(moments):
            draw_cell(drawing, row, int(moment), (left + number * (cell[0] + GAP), top), cell, scale)
        if row.end is not None:
            drawing.picture((left + span - cell[0], top), cell, row.end, smooth=False)
        top += cell[1] + GAP
    top += _write_times(drawing, moments, times, (left, top), cell)
    if ends:
        place = (left + span - cell[0] / 2, first + (end_rows[-1] + 1) * (cell[1] + GAP))
        drawing.text(place, end_name, size=SMALL, colour=drawing.theme.faint, align="middle", upright="top")
        top = max(top, place[1] + _LINE)
    found = [*keys, *(key for row in rows for key in row.drawn_keys())]
    drawing.height = draw_keys(drawing, found, top + 10, full_scale=None if arrows is None else scale) + MARGIN
    return drawing


def _write_label(drawing: Drawing, row: SheetRow, middle: float) -> None:
    """The label of a row and its notes below, all centred on the height `middle`."""
    top = middle - len(row.notes) * _LINE / 2
    drawing.text((MARGIN, top), row.label)
    for number, note in enumerate(row.notes, start=1):
        drawing.text((MARGIN, top + number * _LINE + 2), note, size=SMALL, colour=drawing.theme.faint)


def draw_heading(drawing: Drawing, title: str, facts: Sequence[str]) -> float:
    """Title and facts at the upper left; returns the place below them."""
    drawing.text((MARGIN, MARGIN), title, size=TITLE, upright="top")
    top = MARGIN + TITLE + 8.0
    for fact in facts:
        drawing.text((MARGIN, top), fact, size=SMALL, colour=drawing.theme.faint, upright="top")
        top += _LINE
    return top + 8


def draw_cell(drawing: Drawing, row: SheetRow, moment: int, place: Point, cell: Point, full_scale: float) -> None:
    """One frame of a row with all that is drawn over it."""
    length, height, width, _ = row.frames.shape
    smaller = Image.fromarray(row.frames[moment])
    if smaller.height > 2 * cell[1]:  # a file need not contain pixels that are not shown
        smaller = smaller.resize((round(2 * cell[0]), round(2 * cell[1])), Image.Resampling.LANCZOS)
    drawing.picture(place, cell, np.asarray(smaller))
    if row.arrows is not None:
        _draw_arrows(drawing, row.arrows, moment, place, cell, full_scale)
    if row.outline is not None:
        masked = row.outline[moment * len(row.outline) // length]
        for line in outlines(region(masked)):
            points = [(place[0] + x * cell[0], place[1] + y * cell[1]) for x, y in line]
            drawing.line(points, colour=EDGE, width=1.8)
    if row.boxes is not None:
        for x0, y0, x1, y1 in row.boxes[moment]:
            corner = (place[0] + x0 * cell[0] / width, place[1] + y0 * cell[1] / height)
            size = ((x1 - x0) * cell[0] / width, (y1 - y0) * cell[1] / height)
            drawing.frame(corner, size, colour=BOX, width=1.8)
    if row.token is not None:
        (steps, h, w), (t, y, x) = row.token
        if moment * steps // length == t:
            corner = (place[0] + x * cell[0] / w, place[1] + y * cell[1] / h)
            drawing.frame(corner, (cell[0] / w, cell[1] / h), colour=QUERY, width=2.2)


def region(masked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The hidden tokens of one step, bool (h, w), without those that are scattered: the union of all hidden squares of 3 x 3."""
    high, wide = masked.shape
    around = np.pad(masked, 2)
    whole = np.logical_and.reduce([around[y : y + high + 2, x : x + wide + 2] for y in range(3) for x in range(3)])
    covered = np.logical_or.reduce([whole[y : y + high, x : x + wide] for y in range(3) for x in range(3)])
    kept: npt.NDArray[np.bool_] = covered & masked
    return kept


def outlines(masked: npt.NDArray[np.bool_]) -> list[tuple[Point, Point]]:
    """The border of the hidden region of one step, bool (h, w), open at the border of the frame: straight lines in shares of it."""
    lines = []
    for turned, grid in ((False, masked), (True, masked.T)):
        high, wide = grid.shape
        for y in range(1, high):
            edge = np.concatenate([[False], grid[y] != grid[y - 1], [False]])
            (changes,) = np.nonzero(edge[1:] != edge[:-1])
            for first, last in changes.reshape(-1, 2).tolist():
                ends = ((first / wide, y / high), (last / wide, y / high))
                lines.append((ends[0][::-1], ends[1][::-1]) if turned else ends)
    return lines


def draw_keys(drawing: Drawing, keys: Sequence[LegendKey], top: float, *, full_scale: float | None) -> float:
    """The colour wheel, if motion is shown, and the key of colours, in lines that fit; returns the place below them."""
    theme = drawing.theme
    x, y = float(MARGIN), top
    bottom = top
    if full_scale is not None:
        drawing.picture((x, y), (WHEEL, WHEEL), colour_wheel(2 * WHEEL))
        x += WHEEL + 10
        bottom = y + WHEEL
        words = f"motion: colour and arrows are direction, brightness is speed; rim of the wheel: {full_scale:g} px per step"
        for line in _wrapped(words, drawing.width - x - MARGIN):
            drawing.text((x, y), line, size=SMALL, colour=theme.faint, upright="top")
            y += _LINE
        y += 6
    start = x
    for key in dict.fromkeys(keys):
        needed = key.width + 8 + text_width(key.words, SMALL) + 20
        if x > start and x + needed > drawing.width - MARGIN:
            x, y = start, y + _LINE + 4
        if key.shape == "fill":
            drawing.box((x, y), (key.width, 14), fill=key.colour)
        elif key.shape == "line":
            drawing.frame((x + 1, y + 1), (12, 12), colour=key.colour, width=2)
        else:
            steps = np.linspace(key.colour, (255, 255, 255), key.width).round().astype(np.uint8)
            drawing.picture((x, y), (key.width, 14), steps[None], smooth=False)
        drawing.text((x + key.width + 6, y + 7), key.words, size=SMALL, colour=theme.faint)
        x += needed
    return max(bottom, y + (_LINE if keys else 0))


def _wrapped(words: str, width: float) -> list[str]:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, SMALL) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _write_times(
    drawing: Drawing,
    moments: npt.NDArray[np.intp],
    times: npt.NDArray[np.floating] | None,
    place: Point,
    cell: Point,
) -> float:
    if times is None:
        return 0.0
    for number, moment in enumerate(moments):
        at = (place[0] + number * (cell[0] + GAP) + cell[0] / 2, place[1])
        text = f"{float(times[moment]):.2f} s"
        drawing.text(at, text, size=SMALL, colour=drawing.theme.faint, align="middle", upright="top")
    return float(_LINE)


def _draw_arrows(
    drawing: Drawing, field: MotionField, moment: int, place: Point, cell: Point, full_scale: float
) -> None:
    """The mean motion of equal parts of a frame, pointing to the destination of the content; still parts have none."""
    vectors = field.vectors[moment]
    gh, gw, _ = vectors.shape
    down = max(1, min(gh, round(_ARROWS_HIGH * max(1.0, cell[1] / cell[0]))))
    across = max(1, min(gw, round(_ARROWS_HIGH * max(1.0, cell[0] / cell[1]))))
    rows, columns = (np.linspace(0, n, parts + 1).astype(int) for n, parts in ((gh, down), (gw, across)))
    longest = 0.95 * min(cell[0] / across, cell[1] / down)
    for j in range(down):
        for i in range(across):
            dx, dy = vectors[rows[j] : rows[j + 1], columns[i] : columns[i + 1]].mean(axis=(0, 1)).tolist()
            speed = float(np.hypot(dx, dy))
            if not speed >= 0.04 * full_scale:  # also NaN
                continue
            reach = longest * min(1.0, speed / full_scale) ** 0.5 / speed
            x, y = place[0] + (i + 0.5) * cell[0] / across, place[1] + (j + 0.5) * cell[1] / down
            ux, uy = dx * reach / 2, dy * reach / 2
            drawing.line([(x - ux, y - uy), (x + ux, y + uy)], colour=ARROW, width=1.0)
            head = max(2.4, 0.35 * speed * reach) / (speed * reach)
            tip, base = (x + ux, y + uy), (x + ux - 2 * ux * head, y + uy - 2 * uy * head)
            side = (-uy * head * 0.9, ux * head * 0.9)
            corners = [tip, (base[0] + side[0], base[1] + side[1]), (base[0] - side[0], base[1] - side[1])]
            drawing.polygon(corners, fill=ARROW)
