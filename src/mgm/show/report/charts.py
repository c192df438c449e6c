"""Charts as inline SVG without script; colours come from the style sheet, so they follow light and dark themes.

Every chart is drawn for a given width, since text in a scaled-down SVG would be too small to read on a phone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mgm.show.report.elements import Curve, CurveChart, Estimate, IntervalChart
from mgm.show.report.escape import escape
from mgm.show.ticks import ticks_within

_HOVER_COLUMNS = 60
_DRAWN_POINTS = 400
_LONGEST_END = 30
"""Letters of a name at the end of its curve; longer ones would take the room of the curves, and are in the key."""


def curve_svg(chart: CurveChart, *, width: int, height: int) -> str:
    """Curves over steps: the values faint, their running mean strong, the ends labelled; hovering reads a value.

    Without any finite value the chart contains a note.

    Args:
        width, height: of the viewBox, CSS pixels at full size.
    """
    finite = [
        (x, y) for curve in chart.curves for x, y in zip(curve.steps, curve.values, strict=True) if math.isfinite(y)
    ]
    if not finite:
        return _svg(width, 60, chart.alt, [_text(width / 2, 34, "no finite value was logged", anchor="middle")])
    several = len(chart.curves) > 1
    named_ends = several and width >= 480 and max(len(curve.label) for curve in chart.curves) <= _LONGEST_END
    left, top, bottom = 52, 34, 44
    smooth = [_smooth(curve) for curve in chart.curves]
    words = [
        f"{f'{curve.label} ' if named_ends else ''}{points[-1][1]:.3g}" if points else ""
        for curve, points in zip(chart.curves, smooth, strict=True)
    ]
    right = max(64, 18 + round(7.5 * max(map(len, words))))
    key: list[str] = []
    if several and not named_ends:
        key, lines = _series_key([curve.label for curve in chart.curves], width, hollow=False)
        top += 24 + 18 * (lines - 1)
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    pad = (max(ys) - min(ys)) * 0.06 or abs(max(ys)) * 0.05 or 1.0
    x_axis = _Axis(min(xs), max(xs), left, width - right)
    low = min(ys) - pad
    y_axis = _Axis(max(low, 0.0) if min(ys) >= 0 else low, max(ys) + pad, height - bottom, top)
    body = [*key, _text(left - 40, top - 18, chart.y_label, kind="name")]
    body += _y_grid(y_axis, left, width - right, height)
    body += _x_ticks(x_axis, height - bottom, max(4, width // 130), "{:,g}")
    body.append(_text((left + width - right) / 2, height - 6, chart.x_label, anchor="middle", kind="name"))
    ends: list[tuple[float, str]] = []
    for k, curve in enumerate(chart.curves):
        body += _draw_curve(curve, k, x_axis, y_axis, alone=not several)
        if smooth[k]:
            ends.append((y_axis(smooth[k][-1][1]), words[k]))
    body += _end_labels(ends, width - right + 8, top, height - bottom)
    body += _hover(chart, x_axis, y_axis, top, height - bottom, width - 4)
    return _svg(width, height, chart.alt, body)


def interval_svg(chart: IntervalChart, *, width: int) -> str:
    """Estimates as dots with their 95% intervals, a line for the reference; the height follows from the number of rows.

    Args:
        width: of the viewBox, CSS pixels at full size. Below 480 the labels are above the dots instead of left of them.
    """
    narrow = width < 480
    longest = max((len(row.label) for row in chart.rows), default=0)
    left, right, top = (14 if narrow else min(300, 30 + 8 * longest)), 20, 58 if chart.reference else 40
    lane, between = 20, (34 if narrow else 22)
    row_height = lane * len(chart.series) + between
    floor = top + row_height * len(chart.rows)
    known = [e for row in chart.rows for e in row.estimates if e is not None]
    highest = max([e.high for e in known] + ([chart.reference[1]] if chart.reference else []) + [0.1])
    axis = _Axis(0.0, min(1.0, math.ceil(highest * 10 + 0.5) / 10), left, width - right)
    body, _ = _series_key(chart.series, width)
    body += _x_ticks(axis, floor, 5, "{:.0%}", grid_top=top)
    body.append(_text(width - right, floor + 38, chart.x_label, anchor="end", kind="name"))
    if chart.reference is not None:
        body += _reference(chart.reference, axis, top, floor, width)
    for i, row in enumerate(chart.rows):
        y = top + i * row_height
        if narrow:
            body.append(_text(left, y + 20, row.label, kind="strong"))
            first = y + between + lane / 2 - 4
        else:
            body.append(_text(left - 16, y + row_height / 2 + 4, row.label, anchor="end", kind="strong"))
            first = y + between / 2 + lane / 2
        for k, estimate in enumerate(row.estimates):
            if estimate is not None:
                body.append(_interval(estimate, k, axis, first + k * lane, f"{row.label}, {chart.series[k]}", width))
    return _svg(width, floor + 46, chart.alt, body)


@dataclass(frozen=True)
class _Axis:
    """A linear map from data, low to high, to pixels, start to end; values outside stop at the ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def _svg(width: float, height: float, alt: str, body: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg {size} role="img" aria-label="{escape(alt)}">{"".join(body)}</svg>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, k: int) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="dot s{k % 4}"/>'


def _y_grid(axis: _Axis, left: float, right: float, height: float) -> list[str]:
    drawn = []
    for tick in ticks_within(axis.low, axis.high, max(3, int(height // 60))):
        drawn.append(_line(left, axis(tick), right, axis(tick), "grid"))
        drawn.append(_text(left - 8, axis(tick) + 4, f"{tick:g}", anchor="end"))
    return drawn


def _x_ticks(axis: _Axis, floor: float, count: int, form: str, *, grid_top: float | None = None) -> list[str]:
    drawn = [_line(axis.start, floor, axis.end, floor, "axis")]
    for tick in ticks_within(axis.low, axis.high, count):
        drawn.append(_line(axis(tick), floor if grid_top is None else grid_top, axis(tick), floor + 4, "grid"))
        drawn.append(_text(axis(tick), floor + 18, form.format(tick), anchor="middle"))
    return drawn


def _draw_curve(curve: Curve, k: int, x_axis: _Axis, y_axis: _Axis, *, alone: bool) -> list[str]:
    drawn = []
    if len(curve.steps) > 12:
        drawn += [
            _polyline(run, k, "raw", x_axis, y_axis)
            for run in _finite_runs(_thin(list(zip(curve.steps, curve.values, strict=True))))
        ]
    smooth = _smooth(curve)
    drawn += [_polyline(run, k, "mean", x_axis, y_axis) for run in _finite_runs(_thin(smooth))]
    if smooth:
        x, y = smooth[0]
        drawn.append(_dot(x_axis(x), y_axis(y), k))
        if alone:
            drawn.append(_text(x_axis(x) + 7, y_axis(y) - 8, f"{y:.3g}", kind="strong"))
        x, y = smooth[-1]
        drawn.append(_dot(x_axis(x), y_axis(y), k))
    return drawn


def _polyline(points: Sequence[tuple[float, float]], k: int, kind: str, x_axis: _Axis, y_axis: _Axis) -> str:
    where = " ".join(f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in points)
    return f'<polyline points="{where}" class="{kind} s{k % 4}{" later" if k >= 4 else ""}"/>'


def _finite_runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _smooth(curve: Curve) -> list[tuple[float, float]]:
    """The running mean over a fortieth of the finite values; the window stops at the ends of the curve."""
    points = [(x, y) for x, y in zip(curve.steps, curve.values, strict=True) if math.isfinite(y)]
    total = np.concatenate([[0.0], np.cumsum([y for _, y in points])])
    half = len(points) // 80
    smooth = []
    for i, (x, _) in enumerate(points):
        first, last = max(0, i - half), min(len(points), i + half + 1)
        smooth.append((x, float(total[last] - total[first]) / (last - first)))
    return smooth


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= _DRAWN_POINTS:
        return points
    return [points[i] for i in np.linspace(0, len(points) - 1, _DRAWN_POINTS).round().astype(int)]


def _end_labels(ends: Sequence[tuple[float, str]], x: float, top: float, floor: float) -> list[str]:
    """Labels at the right ends of the curves, pushed apart where the curves end close to each other."""
    order = sorted(range(len(ends)), key=lambda k: ends[k][0])
    placed: dict[int, float] = {}
    last = top - 16.0
    for k in order:
        last = placed[k] = max(ends[k][0], last + 16)
    over = max(0.0, last - floor)
    return [_text(x, placed[k] - over + 4, words, kind="strong") for k, (_, words) in enumerate(ends)]


def _hover(chart: CurveChart, x_axis: _Axis, y_axis: _Axis, top: float, floor: float, right: float) -> list[str]:
    """Invisible columns that show the values under the pointer; the readout has a fixed place above the plot."""
    smooth = [_thin(_smooth(curve)) for curve in chart.curves]
    longest = max(smooth, key=len)
    count = min(_HOVER_COLUMNS, len(longest))
    columns = [longest[i][0] for i in np.linspace(0, len(longest) - 1, count).round().astype(int)]
    edges = [
        x_axis.start,
        *((x_axis(a) + x_axis(b)) / 2 for a, b in pairwise(columns)),
        x_axis.end,
    ]
    drawn = []
    for x, start, end in zip(columns, edges[:-1], edges[1:], strict=True):
        values = [(k, min(points, key=lambda p: abs(p[0] - x))) for k, points in enumerate(smooth) if points]
        words = f"{chart.x_label} {x:,g}: " + ", ".join(f"{chart.curves[k].label} {y:.4g}" for k, (_, y) in values)
        if len(smooth) == 1 or len(words) * 6.6 > right:
            words = f"{chart.x_label} {x:,g}: " + ", ".join(f"{y:.3g}" for _, (_, y) in values)
        drawn += [
            '<g class="hit">',
            f'<rect x="{start:.1f}" y="{top:.1f}" width="{end - start:.1f}" height="{floor - top:.1f}"/>',
            _line(x_axis(x), top, x_axis(x), floor, "cursor"),
            *(_dot(x_axis(a), y_axis(b), k) for k, (a, b) in values),
            _text(right, top - 10, words, anchor="end", kind="strong"),
            "</g>",
        ]
    return drawn


def _series_key(series: Sequence[str], width: float, *, hollow: bool = True) -> tuple[list[str], int]:
    """The names of the series at the top of a chart, and the number of lines that they take."""
    drawn, x, y, lines = [], 8.0, 14, 1
    for k, name in enumerate(series):
        room = 11 + 7.2 * len(name)
        if x > 8.0 and x + room > width:
            x, y, lines = 8.0, y + 18, lines + 1
        drawn.append(
            f'<circle cx="{x:.1f}" cy="{y - 4:.1f}" r="5" class="{"ring" if hollow and k else "dot"} s{k % 4}"/>'
        )
        drawn.append(_text(x + 11, y, name))
        x += room + 22
    return drawn, lines


def _reference(reference: tuple[str, float], axis: _Axis, top: float, floor: float, width: float) -> list[str]:
    name, value = reference
    x = axis(value)
    words = f"{name} {value:.1%}"
    anchor = "start" if x < width / 2 else "end"
    return [
        _line(x, top - 10, x, floor, "reference"),
        _text(x + (4 if anchor == "start" else -4), top - 6, words, anchor=anchor, kind="name"),
    ]


def _interval(estimate: Estimate, k: int, axis: _Axis, y: float, name: str, width: float) -> str:
    low, value, high = axis(estimate.low), axis(estimate.value), axis(estimate.high)
    words = f"{estimate.value:.1%}"
    # The number goes right of its interval, else left, else above: the first place inside the chart.
    if high + 56 < width:
        number = _text(high + 9, y + 4, words, kind="strong")
    elif low - 56 > axis.start:
        number = _text(low - 9, y + 4, words, anchor="end", kind="strong")
    else:
        number = _text(min(value, width - 24), y - 9, words, anchor="middle", kind="strong")
    title = f"{name}: {estimate.value:.1%}, 95% interval {estimate.low:.1%} to {estimate.high:.1%}"
    return (
        f"<g><title>{escape(title)}</title>"
        + _line(low, y, high, y, f"whisker s{k % 4}")
        + f'<circle cx="{value:.1f}" cy="{y:.1f}" r="5.5" class="{"dot" if k == 0 else "ring"} s{k % 4}"/>'
        + number
        + "</g>"
    )
