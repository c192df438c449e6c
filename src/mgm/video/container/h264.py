"""H.264 syntax that is read before a picture is decoded."""

from __future__ import annotations

from typing import NamedTuple


class SliceInfo(NamedTuple):
    """Properties of a coded picture, from the header of its first slice.

    Attributes:
        reference: later pictures may refer to it.
        idr: it is an IDR picture: no later picture refers to one before it.
        intra: its first slice is intra coded.
    """

    reference: bool
    idr: bool
    intra: bool


def nal_length_size(extradata: bytes) -> int:
    """Bytes of the length before each NAL unit of a stream with this extradata; 0: start codes (Annex B).

    The packets cannot decide it: a NAL unit of 256-511 bytes has a length that looks like a start code.
    """
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0


def parse_first_slice(data: bytes, length_size: int) -> SliceInfo:
    """Read the first slice header of a packet (H.264 7.3.1, 7.3.3).

    Under periodic intra refresh, containers mark P-pictures as keyframes, but decoding is exact only a whole refresh later:
    `intra` is False for them.
    """
    position = 0
    while True:
        if length_size == 0:
            position = data.find(b"\0\0\1", position) + 3
            if position < 3 or position >= len(data):
                return SliceInfo(reference=True, idr=False, intra=False)
            header = data[position]
        else:
            if position + length_size >= len(data):
                return SliceInfo(reference=True, idr=False, intra=False)
            header = data[position + length_size]
        if header & 31 in (1, 2, 5):  # a slice, its partition A, or a slice of an IDR picture
            start = position + length_size + 1
            # first_mb_in_slice 0 is the bit 1; then slice_type 2 or 7 as Exp-Golomb: 011 or 0001000
            intra = start < len(data) and (data[start] >> 4 == 0b1011 or data[start] == 0b10001000)
            return SliceInfo(header >> 5 & 3 > 0, header & 31 == 5, intra)
        if length_size:
            position += length_size + int.from_bytes(data[position : position + length_size], "big")
