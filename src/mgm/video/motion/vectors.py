"""Motion vectors as the decoder exports them, frame by frame, in display order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import av.video.frame
import numpy as np
import numpy.typing as npt
from av.sidedata.motionvectors import MotionVectors
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

    def __repr__(self) -> str:
        """Without the vectors: numpy prints arrays of less than a thousand in full."""
        return f"FrameVectors(frame {self.index}, {self.pts_seconds:.2f} s, {self.picture_type}, {len(self.vectors):,} vectors)"


_LEAST = 2**20 // VECTOR_DTYPE.itemsize
"""Vectors in the first block of a clip, at least: a megabyte."""
_MOST = MOST_KEPT // VECTOR_DTYPE.itemsize

_kept = KeptMemory()

Place = tuple[int, int, int]
"""Of a frame's vectors in a `VectorMemory`: the block, and the first and the end in it."""


class VectorMemory:
    """Copies of the vectors of a clip's frames, side by side in memory that the thread's next clip uses again.

    Attributes:
        blocks: arrays of `VECTOR_DTYPE`; the last one has room for more.
    """

    def __init__(self) -> None:
        self.blocks: list[npt.NDArray[np.void]] = []
        self._end = 0  # of the copies in the last block
        self._room = memoryview(b"")  # the bytes of the last block

    def copy(self, vectors: bytes) -> Place:
        """Copy exported vectors, given as any buffer of bytes. This runs between the pictures of a clip, when the caches hold
        the decoder's data: the less it touches, the better."""
        with memoryview(vectors) as source:
            begin, self._end = self._end, self._end + source.nbytes
            if self._end > self._room.nbytes:
                self._grow(source.nbytes // VECTOR_DTYPE.itemsize)
                begin, self._end = 0, source.nbytes
            self._room[begin : self._end] = source
        return len(self.blocks) - 1, begin // VECTOR_DTYPE.itemsize, self._end // VECTOR_DTYPE.itemsize

    def __getitem__(self, place: Place) -> npt.NDArray[np.void]:
        """The vectors at a place, while this object lives or its arrays do."""
        block, begin, end = place
        return self.blocks[block][begin:end]

    def _grow(self, least: int) -> None:
        """Begin another block, of `least` vectors or more: as large as that of the last clip, or twice the one before it."""
        usual = 2 * len(self.blocks[-1]) if self.blocks else _kept.size // VECTOR_DTYPE.itemsize
        block = _kept.empty((max(least, _LEAST, min(usual, _MOST)),), VECTOR_DTYPE)
        self.blocks.append(block)
        self._room = block.view(np.uint8).data


def exported_vectors(frame: av.video.frame.VideoFrame) -> MotionVectors | None:
    """The vectors that the decoder exported with a frame: a buffer of `VECTOR_DTYPE`; None: an I-frame, or none are exported."""
    # `frame.side_data` would create a reference cycle of frame and data: the memory of the picture is then released by the
    # garbage collector only, which costs a tenth of decoding. A look-up by name costs three times this search.
    for data in SideDataContainer(frame):  # type: ignore[call-arg]
        if isinstance(data, MotionVectors):
            return data
    return None


def frame_vectors(frame: av.video.frame.VideoFrame) -> npt.NDArray[np.void]:
    """The exported vectors of a decoded frame: array of `VECTOR_DTYPE`, a copy that outlives the frame."""
    data = exported_vectors(frame)
    if data is None:
        return NO_VECTORS
    # Copying bytes costs a tenth of copying a structured array, which numpy copies field by field.
    return np.frombuffer(bytearray(cast(bytes, data)), VECTOR_DTYPE)


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
