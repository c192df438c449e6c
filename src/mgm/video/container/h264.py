"""H.264 syntax that is read before a picture is decoded."""

from __future__ import annotations

from functools import lru_cache
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


class SequenceInfo(NamedTuple):
    """Properties of a stream, from a sequence parameter set.

    Attributes:
        number: `seq_parameter_set_id`.
        max_references: `max_num_ref_frames`.
        frames_only: `frame_mbs_only_flag`: no picture comes as two fields.
        reordering: `max_num_reorder_frames`: pictures that are decoded before one that is shown earlier; None: not declared.
        separate_planes: `separate_colour_plane_flag`.
        chroma: `ChromaArrayType` is not 0: predictions have weights of chroma.
        frame_number_bits: bits of a slice's `frame_num`.
        gaps_allowed: `gaps_in_frame_num_value_allowed_flag`: pictures may have been left out, as layers of a lower rate are.
        order_type: `pic_order_cnt_type`.
        order_bits: bits of a slice's `pic_order_cnt_lsb`; 0 if it has none.
        order_deltas: whether a slice of order type 1 has `delta_pic_order_cnt`.
    """

    number: int
    max_references: int
    frames_only: bool
    reordering: int | None
    separate_planes: bool
    chroma: bool
    frame_number_bits: int
    gaps_allowed: bool
    order_type: int
    order_bits: int
    order_deltas: bool

    @property
    def frame_numbers(self) -> int:
        """`MaxFrameNum`: the number after which `frame_num` starts again at 0."""
        return 1 << self.frame_number_bits


def nal_length_size(extradata: bytes) -> int:
    """Bytes of the length before each NAL unit of a stream with this extradata; 0: start codes (Annex B).

    The packets cannot decide it: a NAL unit of 256-511 bytes has a length that looks like a start code.
    """
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0


def parse_first_slice(data: bytes | memoryview, length_size: int) -> SliceInfo:
    """Read the first slice header of a packet (H.264 7.3.1, 7.3.3), which is bytes if `length_size` is 0.

    Under periodic intra refresh, containers mark P-pictures as keyframes, but decoding is exact only a whole refresh later:
    `intra` is False for them.
    """
    position = 0
    while True:
        if length_size == 0:
            position = bytes(data).find(b"\0\0\1", position) + 3
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


_DISPLAY_ORIENTATION = 47


def declares_orientation(data: bytes, length_size: int) -> bool:
    """Whether a packet holds a display orientation among its supplemental messages (H.264 7.3.2.3.1, D.1.27)."""
    return any(
        unit[:1] and unit[0] & 31 == 6 and _DISPLAY_ORIENTATION in _message_types(unit)
        for unit in nal_units(data, length_size)
    )


def _message_types(unit: bytes) -> list[int]:
    """The payload types of a unit of supplemental messages; type and size are sums of bytes up to the first below 255."""
    types, position = [], 1
    while position + 1 < len(unit):
        numbers = []
        for _ in ("type", "size"):
            begin = position
            while unit[position : position + 1] == b"\xff":
                position += 1
            numbers.append(sum(unit[begin : position + 1]))
            position += 1
        types.append(numbers[0])
        position += numbers[1]
    return types


def most_references(units: list[bytes]) -> int | None:
    """`max_num_ref_frames` of the first readable sequence parameter set; None without one."""
    found = _first_sequence(units)
    return None if found is None else found.max_references


def may_hold_fields(units: list[bytes]) -> bool:
    """Whether an H.264 picture may come as two fields, in packets of their own."""
    found = _first_sequence(units)
    return found is not None and not found.frames_only


@lru_cache(maxsize=64)
def declared_reordering(extradata: bytes) -> int | None:
    """`reordering` of the only sequence parameter set of an avcC; None if it does not declare it, and decoders guess."""
    units = [unit for unit in parameter_sets(extradata) if unit[:1] and unit[0] & 31 == 7]
    found = _first_sequence(units) if extradata[:1] == b"\1" and len(units) == 1 else None
    return None if found is None else found.reordering


def _first_sequence(units: list[bytes]) -> SequenceInfo | None:
    for unit in units:
        if unit and unit[0] & 31 == 7:
            try:
                return parse_sequence(unit)
            except ValueError:
                continue
    return None


def parameter_sets(extradata: bytes) -> list[bytes]:
    """The NAL units of a decoder configuration: sequence, then picture parameter sets (ISO 14496-15 5.3.3), or Annex B."""
    if extradata[:1] != b"\1":
        return nal_units(extradata, 0)
    units, position = [], 5
    for mask in (31, 255):
        count = extradata[position] & mask if len(extradata) > position else 0
        position += 1
        for _ in range(count):
            length = int.from_bytes(extradata[position : position + 2], "big")
            units.append(extradata[position + 2 : position + 2 + length])
            position += 2 + length
    return units


def nal_units(data: bytes, length_size: int) -> list[bytes]:
    """The NAL units of a packet, their headers included; `length_size` from `nal_length_size`."""
    if length_size == 0:
        return data.split(b"\0\0\1")[1:]
    units, position = [], 0
    while position + length_size < len(data):
        length = int.from_bytes(data[position : position + length_size], "big")
        position += length_size
        units.append(data[position : position + length])
        position += length
    return units


class Bits:
    """Reads the bits of a NAL unit after its header, the highest of each byte first. Raises ValueError beyond the last.

    Emulation prevention bytes (H.264 7.4.1) are left out.
    """

    def __init__(self, unit: bytes) -> None:
        payload = unit.replace(b"\0\0\3", b"\0\0")[1:]
        self._bits = bin(int.from_bytes(b"\1" + payload))[3:]  # the 1 keeps leading zeros
        self._position = 0

    def fixed(self, count: int) -> int:
        """An unsigned number of `count` bits; 0 bits are 0."""
        self._position += count
        if self._position > len(self._bits):
            raise ValueError("cut")
        return int(self._bits[self._position - count : self._position], 2) if count else 0

    def golomb(self) -> int:
        """Exp-Golomb, unsigned (H.264 9.1)."""
        zeros = self._bits.index("1", self._position) - self._position
        self._position += zeros
        return self.fixed(zeros + 1) - 1

    def signed(self) -> int:
        """Exp-Golomb, signed (H.264 9.1.1)."""
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


_SEQUENCE_BYTES = 8192
"""More than any sequence parameter set has. A file may declare megabytes, whose bits would take 70 times the memory."""
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


def parse_sequence(unit: bytes) -> SequenceInfo:
    """Parse a sequence parameter set (H.264 7.3.2.1.1). Raises ValueError if it is not complete."""
    return _parse_sequence(unit[:_SEQUENCE_BYTES])


@lru_cache(maxsize=64)  # the videos of a set often share it, and each is asked for its set several times
def _parse_sequence(unit: bytes) -> SequenceInfo:
    bits = Bits(unit)
    profile = bits.fixed(8)
    bits.fixed(16)  # constraint flags, level
    number = bits.golomb()
    separate_planes, chroma = _skip_high_profile(bits) if profile in _HIGH_PROFILES else (False, True)
    frame_number_bits = bits.golomb() + 4
    order_type = bits.golomb()
    order_bits, order_deltas = 0, False
    if order_type == 0:
        order_bits = bits.golomb() + 4
    elif order_type == 1:
        order_deltas = not bits.fixed(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    references = bits.golomb()
    gaps_allowed = bits.fixed(1) == 1
    bits.golomb()  # width, height
    bits.golomb()
    frames_only = bits.fixed(1) == 1
    reordering = _parse_reordering(bits, frames_only=frames_only)
    return SequenceInfo(
        number,
        references,
        frames_only,
        reordering,
        separate_planes,
        chroma,
        frame_number_bits,
        gaps_allowed,
        order_type,
        order_bits,
        order_deltas,
    )


def _skip_high_profile(bits: Bits) -> tuple[bool, bool]:
    """Skip what the high profiles add to a sequence parameter set. Returns its `separate_planes` and `chroma`."""
    chroma = bits.golomb()
    separate_planes = chroma == 3 and bits.fixed(1) == 1
    bits.golomb()  # bit depths
    bits.golomb()
    bits.fixed(1)
    if bits.fixed(1):
        for number in range(12 if chroma == 3 else 8):
            if bits.fixed(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return separate_planes, chroma != 0 and not separate_planes


def _parse_reordering(bits: Bits, *, frames_only: bool) -> int | None:
    """`max_num_reorder_frames`, from after `frame_mbs_only_flag` on; None: not declared (H.264 7.3.2.1.1, E.1.1)."""
    try:
        bits.fixed(1 if frames_only else 2)  # macroblock-adaptive fields, direct_8x8_inference_flag
        if bits.fixed(1):  # cropping
            for _ in range(4):
                bits.golomb()
        if not bits.fixed(1):  # vui_parameters_present_flag
            return None
        if bits.fixed(1) and bits.fixed(8) == _EXTENDED_ASPECT:
            bits.fixed(32)
        if bits.fixed(1):  # overscan
            bits.fixed(1)
        if bits.fixed(1):  # video format, range
            bits.fixed(4)
            if bits.fixed(1):  # colours
                bits.fixed(24)
        if bits.fixed(1):  # sites of chroma
            bits.golomb()
            bits.golomb()
        if bits.fixed(1):  # timing
            bits.fixed(65)
        buffers = False
        for _ in range(2):
            if bits.fixed(1):
                _skip_buffer(bits)
                buffers = True
        bits.fixed(2 if buffers else 1)  # low delay, pic_struct_present_flag
        if not bits.fixed(1):  # bitstream_restriction_flag
            return None
        bits.fixed(1)
        for _ in range(4):
            bits.golomb()
        return bits.golomb()
    except ValueError:
        return None


_EXTENDED_ASPECT = 255


def _skip_buffer(bits: Bits) -> None:
    """Skip the parameters of a hypothetical decoder's buffer (H.264 E.1.2)."""
    count = bits.golomb() + 1
    bits.fixed(8)
    for _ in range(count):
        bits.golomb()
        bits.golomb()
        bits.fixed(1)
    bits.fixed(20)


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
