"""Motion fields as few bytes: lossless, small, and quick to read back."""

from __future__ import annotations

import struct
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.motion.field import VectorField

_MOST_COLOURS = 1 << 16


class UnreadableError(Exception):
    """Why compressed bytes cannot be read."""


def pack(field: VectorField) -> bytes:
    """A field as bytes to compress: the palette of their numbers, the most frequent
    first, and for each value its place in it.

    Vectors are quarter pixels over a few distances and their means: some hundred different numbers, whose bit patterns compress
    badly and whose places in a palette do well. Nothing is rounded.
    """
    values = field.vectors.astype("<f4", copy=False).reshape(-1).view("<u4")
    bits = np.packbits(field.valid).tobytes()
    palette = np.unique(values)
    if len(palette) > _MOST_COLOURS:
        return struct.pack("<I", 0) + shuffled(values) + bits
    places = np.searchsorted(palette, values)
    order = np.argsort(-np.bincount(places, minlength=len(palette)), kind="stable")
    rank = np.empty(len(palette), "<u2")
    rank[order] = np.arange(len(palette))
    codes = rank[places]
    packed = codes.astype(np.uint8).tobytes() if len(palette) <= 256 else shuffled(codes)
    return struct.pack("<I", len(palette)) + palette[order].tobytes() + packed + bits


def unpack(data: bytes, shape: tuple[int, int, int]) -> VectorField:
    """The field of `shape` that `pack` was given, bit for bit.

    Raises:
        ValueError, IndexError, struct.error: `data` is of another shape, or not from `pack`.
    """
    cells = int(np.prod(shape))
    (colours,) = struct.unpack_from("<I", data)
    place = 4 + 4 * colours
    width = 4 if colours == 0 else 1 if colours <= 256 else 2
    codes = unshuffled(data[place : place + 2 * width * cells], np.dtype(f"<u{width}"))
    values = codes if colours == 0 else np.frombuffer(data, "<u4", colours, 4)[codes]
    bits = np.frombuffer(data, np.uint8, -(-cells // 8), place + 2 * width * cells)
    valid = np.unpackbits(bits, count=cells).view(np.bool_).reshape(shape)
    return VectorField(values.view("<f4").reshape(*shape, 2), valid)


def most_packed(shape: tuple[int, int, int]) -> int:
    """Bytes that `pack` makes at most of a field of `shape`."""
    return 4 + 4 * _MOST_COLOURS + 9 * int(np.prod(shape))


def shuffled(values: npt.NDArray[Any]) -> bytes:
    """All first bytes, then all second ones...: high bytes are alike, and compress when they stand together."""
    return values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def unshuffled(data: bytes, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The values (n,) that `shuffled` was given."""
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def decompress(data: bytes, most: int) -> bytes:
    """What was compressed, at most `most` bytes; its checksum is verified.

    Raises:
        UnreadableError: damaged.
        VideoError: no package zstandard.
    """
    zstandard = zstandard_package()
    try:
        # A damaged size would have memory allocated for it before the checksum is looked at.
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= most:
            raise UnreadableError(f"claims {size} bytes")
        return bytes(zstandard.ZstdDecompressor().decompress(data))
    except zstandard.ZstdError as error:
        raise UnreadableError(str(error)) from None


def zstandard_package() -> ModuleType:
    """The package; VideoError where it is not installed."""
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise VideoError(
            "a cache of motion needs the package zstandard: pip install 'motion-guided-masking[cache]', or '.[cache]' in a checkout"
        ) from error
    return zstandard
