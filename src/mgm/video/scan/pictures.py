"""Check that the pictures of a stream can be converted to RGB, and whether they are all of one size."""

from __future__ import annotations

from dataclasses import dataclass, field

import av.video.frame

from mgm.errors import VideoError
from mgm.video.clip.rgb import FrameConverter
from mgm.video.container.picture_size import OneSize

_SIZE = 32
"""Pixels of the side to which a picture is converted: any size shows whether it can be."""


@dataclass(slots=True)
class PictureCheck:
    """Converts the first picture of each kind in a stream.

    Attributes:
        name: of the video, for errors.
        first: the first picture's width, height and FFmpeg's name of its pixel format; None before it.
        not_converted: the error of the first picture that cannot be; None if there is none.
        size_change: the error of the first picture of another size, which readers without a `size` raise; None if there is none.
    """

    name: str
    first: tuple[int, int, str] | None = field(default=None, init=False)
    not_converted: VideoError | None = field(default=None, init=False)
    size_change: VideoError | None = field(default=None, init=False)
    _converter: FrameConverter = field(init=False)
    _one_size: OneSize = field(init=False)
    _seen: set[tuple[int | str, ...]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._converter = FrameConverter(size=_SIZE, crop="centre", name=self.name)
        self._one_size = OneSize(self.name)

    def __call__(self, picture: av.video.frame.VideoFrame) -> None:
        """Check the next picture."""
        shape = picture.width, picture.height, picture.format.name
        self.first = self.first or shape
        kind = *shape, picture.colorspace, picture.color_range, picture.color_trc
        if kind in self._seen:
            return
        self._seen.add(kind)
        try:
            self._one_size(picture)
        except VideoError as error:
            self.size_change = self.size_change or error
        try:
            self._converter(picture)
        except VideoError as error:
            self.not_converted = self.not_converted or error

    def release(self) -> None:
        """Leave the filters to the next video of this thread, see `FrameConverter.release`; not those that may have failed."""
        if self.not_converted is None:
            self._converter.release()
