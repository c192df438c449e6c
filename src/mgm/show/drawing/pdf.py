"""A figure as PDF (1.4): one page, its font embedded, as journals ask. Pillow writes pixels only."""

from __future__ import annotations

import zlib
from typing import Final

from mgm.show.drawing.shapes import Drawing, Lines, Picture, Shape, Words, text_width
from mgm.show.font import label_font
from mgm.show.style import Rgb

_POINTS: Final = 0.75
"""Points per pixel: a figure of 640 px is as wide as the text of a page."""
_CODES: Final = range(32, 256)
_ENCODING: Final = "cp1252"


def draw_pdf(drawing: Drawing) -> bytes:
    """The figure as a PDF file. Characters outside Latin-1 become question marks."""
    file = _File()
    font = _font(file)
    images: dict[str, int] = {}
    content = [f"{_POINTS} 0 0 {-_POINTS} 0 {drawing.height * _POINTS:.2f} cm 1 j", _fill(drawing.theme.ground)]
    content.append(f"0 0 {drawing.width:.2f} {drawing.height:.2f} re f")
    for shape in drawing.shapes:
        if isinstance(shape, Picture):
            name = f"I{len(images)}"
            images[name] = _image(file, shape)
            box = f"{shape.width:.2f} 0 0 {-shape.height:.2f} {shape.x:.2f} {shape.y + shape.height:.2f}"
            content.append(f"q {box} cm /{name} Do Q")
        else:
            content.append(_shape(shape))
    drawn = file.stream("", "\n".join(content).encode("ascii"))
    pages = file.reserve()
    named = " ".join(f"/{name} {number} 0 R" for name, number in images.items())
    page = file.add(
        f"<< /Type /Page /Parent {pages} 0 R /MediaBox [0 0 {drawing.width * _POINTS:.2f} {drawing.height * _POINTS:.2f}] "
        f"/Contents {drawn} 0 R /Resources << /Font << /F {font} 0 R >> /XObject << {named} >> >> >>"
    )
    file.put(pages, f"<< /Type /Pages /Kids [{page} 0 R] /Count 1 >>")
    title = drawing.title.encode("utf-16-be", "replace").hex()
    about = file.add(f"<< /Title <feff{title}> /Producer (mgm) >>")
    return file.finish(file.add(f"<< /Type /Catalog /Pages {pages} 0 R >>"), about)


class _File:
    """Numbered objects, and the table of their places."""

    def __init__(self) -> None:
        self._objects: list[bytes] = []

    def reserve(self) -> int:
        self._objects.append(b"")
        return len(self._objects)

    def put(self, number: int, content: str) -> None:
        self._objects[number - 1] = content.encode("ascii")

    def add(self, content: str) -> int:
        number = self.reserve()
        self.put(number, content)
        return number

    def stream(self, entries: str, data: bytes) -> int:
        packed = zlib.compress(data)
        head = f"<< {entries} /Filter /FlateDecode /Length {len(packed)} >>\nstream\n".encode("ascii")
        self._objects.append(head + packed + b"\nendstream")
        return len(self._objects)

    def finish(self, root: int, about: int) -> bytes:
        body, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
        for number, content in enumerate(self._objects, start=1):
            places.append(len(body))
            body += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
        table = "".join(f"{place:010d} 00000 n \n" for place in places)
        count, start = len(places) + 1, len(body)
        body += f"xref\n0 {count}\n0000000000 65535 f \n{table}".encode()
        body += f"trailer\n<< /Size {count} /Root {root} 0 R /Info {about} 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
        return bytes(body)


def _font(file: _File) -> int:
    font = label_font(1000)
    rise, fall = font.getmetrics()
    data = file.stream(f"/Length1 {len(font.font_bytes)}", font.font_bytes)
    widths = " ".join(f"{font.getlength(bytes([c]).decode(_ENCODING, 'replace')):.0f}" for c in _CODES)
    about = file.add(
        f"<< /Type /FontDescriptor /FontName /Aileron-Regular /Flags 32 /FontBBox [-200 {-fall} 1200 {rise}] /ItalicAngle 0 "
        f"/Ascent {rise} /Descent {-fall} /CapHeight 700 /StemV 80 /FontFile2 {data} 0 R >>"
    )
    return file.add(
        "<< /Type /Font /Subtype /TrueType /BaseFont /Aileron-Regular /Encoding /WinAnsiEncoding "
        f"/FirstChar {_CODES[0]} /LastChar {_CODES[-1]} /Widths [{widths}] /FontDescriptor {about} 0 R >>"
    )


def _image(file: _File, shape: Picture) -> int:
    height, width, channels = shape.pixels.shape
    entries = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /BitsPerComponent 8"
    extra = f" /Interpolate {'true' if shape.smooth else 'false'}"
    if channels == 4:
        cover = file.stream(f"{entries} /ColorSpace /DeviceGray", shape.pixels[..., 3].tobytes())
        extra += f" /SMask {cover} 0 R"
    return file.stream(f"{entries} /ColorSpace /DeviceRGB{extra}", shape.pixels[..., :3].tobytes())


def _shape(shape: Shape) -> str:
    if isinstance(shape, Words):
        return _words(shape)
    assert isinstance(shape, Lines)
    first, *others = shape.points
    path = " ".join([f"{first[0]:.2f} {first[1]:.2f} m", *(f"{x:.2f} {y:.2f} l" for x, y in others)])
    painted = "" if shape.fill is None else f"{_fill(shape.fill)} "
    if shape.width:
        colour = " ".join(f"{value / 255:.3f}" for value in shape.colour)
        painted += f"{colour} RG {shape.width:.2f} w [{'6' if shape.dashed else ''}] 0 d "
    end = {(True, True): "b", (True, False): "h f", (False, True): "S"}[(shape.fill is not None, bool(shape.width))]
    return f"{painted}{path} {end}"


def _words(shape: Words) -> str:
    text = shape.text.encode(_ENCODING, "replace").decode(_ENCODING)
    back = {"left": 0.0, "middle": 0.5, "right": 1.0}[shape.align] * text_width(text, shape.size)
    turn, x, y = ("0 -1 -1 0", 0.0, back) if shape.turned else ("1 0 0 -1", -back, 0.0)
    place = f"{turn} {shape.x + x:.2f} {shape.y + y:.2f}"
    return f"BT {_fill(shape.colour)} /F {shape.size:.2f} Tf {place} Tm <{text.encode(_ENCODING).hex()}> Tj ET"


def _fill(colour: Rgb) -> str:
    return " ".join(f"{value / 255:.3f}" for value in colour) + " rg"
