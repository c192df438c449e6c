"""The parts of a page as data: content without layout. `html` turns each into HTML.

Text may contain any character; it is escaped when written. Pictures are encoded bytes (PNG, WebP, GIF or JPEG).
"""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "neutral", "bad"]


@dataclass(frozen=True)
class Text:
    """Plain text; an empty line starts a new paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text to copy, such as a command line; keeps its line breaks."""

    text: str


@dataclass(frozen=True)
class FactList:
    """Names and values, for example ("seed", "0")."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Legend:
    """A small picture that explains the colours of a larger one, and its text."""

    image: bytes
    text: str


@dataclass(frozen=True)
class Picture:
    """One picture. `alt` describes it for readers who cannot see it."""

    image: bytes
    alt: str
    caption: str = ""
    legend: Legend | None = None


@dataclass(frozen=True)
class Animation:
    """Panels that move side by side in one picture."""

    image: bytes
    still: bytes
    """One frame of it, same size: shown in print, with reduced motion, and on "Hold still"."""
    panels: tuple[str, ...]
    """The labels of the panels, left to right; the panels are equally wide."""
    alt: str
    caption: str = ""
    legend: Legend | None = None


@dataclass(frozen=True)
class StripRow:
    """One row of a strip: its label and one picture with its frames left to right, equally wide."""

    label: str
    image: bytes
    alt: str


@dataclass(frozen=True)
class Strip:
    """A contact sheet: rows of the same moments, time from left to right."""

    rows: tuple[StripRow, ...]
    moments: tuple[str, ...]
    """Text under the columns, for example "0.27 s"; one per column, or empty."""
    caption: str = ""
    legend: Legend | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of a table with a bar or a badge."""

    text: str
    share: float | None = None
    """0 to 1: a bar under the number."""
    tone: Tone | None = None
    """A verdict: the text is shown as a badge."""


@dataclass(frozen=True)
class Column:
    """The head of a column. `note` explains it in small print; numbers are right-aligned."""

    name: str
    note: str = ""
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows; the first cell of each is its head. `marked` is the head of the row to emphasise."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    caption: str = ""
    marked: str | None = None


@dataclass(frozen=True)
class Matrix:
    """Videos by true class (rows) and answer (columns). A cell is shaded by its share of the row's total."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    totals: tuple[int, ...]
    """Videos of each class, which may have answers without a column."""
    caption: str = ""


@dataclass(frozen=True)
class Curve:
    """A quantity over training steps; equal lengths, steps ascending. Values that are not finite leave a gap."""

    label: str
    steps: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise ValueError(
                f"curve {self.label!r}: {len(self.steps)} steps and {len(self.values)} values; give one value per step"
            )


@dataclass(frozen=True)
class CurveChart:
    """Curves over a common axis of steps."""

    curves: tuple[Curve, ...]
    y_label: str
    alt: str
    x_label: str = "step"
    caption: str = ""


@dataclass(frozen=True)
class Estimate:
    """A share, or a difference of shares, with its 95% interval; fractions, not per cent."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalRow:
    """One line of an interval chart: an estimate for each series, or None if not measured."""

    label: str
    estimates: tuple[Estimate | None, ...]


@dataclass(frozen=True)
class IntervalChart:
    """Dots with intervals on a common axis of per cent. The first series is drawn filled, the others hollow."""

    series: tuple[str, ...]
    rows: tuple[IntervalRow, ...]
    alt: str
    x_label: str
    reference: tuple[str, float] | None = None
    """A line to compare with, such as ("chance", 0.125)."""
    caption: str = ""


SectionPart = Text | Code | FactList | Picture | Animation | Strip | Table | Matrix | CurveChart | IntervalChart


@dataclass(frozen=True)
class PageSection:
    """A titled part of the page."""

    title: str
    parts: tuple[SectionPart, ...]
    lead: str = ""
    """One or two sentences under the title."""
