"""Packed fields are unpacked bit for bit, and damage is detected."""

import numpy as np
import pytest

from mgm.video.motion.cache_format import (
    CorruptBytesError,
    decompress,
    most_packed,
    pack_fields,
    unpack_fields,
    zstandard_package,
)
from mgm.video.motion.field import VectorField
from tests.video.motion.bits import assert_same_bits


@pytest.mark.parametrize("different", [1, 256, 257, 65536, 70000])
def test_packing_keeps_every_bit(different):
    """Few different numbers are coded in one byte each, more in two, too many are stored as they are."""
    rng = np.random.default_rng(different)
    numbers = rng.choice(2**32, different, replace=False).astype(np.uint32)  # NaN and infinities among them
    numbers[0] = 0x80000000  # minus zero
    values = numbers[rng.permutation(80000) % different].view(np.float32).reshape(2, 100, 200, 2)
    measured = rng.random((2, 100, 200)) < 0.5
    packed = pack_fields(VectorField(values, measured))
    assert len(packed) <= most_packed(measured.shape)
    back = unpack_fields(packed, measured.shape)
    assert_same_bits(back.vectors, values)
    assert np.array_equal(back.valid, measured)


def test_damaged_and_oversized_bytes_are_refused():
    data = zstandard_package().ZstdCompressor(write_checksum=True).compress(bytes(range(256)) * 40)
    assert decompress(data, 256 * 40) == bytes(range(256)) * 40
    with pytest.raises(CorruptBytesError):
        decompress(data, 256 * 40 - 1)
    damaged = bytearray(data)
    damaged[-1] ^= 1
    with pytest.raises(CorruptBytesError):
        decompress(bytes(damaged), 256 * 40)
