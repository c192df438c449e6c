"""The largest picture that is decoded: a file of some kilobytes can announce one of gigabytes."""

from __future__ import annotations

from typing import Final

from mgm.errors import VideoError

MAX_PIXELS: Final = 2**26
"""8192 x 8192, twice the pixels of an 8K film."""


def check_picture_size(name: object, width: int, height: int) -> None:
    """Raise VideoError about `name` if a picture of this size, in pixels, is too large to be decoded."""
    if width * height > MAX_PIXELS:
        raise VideoError(
            name,
            f"pictures of {width}x{height} pixels",
            f"at most {MAX_PIXELS:,} pixels",
            "make them smaller",
            reason="unsupported",
        )
