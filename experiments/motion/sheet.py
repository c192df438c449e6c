"""Sheets of labelled pictures, for docs/motion.md and docs/transforms.md. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from mgm.show.figures import colour_motion, colour_wheel
from mgm.show.font import label_font
from mgm.show.style import HOT, THEMES, css_colour
from mgm.video import MotionField

DPI = 140
_KEPT = TemporaryDirectory()  # matplotlib reads a font from its file while it draws
_FONT = Path(_KEPT.name) / "font.ttf"
_FONT.write_bytes(label_font(12).font_bytes)
font_manager.fontManager.addfont(_FONT)
mpl.rcParams["font.family"] = font_manager.FontProperties(fname=_FONT).get_name()  # that of all figures of `mgm`
_LIGHT = THEMES["light"]
PAPER, INK, FAINT = (css_colour(colour) for colour in (_LIGHT.ground, _LIGHT.ink, _LIGHT.faint))
FUTURE, PAST, _, INTRA = map(css_colour, _LIGHT.series)
FUTURE_ON_DARK, PAST_ON_DARK = map(css_colour, THEMES["dark"].series[:2])
"""Over pictures."""
OVER = css_colour(HOT)
WIDTH = 8.0
"""Inches; shown as 800 pixels on a page."""

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


def save(figure: Figure, path: Path) -> None:
    """Write a picture in the format of its suffix; photographs are JPEG."""
    raw = BytesIO()
    figure.savefig(raw, dpi=DPI, facecolor=PAPER)
    image = Image.open(raw).convert("RGB")
    image.save(path, optimize=True, quality=88)
    print(f"{path.name}: {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def blank(axes: Axes) -> Axes:
    """Remove ticks, frame and background."""
    axes.patch.set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    return axes


@dataclass(frozen=True)
class Sheet:
    """Rows of equally large pictures with labels, in inches from the top."""

    figure: Figure
    height: float

    def show(self, picture: Picture, *, left: float, top: float, size: tuple[float, float]) -> Axes:
        """Draw a picture of `size` = (width, height) at a position."""
        box = (left / WIDTH, 1 - (top + size[1]) / self.height, size[0] / WIDTH, size[1] / self.height)
        axes = blank(self.figure.add_axes(box))
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        return axes

    def text(self, words: str, left: float, top: float, **how: Any) -> None:
        """Write text; `top` is its vertical centre."""
        chosen: dict[str, Any] = {"color": INK, "va": "center", "fontsize": 9} | how
        self.figure.text(left / WIDTH, 1 - top / self.height, words, **chosen)

    def key(self, colour: str, *, left: float, top: float) -> None:
        """A square of a colour, .1 inches wide; `top` is its vertical centre."""
        filled = np.full((1, 1, 3), 255 * np.array(to_rgb(colour)), np.uint8)
        self.show(filled, left=left, top=top - 0.05, size=(0.1, 0.1))

    def wheel(self, scale: float, unit: str, *, left: float, top: float) -> None:
        """The legend of the colours, 0.5 inches high."""
        disc = colour_wheel(200, ground="light")
        self.show(disc, left=left, top=top, size=(0.5, 0.5))
        self.text("colour: direction of the motion", left + 0.62, top + 0.15, fontsize=8, color=FAINT)
        self.text(f"rim of the disc: {scale:.0f} {unit} or more", left + 0.62, top + 0.36, fontsize=8, color=FAINT)

    def hatch(self, *, left: float, top: float, words: str) -> None:
        """The legend of cells that were not measured."""
        field = np.zeros((1, 4, 8, 2), np.float32)
        shown = colour_motion(field, extent=(32, 64), valid=np.zeros((1, 4, 8), np.bool_), full_scale=1, ground="light")
        self.show(np.repeat(np.repeat(shown[0], 3, axis=0), 3, axis=1), left=left, top=top + 0.08, size=(0.56, 0.28))
        self.text(words, left + 0.66, top + 0.22, fontsize=8, color=FAINT)


def sheet(height: float) -> Sheet:
    """An empty sheet."""
    return Sheet(Figure(figsize=(WIDTH, height)), height)


def cut(picture: Picture, box: Box) -> Picture:
    """The part `box` = (x, y, width, height)."""
    x, y, width, height = box
    return picture[y : y + height, x : x + width]


def shades(field: MotionField, box: Box, scale: float, *, hatched: bool = False) -> Sequence[Picture]:
    """Each step of a field in colour, twice as large as the coded frame."""
    part = field.crop(box)
    height, width = part.extent
    valid = part.valid if hatched else None
    return list(
        colour_motion(
            part.vectors,
            extent=part.extent,
            size=(2 * height, 2 * width),
            valid=valid,
            full_scale=scale,
            ground="light",
        )
    )


def arrows(axes: Axes, rows: npt.NDArray[np.floating], colour: str, gain: float = 1.0) -> None:
    """Draw (x, y, dx, dy) in pixels of the picture."""
    axes.quiver(
        *rows.T,
        angles="xy",
        scale_units="xy",
        scale=1 / gain,
        units="inches",
        width=0.016,
        headwidth=4.4,
        headlength=5,
        headaxislength=4.5,
        minlength=0.6,
        color=colour,
        edgecolor=INK,
        linewidth=0.25,
    )


def faint(picture: Picture) -> Picture:
    """A darkened grey picture, a background for arrows."""
    grey: Picture = (0.5 * picture.mean(axis=2, keepdims=True) + 30).astype(np.uint8).repeat(3, axis=2)
    return grey


def part_of(field: MotionField, first: int, count: int) -> MotionField:
    """`count` steps from `first` on."""
    return replace(field, vectors=field.vectors[first : first + count], valid=field.valid[first : first + count])
