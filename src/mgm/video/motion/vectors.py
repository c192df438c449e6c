"""Motion vectors as the decoder exports them, frame by frame, in display order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import av.video.frame
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer

from mgm.kept_memory import MOST_KEPT, KeptMemory
from mgm.video.container.locator import VideoLocator
from mgm.video.container.stream import decode_all, open_video

VECTOR_DTYPE = np.dtype(
    [
        ("source", np.int32),  # -1: list 0 (past); +1: list 1 (future); the list, not the distance
        ("w", np.uint8),
        ("h", np.uint8),
        ("src_x", np.int16),
        ("src_y", np.int16),
        ("dst_x", np.int16),
        ("dst_y", np.int16),
        ("flags", np.uint64),
        ("motion_x", np.int32),
        ("motion_y", np.int32),
        ("motion_scale", np.uint16),
    ],
    align=True,
)
"""FFmpeg's AVMotionVector. Its padding bytes are not initialised: compare fields, never bytes."""

NO_VECTORS = np.empty(0, VECTOR_DTYPE)

PICTURE_TYPES = "?IPBSsib"
"""Letters of `av.video.frame.PictureType`, by value."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameVectors:
    """The motion vectors of one frame.

    Attributes:
        index: number of the frame in display order, from 0.
        pts_seconds: presentation time in seconds, NaN if the container has none.
        picture_type: "I", "P" or "B" (other picture types of the decoder by their letter).
        vectors: array of `VECTOR_DTYPE`, one element per block and list, possibly empty. `dst_x, dst_y` is the centre of the
            block in pixels of the coded frame; `-motion / motion_scale` is its displacement since the reference (list 0).
    """

    index: int
    pts_seconds: float
    picture_type: str
    vectors: npt.NDArray[np.void]


_LEAST = 2**20
"""Bytes of the first block of a clip, at least."""


class _Kept(KeptMemory):
    """Attributes: `used`: bytes of the thread's last clip, `_LEAST` if it had fewer."""

    used = _LEAST


_kept = _Kept()


class VectorMemory:
    """Copies of the vectors of a clip's frames, side by side in memory that the thread's next clip uses again."""

    def __init__(self) -> None:
        self._block: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._begin = self._before = 0  # of the next copy in the block; bytes in the blocks before it

    def copy(self, data: bytes | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A copy of bytes, or of another buffer. Others take its memory when it, its views and this object are gone."""
        source = np.frombuffer(data, np.uint8)
        if self._begin + len(source) > len(self._block):
            self._before += self._begin
            self._begin = 0
            size = 2 * len(self._block) or _kept.used
            self._block = _kept.empty((max(min(size, MOST_KEPT), len(source)),))
        copied = self._block[self._begin : self._begin + len(source)]
        copied[:] = source
        self._begin += len(source)
        _kept.used = max(self._before + self._begin, _LEAST)
        return copied


def frame_vectors(frame: av.video.frame.VideoFrame, memory: VectorMemory | None = None) -> npt.NDArray[np.void]:
    """The exported vectors of a decoded frame: array of `VECTOR_DTYPE`, a copy that outlives the frame.

    Args:
        memory: of the copy; None: its own.
    """
    # `frame.side_data` would create a reference cycle of frame and data: the memory of the picture is then released by the
    # garbage collector only, which costs a tenth of decoding.
    data = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
    if data is None:
        return NO_VECTORS
    # Copying bytes costs a tenth of copying a structured array, which numpy copies field by field.
    copied = np.frombuffer(bytearray(data), np.uint8) if memory is None else memory.copy(cast(bytes, data))
    return copied.view(VECTOR_DTYPE)


def scale_vectors(vectors: npt.NDArray[np.void], factor_x: float, factor_y: float) -> npt.NDArray[np.void]:
    """The vectors of a picture that is scaled by the factors; blocks are cut at the 255 pixels that the type holds."""
    scaled = vectors.copy()
    for names, factor in (
        (("w", "src_x", "dst_x", "motion_x"), factor_x),
        (("h", "src_y", "dst_y", "motion_y"), factor_y),
    ):
        for name in names:
            limits = np.iinfo(VECTOR_DTYPE[name])
            scaled[name] = np.rint(vectors[name] * factor).clip(limits.min, limits.max)
    return scaled


def iter_motion_vectors(video: VideoLocator) -> Iterator[FrameVectors]:
    """Yield the raw motion vectors of every frame of a video (a path, URL, bytes or file object), in display order.

    I-frames, and codecs without exported vectors (HEVC, VP9, AV1, MJPEG), yield frames with empty `vectors`.

    Raises:
        VideoError: the video cannot be opened, is damaged, or has no frame.
    """
    with open_video(video, vectors=True) as opened:
        for index, frame in enumerate(decode_all(opened)):
            pts_seconds = float("nan") if frame.pts is None else opened.seconds(index, frame.pts)
            yield FrameVectors(index, pts_seconds, PICTURE_TYPES[int(frame.pict_type)], frame_vectors(frame))
