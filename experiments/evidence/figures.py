"""Figures of kept cells: differences with their intervals, and curves over a setting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from grid import Arm
from tables import Row

from mgm.show.chart import Panel, Series, draw_charts, mark_of
from mgm.show.drawing.shapes import Drawing, text_width
from mgm.show.sheet import MARGIN, draw_heading
from mgm.show.style import LABEL, SMALL


def draw_curves(
    title: str, facts: Sequence[str], axis: str, arms: Sequence[Arm], judged: dict[str, dict[str, Row]], rival: str
) -> Drawing:
    """One line per mask over the places of its arms, a panel for each probe that judged a mask at two places or more.

    Args:
        axis: label of the x axis.
        judged: name of the probe -> name of the arm or rival -> its row.
        rival: drawn as a level line, if it has a row.
    """
    places = {arm.name: arm.at for arm in arms if arm.at is not None}
    masks = list(dict.fromkeys(arm.mask for arm in arms))
    panels = []
    for way, rows in judged.items():
        points = {
            mask: sorted((places[arm.name], arm.name) for arm in arms if arm.mask == mask and arm.name in rows)
            for mask in masks
        }
        series = [
            Series(
                mask,
                tuple((at, float(rows[name].each.mean())) for at, name in found),
                number,
                mark_of(number),
                tuple((float(rows[name].each.min()), float(rows[name].each.max())) for _, name in found),
            )
            for number, (mask, found) in enumerate(points.items())
            if found
        ]
        if all(len(one.points) < 2 for one in series):
            continue  # a judge of few arms draws no curve
        named = tuple(sorted({at for found in points.values() for at, _ in found}))
        if rival in rows:
            level = float(rows[rival].each.mean())
            ends = tuple((at, level) for at in (named[0], named[-1]))
            series.append(Series(rival, ends, None, mark_of(len(masks)), hollow=True))
        panels.append(Panel(way, axis, "mean class accuracy", tuple(series), named))
    return draw_charts(panels, title=title, facts=facts, size=(300, 260))


def draw_differences(title: str, facts: Sequence[str], rows: dict[str, Row], reference: str) -> Drawing:
    """One line per arm: its difference to the reference, in points of mean class accuracy, with the 95% interval."""
    names = sorted((name for name, row in rows.items() if not np.isnan(row.gain)), key=lambda name: -rows[name].gain)
    left = MARGIN + max(text_width(name, LABEL) for name in names) + 20
    wide, line = 420, 24
    drawing = Drawing(left + wide + 150 + MARGIN, 0, title)
    top = draw_heading(drawing, title, facts) + 8
    theme = drawing.theme
    most = max(max(abs(rows[name].low), abs(rows[name].high), 0.02) for name in names)
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if most / s <= 4)
    most = step * np.ceil(most / step)

    def at(value: float) -> float:
        return left + wide * (value + most) / (2 * most)

    bottom = top + line * len(names)
    for value in np.arange(-most, most + step / 2, step):
        zero = abs(value) < step / 2
        drawing.line([(at(value), top), (at(value), bottom)], colour=theme.faint if zero else theme.grid, width=1)
        drawing.text((at(value), bottom + 6), f"{100 * value:+.0f}" if not zero else "0", size=SMALL, colour=theme.faint,
                     align="middle", upright="top")  # fmt: skip
    for number, name in enumerate(names):
        row, y = rows[name], top + line * (number + 0.5)
        clear = row.low > 0 or row.high < 0
        colour = theme.series[0] if clear else theme.faint
        drawing.text((left - 12, y), name, align="right")
        drawing.line([(at(row.low), y), (at(row.high), y)], colour=colour, width=2)
        drawing.mark((at(row.gain), y), "circle", colour=colour, hollow=not clear)
        drawing.text(
            (left + wide + 12, y), f"{row.each.mean():.3f}, {len(row.each)} seeds", size=SMALL, colour=theme.faint
        )
    drawing.text(
        (left + wide / 2, bottom + 26),
        f"points of mean class accuracy above {reference}",
        align="middle",
        upright="top",
    )
    drawing.height = bottom + 50 + MARGIN
    return drawing
