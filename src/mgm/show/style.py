"""The one style of all figures: colours, sizes and marks. The same thing has the same colour in every picture.

Series are told apart by their mark and by colours of Okabe and Ito ("Color Universal Design", 2008), which stay apart for
colour-blind readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Rgb = tuple[int, int, int]
Ground = Literal["light", "dark"]
Mark = Literal["circle", "square", "triangle", "diamond", "cross"]

VEIL: Final[Rgb] = (40, 36, 92)
"""Over hidden tokens that are shown nevertheless."""
EDGE: Final[Rgb] = (255, 208, 64)
"""The outline of the hidden region."""
BOX: Final[Rgb] = (64, 224, 176)
"""True boxes of objects."""
HIDDEN: Final[Rgb] = (110, 112, 118)
"""A token that the encoder does not see."""
QUERY: Final[Rgb] = (86, 180, 233)
"""The token whose attention is shown."""
HOT: Final[Rgb] = (255, 176, 32)
"""A token to which all attention is paid."""
ARROW: Final[Rgb] = (255, 255, 255)
"""Arrows of motion; fainter where it is not measured but filled in."""
SHADOW: Final[Rgb] = (16, 18, 24)
"""The rim of what must be legible on any picture."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a figure's ground and words."""

    ground: Rgb
    ink: Rgb
    faint: Rgb
    grid: Rgb
    series: tuple[Rgb, ...]


_OKABE_ITO: Final = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
THEMES: Final[dict[Ground, Theme]] = {
    "light": Theme((250, 250, 249), (32, 34, 40), (92, 96, 104), (222, 223, 224), _OKABE_ITO),
    "dark": Theme(
        (24, 26, 32),
        (234, 234, 230),
        (165, 168, 176),
        (58, 62, 72),
        ((86, 180, 233), (240, 140, 60), (60, 200, 155), (224, 150, 190)),
    ),
}
MARKS: Final[tuple[Mark, ...]] = get_args(Mark)

TITLE: Final = 19
LABEL: Final = 15
SMALL: Final = 12
"""Heights of words in pixels; a figure is shown at two pixels a point or less."""

FULL_SHARE: Final = 0.1
"""The motion per sampling step that every sheet shows at full colour, as a share of the shorter side: sheets can be compared, also
those of one clip at two sizes."""


def css_colours() -> str:
    """The colours of both grounds as variables of a style sheet: the same as in all figures."""
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in _variables(THEMES[ground])) for ground in ("light", "dark")
    )
    return f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def css_colour(colour: Rgb) -> str:
    """A colour as a style sheet writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _variables(theme: Theme) -> list[tuple[str, str]]:
    colours = {"paper": theme.ground, "ink": theme.ink, "soft": theme.faint, "rule": theme.grid}
    colours |= {f"s{number}": colour for number, colour in enumerate(theme.series)}
    return [(name, css_colour(colour)) for name, colour in colours.items()]
