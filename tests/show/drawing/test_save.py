"""One figure as pixels, SVG and PDF: the same words, and pictures and lines at the same places."""

import re
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mgm.errors import FileError
from mgm.show.drawing.raster import draw_image
from mgm.show.drawing.save import save_drawing
from mgm.show.drawing.shapes import Drawing, text_width
from mgm.show.style import MARKS, THEMES
from tests.errors import raises

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawing():
    made = Drawing(200, 100, "A <figure> & its name")
    made.picture((100, 40), (40, 40), np.full((4, 4, 3), (200, 30, 30), np.uint8), smooth=False)
    made.picture((150, 40), (20, 20), np.full((2, 2, 4), (0, 0, 200, 128), np.uint8))
    made.text((10, 20), "75% (of <all>)", size=16)
    made.text((12, 70), "loss", turned=True, align="middle")
    made.line([(20, 90), (90, 90)], colour=(0, 120, 0), width=2, dashed=True)
    for number, mark in enumerate(MARKS):
        made.mark((30 + 12 * number, 50), mark, colour=(0, 0, 0))
    return made


def test_pixels(drawing, tmp_path):
    save_drawing(drawing, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.size == (300, 150)
    shown = np.asarray(draw_image(drawing)).astype(int)
    assert shown.shape == (100, 200, 3)
    assert tuple(shown[60, 120]) == (200, 30, 30)
    assert tuple(shown[95, 195]) == THEMES["light"].ground
    half = np.mean([THEMES["light"].ground, (0, 0, 200)], axis=0)
    np.testing.assert_allclose(shown[50, 160], half, atol=3)
    words = (shown[8:32, 8 : 12 + round(text_width("75% (of <all>)", 16))] < 120).all(axis=-1)
    assert 0.05 < words.mean() < 0.6
    turned = (shown[45:95, 4:18] < 120).all(axis=-1)
    assert turned.any(axis=1).sum() > 2 * turned.any(axis=0).sum()  # taller than it is wide
    line = (shown[90, 20:90, 1] > shown[90, 20:90, 0] + 40).tolist()
    assert 0.3 < np.mean(line) < 0.8


def test_svg(drawing, tmp_path):
    save_drawing(drawing, tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert (root.get("width"), root.get("height")) == ("200", "100")
    assert root.findtext(f"{SVG}title") == "A <figure> & its name"
    assert [text.text for text in root.iter(f"{SVG}text")] == drawing.words == ["75% (of <all>)", "loss"]
    first, second = root.iter(f"{SVG}image")
    assert (first.get("x"), first.get("y"), first.get("width")) == ("100", "40", "40")
    assert second.get("href").startswith("data:image/png;base64,")
    assert "http" not in (tmp_path / "a.svg").read_text().replace("http://www.w3.org/2000/svg", "")


def test_pdf(drawing, tmp_path):
    save_drawing(drawing, tmp_path / "a.pdf")
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF-1.4")
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    places = [int(line.split()[0]) for line in data[start:].splitlines()[3:] if line.endswith(b" n ")]
    assert all(re.match(rb"%d 0 obj\n" % number, data[place:]) for number, place in enumerate(places, start=1))
    assert data.count(b"/Subtype /Image") == 3  # with the mask of the second picture
    assert data.count(b"/FontFile2") == 1
    (content,) = (text for text in streams(data) if b" Tm <" in text)
    written = [bytes.fromhex(text.decode()).decode("cp1252") for text in re.findall(rb"Tm <([0-9a-f]*)> Tj", content)]
    assert written == drawing.words
    assert b"40.00 0 0 -40.00 100.00 80.00 cm /I0 Do" in content


def streams(data):
    """The unpacked streams of a PDF."""
    for match in re.finditer(rb"/Length (\d+) >>\nstream\n", data):
        yield zlib.decompress(data[match.end() : match.end() + int(match[1])])


def test_a_figure_on_a_dark_ground():
    shown = np.asarray(draw_image(Drawing(20, 20, ground="dark")))
    assert (shown == THEMES["dark"].ground).all()


@pytest.mark.parametrize("ground", THEMES)
def test_words_can_be_read_on_their_ground(ground):
    """Contrast as WCAG 2 measures it: 4.5 for words, 3 for marks."""
    theme = THEMES[ground]

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    def contrast(colour):
        high, low = sorted((luminance(colour), luminance(theme.ground)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    assert min(contrast(theme.ink), contrast(theme.faint)) > 4.5
    assert all(contrast(colour) > 2.6 for colour in theme.series)


def test_other_suffixes(drawing, tmp_path):
    with raises(FileError, "unsupported", subject=tmp_path / "a.bmp"):
        save_drawing(drawing, tmp_path / "a.bmp")
