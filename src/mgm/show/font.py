"""The font of labels in pictures."""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageFont

from mgm.errors import MgmError


@lru_cache(maxsize=8)
def label_font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, `size` pixels high: the same on every machine."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):  # Pillow was built without FreeType
        raise MgmError(
            "Pillow", "built without FreeType", "fonts", "install Pillow from PyPI", reason="missing_package"
        )
    return font
