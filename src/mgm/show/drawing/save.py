"""Figures as files, by their suffix."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Final

from mgm.errors import FileError
from mgm.files.atomic import atomic_write
from mgm.show.drawing.pdf import draw_pdf
from mgm.show.drawing.raster import draw_image
from mgm.show.drawing.shapes import Drawing
from mgm.show.drawing.svg import draw_svg

_PNG_SCALE: Final = 1.5
"""Pixels of a PNG per pixel of its figure: words stay sharp on dense screens."""


def _png(drawing: Drawing) -> bytes:
    buffer = BytesIO()
    draw_image(drawing, scale=_PNG_SCALE).save(buffer, "PNG")
    return buffer.getvalue()


_WRITERS: Final[dict[str, Callable[[Drawing], bytes]]] = {".png": _png, ".svg": draw_svg, ".pdf": draw_pdf}
STILLS: Final = tuple(_WRITERS)
"""Suffixes of figures that do not move."""


def save_drawing(drawing: Drawing, path: str | Path) -> None:
    """Write a figure as .png, or as shapes: .svg or .pdf. The file appears when it is complete.

    Raises:
        FileError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise FileError.wrong_suffix(path, STILLS)
    with atomic_write(path) as file:
        file.write(write(drawing))
