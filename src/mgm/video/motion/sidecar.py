"""A sidecar, the file of a video's motion: its layout, and its fields, read in blocks without decoding the video.

    head | block 0 | block 1 | ... | index | tail

A block contains 32 frames as one zstandard frame with its checksum. The index contains the properties of all frames and the
offsets of the blocks. The tail contains the offset of the index, so that a file is written in one pass and truncation is detected.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.files.json_text import read_json
from mgm.version import VERSION as MGM_VERSION
from mgm.video.motion.cache_format import (
    CorruptBytesError,
    decompress,
    most_packed,
    shuffled,
    unpack_fields,
    unshuffled,
    zstandard_package,
)
from mgm.video.motion.field import VectorField, grid_shape
from mgm.video.motion.streaming import FrameMotion

CACHE_VERSION = 2
"""Increased when the layout changes, or when the same stream yields other fields than before."""

BLOCK_FRAMES = 32
"""Frames compressed together: a clip of 16 x 4 frames needs two or three blocks."""

MAGIC = b"MGMV"
HEAD = struct.Struct("<4sHxx")
TAIL = struct.Struct("<QQ4s4x")
_LARGEST_INDEX = 1 << 28

StoredSource = Literal["codec", "raft"]
"""Motion that is stored: the codec's with the reading "clean", or RAFT's."""

Identity = Mapping[str, int | str]
"""Size, time of modification and content hash of a video."""


class DamagedSidecarError(VideoError):
    """A block of a sidecar does not contain what was written into it. Read the motion from the video instead."""


class UnusableSidecarError(VideoError):
    """A sidecar is missing, not readable, or does not belong to its video."""


@dataclass(frozen=True, slots=True, eq=False)
class Sidecar:
    """The fields of a whole video: RAFT's, or those of `iter_frame_motion` with the reading "clean", bit for bit.

    Attributes:
        source: of the motion.
        path: the sidecar's file, mapped into memory as long as this object lives; or the name of its bytes in errors.
        extent: (height, width) of the coded frame in pixels; fields are not turned upright.
        pts_seconds: float64 (frames,), NaN if unknown.
        picture_types: a letter per frame: "I", "P" or "B".
        is_key: bool (frames,), decoding can start there.
    """

    source: StoredSource
    path: Path
    extent: tuple[int, int]
    pts_seconds: npt.NDArray[np.float64]
    picture_types: str
    is_key: npt.NDArray[np.bool_]
    _bytes: mmap.mmap | bytes = dataclasses.field(repr=False)
    _offsets: npt.NDArray[np.int64] = dataclasses.field(repr=False)

    @property
    def num_frames(self) -> int:
        """Frames of the video."""
        return len(self.pts_seconds)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of 8-px cells."""
        return grid_shape(*self.extent)

    def read(self, first: int, last: int) -> VectorField:
        """The displacements since the previous frame, (n, gh, gw), of frames `first` to `last`, both included; gaps not filled.

        Only the blocks that contain them are decompressed.

        Raises:
            VideoError: a frame is out of range.
            DamagedSidecarError: a block is damaged.
        """
        if not 0 <= first <= last < self.num_frames:
            raise VideoError(
                self.path,
                f"found frames {first} to {last}",
                f"a range within 0 to {self.num_frames - 1}",
                reason="invalid_value",
            )
        field = VectorField.empty((last - first + 1, *self.grid))
        for block in range(first // BLOCK_FRAMES, last // BLOCK_FRAMES + 1):
            start = block * BLOCK_FRAMES
            begin, end = max(first, start), min(last + 1, start + BLOCK_FRAMES)
            stored = self._block(block)
            field.vectors[begin - first : end - first] = stored.vectors[begin - start : end - start]
            field.valid[begin - first : end - first] = stored.valid[begin - start : end - start]
        return field

    def check_blocks(self) -> None:
        """Read every block. Raises DamagedSidecarError."""
        for block in range(len(self._offsets) - 1):
            self._block(block)

    def _block(self, block: int) -> VectorField:
        shape = (min(BLOCK_FRAMES, self.num_frames - block * BLOCK_FRAMES), *self.grid)
        data = self._bytes[self._offsets[block] : self._offsets[block + 1]]
        try:
            return unpack_fields(decompress(data, most_packed(shape)), shape)
        except (CorruptBytesError, ValueError, IndexError, struct.error) as error:
            raise DamagedSidecarError(
                self.path, f"block {block} is damaged", advice="delete the file and build it again", reason="damaged"
            ) from error


@dataclass(slots=True)
class FrameTable:
    """Properties of all frames, collected block by block."""

    pts_seconds: list[float] = dataclasses.field(default_factory=list)
    picture_types: list[str] = dataclasses.field(default_factory=list)
    is_key: list[bool] = dataclasses.field(default_factory=list)

    def extend(self, block: list[FrameMotion]) -> None:
        """Add the frames of a block."""
        self.pts_seconds += [frame.pts_seconds for frame in block]
        self.picture_types += [frame.picture_type for frame in block]
        self.is_key += [frame.is_key for frame in block]


def parse_sidecar(path: Path, data: mmap.mmap | bytes) -> tuple[Sidecar, Identity]:
    """The sidecar, and the identity of its video."""
    try:
        zstandard_package()
    except VideoError as error:
        raise UnusableSidecarError(path, error.found, advice=error.advice, reason=error.reason) from error
    if len(data) < HEAD.size + TAIL.size or data[: len(MAGIC)] != MAGIC:
        raise UnusableSidecarError(path, "is not a motion cache", reason="malformed")
    version = HEAD.unpack_from(data)[1]
    if version != CACHE_VERSION:
        raise UnusableSidecarError(path, f"found version {version}", f"{CACHE_VERSION}", reason="unsupported")
    start, size, magic = TAIL.unpack_from(data, len(data) - TAIL.size)
    if magic != MAGIC or start + size + TAIL.size != len(data):
        raise UnusableSidecarError(path, "is truncated or damaged", reason="truncated")
    try:
        return _unpack_index(path, data, decompress(data[start : start + size], _LARGEST_INDEX))
    except (CorruptBytesError, ValueError, KeyError, TypeError, IndexError) as error:
        raise damaged_index(path) from error


def damaged_index(path: Path) -> UnusableSidecarError:
    """The error of a sidecar whose index does not contain what it should."""
    return UnusableSidecarError(path, "its index is damaged", reason="damaged")


def pack_index(
    frames: FrameTable, offsets: list[int], extent: tuple[int, int], identity: Identity, source: StoredSource
) -> bytes:
    """The index before compression: one line of JSON, then arrays."""
    header = {"mgm": MGM_VERSION, "frames": len(frames.pts_seconds), "extent": extent, "video": identity}
    if source != "codec":
        header["source"] = source
    parts = [json.dumps(header).encode() + b"\n", np.array(offsets, "<i8").tobytes()]
    parts += [shuffled(np.array(frames.pts_seconds, "<f8")), "".join(frames.picture_types).encode()]
    parts += [np.packbits(frames.is_key).tobytes()]
    return b"".join(parts)


def _unpack_index(path: Path, data: mmap.mmap | bytes, index: bytes) -> tuple[Sidecar, Identity]:
    """The sidecar of `data`, and the identity of its video, from the `index` of `pack_index`."""
    position = index.index(b"\n") + 1
    header = read_json(index[:position])
    frames = int(header["frames"])
    offsets = np.frombuffer(index, "<i8", -(-frames // BLOCK_FRAMES) + 1, position)
    position += offsets.nbytes
    pts_seconds = unshuffled(index[position : position + 8 * frames], np.dtype("<f8"))
    position += pts_seconds.nbytes
    picture_types = index[position : position + frames].decode()
    is_key = np.unpackbits(np.frombuffer(index, np.uint8, offset=position + frames), count=frames).astype(np.bool_)
    extent = (int(header["extent"][0]), int(header["extent"][1]))
    identity: Identity = dict(header["video"])
    source: StoredSource = "raft" if header.get("source") == "raft" else "codec"
    return Sidecar(source, path, extent, pts_seconds, picture_types, is_key, data, offsets), identity
