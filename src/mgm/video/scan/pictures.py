"""Check that the pictures of a stream can be read as a clip: converted to RGB, and all of one size."""

from __future__ import annotations

from dataclasses import dataclass, field

import av.video.frame

from mgm.errors import VideoError
from mgm.video.clip.rgb import FrameConverter


@dataclass(slots=True)
class PictureCheck:
    """Converts the first picture of each kind in a stream, as a clip over all of it would be.

    Attributes:
        name: of the video, for errors.
        first: the first picture's width, height and FFmpeg's name of its pixel format; None before it.
        error: of the first picture that a clip cannot contain; None if there is none.
    """

    name: str
    first: tuple[int, int, str] | None = field(default=None, init=False)
    error: VideoError | None = field(default=None, init=False)
    _converter: FrameConverter = field(init=False)
    _seen: set[tuple[int | str, ...]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._converter = FrameConverter(size=None, crop=None, name=self.name)

    def __call__(self, picture: av.video.frame.VideoFrame) -> None:
        """Check the next picture."""
        shape = picture.width, picture.height, picture.format.name
        self.first = self.first or shape
        kind = *shape, picture.colorspace, picture.color_range, picture.color_trc
        if self.error is not None or kind in self._seen:
            return
        self._seen.add(kind)
        try:
            self._converter(picture)
        except VideoError as error:
            self.error = error
