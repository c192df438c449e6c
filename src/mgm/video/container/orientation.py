"""How a coded picture becomes upright: the display matrix of phones, front cameras and screen recorders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import av.video.frame
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer

from mgm.errors import VideoError

_NEARLY_STRAIGHT = 0.0175
"""Tangent of one degree. FFmpeg's own player turns by quarters up to there, too."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """The steps that make a coded picture upright: one of the four quarter turns, mirrored or not.

    Attributes:
        transposed: first, rows and columns change places.
        mirrored: then the picture is mirrored left to right.
        flipped: then it is mirrored top to bottom.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @classmethod
    def of(cls, picture: av.video.frame.VideoFrame, name: str) -> Orientation:
        """The orientation of a decoded picture of the video `name`.

        Raises:
            VideoError: the display matrix turns the picture by another angle, or shears it.
        """
        # `picture.side_data` would create a reference cycle, see `mgm.video.motion.vectors.frame_vectors`.
        data = SideDataContainer(picture).get("DISPLAYMATRIX")  # type: ignore[call-arg]
        if data is None:
            return UPRIGHT
        # x' = a x + c y, y' = b x + d y; a matrix of zeros, which some writers leave, is none.
        (a, b), (c, d) = np.frombuffer(cast(bytes, data), np.int32).reshape(3, 3)[:2, :2].tolist()
        straight, crossed = (abs(a), abs(d)), (abs(b), abs(c))
        transposed = max(crossed) > max(straight)
        along, across = (crossed, straight) if transposed else (straight, crossed)
        if max(across) > _NEARLY_STRAIGHT * min(along):
            raise VideoError(
                name,
                f"found the display matrix ({a / 65536:.2f}, {b / 65536:.2f}, {c / 65536:.2f}, {d / 65536:.2f})",
                "a turn by 0, 90, 180 or 270 degrees, mirrored or not",
                "re-encode it upright: ffmpeg -i IN OUT",
                reason="unsupported",
            )
        return cls(transposed, (c if transposed else a) < 0, (b if transposed else d) < 0)

    @property
    def degrees(self) -> int:
        """The counter-clockwise turn that follows a mirroring left to right, if there is any: 0, 90, 180 or -90."""
        if self.transposed:
            return -90 if self.mirrored else 90
        return 180 if self.flipped else 0

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the upright picture."""
        return (width, height) if self.transposed else (height, width)

    def image(self, coded: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """An upright view of pixels (H, W, 3)."""
        image = coded.swapaxes(0, 1) if self.transposed else coded
        return image[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]

    def coded(self, upright: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A view of upright pixels (H, W, 3) as they are coded: the inverse of `image`."""
        image = upright[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]
        return image.swapaxes(0, 1) if self.transposed else image

    def coded_box(self, box: tuple[int, int, int, int], height: int, width: int) -> tuple[int, int, int, int]:
        """The region of a coded picture of `height` x `width` that a region (x, y, width, height) of the upright one shows."""
        upright_height, upright_width = self.shape(height, width)
        x, y, w, h = box
        if self.mirrored:
            x = upright_width - x - w
        if self.flipped:
            y = upright_height - y - h
        return (y, x, h, w) if self.transposed else (x, y, w, h)


UPRIGHT = Orientation()
