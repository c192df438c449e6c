"""The font of labels in pictures."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from matplotlib import get_data_path
from PIL import ImageFont


@lru_cache(maxsize=8)
def label_font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, `size` pixels high: the same on every machine, and it knows far more than ASCII."""
    return ImageFont.truetype(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)
