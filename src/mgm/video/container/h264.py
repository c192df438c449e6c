"""What an H.264 packet says of its picture before it is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mgm.video.container.stream import OpenVideo


def nal_length_size(video: OpenVideo) -> int | None:
    """Bytes of the length before each H.264 NAL unit; 0: start codes (Annex B); None: not H.264.

    Decided from the extradata: a NAL unit of 256-511 bytes has a length that looks like a start code.
    """
    context = video.stream.codec_context
    if context.codec.canonical_name != "h264":
        return None
    extradata = context.extradata or b""
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0


def first_slice(data: bytes, length_size: int) -> tuple[bool, bool, bool]:
    """(other pictures may refer to this one, it is an IDR picture, it is intra coded), from its first slice (H.264 7.3.1, 7.3.3).

    Under periodic intra refresh containers call P-pictures key, but decoding is exact only a whole refresh later.
    """
    position = 0
    while True:
        if length_size == 0:
            position = data.find(b"\0\0\1", position) + 3
            if position < 3 or position >= len(data):
                return True, False, False
            header = data[position]
        else:
            if position + length_size >= len(data):
                return True, False, False
            header = data[position + length_size]
        if header & 31 in (1, 2, 5):  # a slice, its partition A, or a slice of an IDR picture
            start = position + length_size + 1
            # first_mb_in_slice 0 is the bit 1; then slice_type 2 or 7 as Exp-Golomb: 011 or 0001000
            intra = start < len(data) and (data[start] >> 4 == 0b1011 or data[start] == 0b10001000)
            return header >> 5 & 3 > 0, header & 31 == 5, intra
        if length_size:
            position += length_size + int.from_bytes(data[position : position + length_size], "big")
