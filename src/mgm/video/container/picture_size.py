"""Sizes of pictures: the largest that is decoded, since a file of some kilobytes can announce one of gigabytes; and changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import av.video.frame

from mgm.errors import VideoError

MOST_PICTURE_PIXELS: Final = 2**26
"""8192 x 8192, twice the pixels of an 8K film."""


def check_picture_size(name: object, width: int, height: int) -> None:
    """Raise VideoError about `name` if a picture of this size, in pixels, is too large to be decoded."""
    if width * height > MOST_PICTURE_PIXELS:
        raise VideoError(
            name,
            f"pictures of {width}x{height} pixels",
            f"at most {MOST_PICTURE_PIXELS:,} pixels",
            "make them smaller",
            reason="unsupported",
        )


@dataclass(slots=True)
class OneSize:
    """Observes the decoded pictures of the video `name`. Raises VideoError where their size changes."""

    name: str
    shape: tuple[int, int] | None = field(default=None, init=False)  # (height, width)

    def __call__(self, picture: av.video.frame.VideoFrame) -> None:
        """Compare a picture with the first."""
        shape = picture.height, picture.width
        self.shape = self.shape or shape
        if shape != self.shape:
            raise VideoError(
                self.name,
                f"the size changes from {self.shape[1]}x{self.shape[0]} to {picture.width}x{picture.height} pixels",
                "one size",
                "re-encode it (mgm prepare SRC DST)",
                reason="unsupported",
            )
