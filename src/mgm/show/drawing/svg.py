"""A figure as SVG: words stay words, and its font is in the file."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from io import BytesIO

from PIL import Image

from mgm.printable import printable
from mgm.show.drawing.shapes import Drawing, Lines, Picture, Shape
from mgm.show.font import label_font
from mgm.show.style import css_colour

_ANCHORS = {"left": "start", "middle": "middle", "right": "end"}


def draw_svg(drawing: Drawing) -> bytes:
    """The figure as an SVG file, which opens no other file."""
    w, h = _number(drawing.width), _number(drawing.height)
    font = b64encode(label_font(100).font_bytes).decode()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img">',
        f"<title>{_text(drawing.title)}</title>",
        f'<style>@font-face{{font-family:"mgm";src:url(data:font/ttf;base64,{font})}}'
        'text{font-family:"mgm",Helvetica,Arial,sans-serif}</style>',
        f'<rect width="{w}" height="{h}" fill="{css_colour(drawing.theme.ground)}"/>',
        *map(_shape, drawing.shapes),
        "</svg>\n",
    ]
    return "\n".join(parts).encode()


def _shape(shape: Shape) -> str:
    if isinstance(shape, Picture):
        buffer = BytesIO()
        Image.fromarray(shape.pixels).save(buffer, "PNG")
        data = b64encode(buffer.getvalue()).decode()
        sharp = "" if shape.smooth else ' style="image-rendering:pixelated"'
        place = " ".join(
            f'{name}="{_number(value)}"'
            for name, value in (("x", shape.x), ("y", shape.y), ("width", shape.width), ("height", shape.height))
        )
        return f'<image {place} preserveAspectRatio="none"{sharp} href="data:image/png;base64,{data}"/>'
    if isinstance(shape, Lines):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
        fill = "none" if shape.fill is None else css_colour(shape.fill)
        stroke = f' stroke="{css_colour(shape.colour)}" stroke-width="{_number(shape.width)}"' if shape.width else ""
        dash = ' stroke-dasharray="6"' if shape.dashed else ""
        kind = "polyline" if shape.fill is None else "polygon"
        return f'<{kind} points="{points}" fill="{fill}"{stroke}{dash} stroke-linejoin="round"/>'
    x, y = _number(shape.x), _number(shape.y)
    turn = f' transform="rotate(-90 {x} {y})"' if shape.turned else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{_number(shape.size)}" fill="{css_colour(shape.colour)}" '
        f'text-anchor="{_ANCHORS[shape.align]}"{turn}>{_text(shape.text)}</text>'
    )


def _text(text: str) -> str:
    """Text of a file's name, for XML, which has no control characters and no halves of surrogate pairs."""
    return escape(printable(text).encode("utf-8", "backslashreplace").decode())


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
