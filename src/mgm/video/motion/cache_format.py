"""Encode vector fields as few bytes: lossless, small, and quick to decode."""

from __future__ import annotations

import struct
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.motion.field import VectorField

_LARGEST_PALETTE = 1 << 16


class CorruptBytesError(Exception):
    """Compressed bytes fail their checks; the reader of the file raises the error that names it."""


def pack_fields(field: VectorField) -> bytes:
    """A field as bytes for a compressor: the palette of its numbers, the most frequent first, and each value's index into it.

    Vectors are quarter pixels over a few distances and their means: some hundred different numbers. Their bit patterns compress
    badly, their palette indices well. Nothing is rounded.
    """
    values = field.vectors.astype("<f4", copy=False).reshape(-1).view("<u4")
    bits = np.packbits(field.valid).tobytes()
    palette = np.unique(values)
    if len(palette) > _LARGEST_PALETTE:
        return struct.pack("<I", 0) + shuffled(values) + bits
    indices = np.searchsorted(palette, values)
    order = np.argsort(-np.bincount(indices, minlength=len(palette)), kind="stable")
    rank = np.empty(len(palette), "<u2")
    rank[order] = np.arange(len(palette))
    codes = rank[indices]
    packed = codes.astype(np.uint8).tobytes() if len(palette) <= 256 else shuffled(codes)
    return struct.pack("<I", len(palette)) + palette[order].tobytes() + packed + bits


def unpack_fields(data: bytes, shape: tuple[int, int, int]) -> VectorField:
    """The field of `shape` that `pack_fields` encoded, bit for bit.

    Raises:
        ValueError, IndexError, struct.error: `data` is of another shape, or not from `pack_fields`.
    """
    cells = int(np.prod(shape))
    (colours,) = struct.unpack_from("<I", data)
    start = 4 + 4 * colours
    width = 4 if colours == 0 else 1 if colours <= 256 else 2
    codes = unshuffled(data[start : start + 2 * width * cells], np.dtype(f"<u{width}"))
    values = codes if colours == 0 else np.frombuffer(data, "<u4", colours, 4)[codes]
    bits = np.frombuffer(data, np.uint8, -(-cells // 8), start + 2 * width * cells)
    valid = np.unpackbits(bits, count=cells).view(np.bool_).reshape(shape)
    return VectorField(values.view("<f4").reshape(*shape, 2), valid)


def most_packed(shape: tuple[int, int, int]) -> int:
    """Upper bound of the bytes that `pack_fields` returns for a field of `shape`."""
    return 4 + 4 * _LARGEST_PALETTE + 9 * int(np.prod(shape))


def shuffled(values: npt.NDArray[Any]) -> bytes:
    """All first bytes, then all second ones, and so on: high bytes are alike and compress better side by side."""
    return values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def unshuffled(data: bytes, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The values (n,) that `shuffled` encoded."""
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def decompress(data: bytes, most: int) -> bytes:
    """The decompressed bytes, at most `most`; their checksum is verified.

    Raises:
        CorruptBytesError: the bytes are damaged.
        VideoError: the package zstandard is not installed.
    """
    zstandard = zstandard_package()
    try:
        # Without this check a damaged size would be allocated before the checksum is verified.
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= most:
            raise CorruptBytesError
        return bytes(zstandard.ZstdDecompressor().decompress(data))
    except zstandard.ZstdError as error:
        raise CorruptBytesError from error


def zstandard_package() -> ModuleType:
    """The package.

    Raises:
        VideoError: it is not installed.
    """
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise VideoError.missing_package("motion cache", "zstandard", extra="cache") from error
    return zstandard
