"""What headers declare: the reference pictures of an H.264 stream, and where a container says that it ends."""

from __future__ import annotations

from typing import BinaryIO


def most_references(units: list[bytes]) -> int | None:
    """`max_num_ref_frames` of the first sequence parameter set that can be read; None: there is none."""
    found = _first_sequence(units)
    return None if found is None else found[0]


def may_hold_fields(units: list[bytes]) -> bool:
    """Whether an H.264 picture may come as two fields, in packets of their own."""
    found = _first_sequence(units)
    return found is not None and not found[1]


def _first_sequence(units: list[bytes]) -> tuple[int, bool] | None:
    for unit in units:
        if unit and unit[0] & 31 == 7:
            try:
                return _sequence(unit)
            except ValueError:
                continue
    return None


def parameter_sets(extradata: bytes) -> list[bytes]:
    """The NAL units of a decoder configuration: sequence parameter sets of an avcC (ISO 14496-15 5.3.3), or an Annex B stream."""
    if extradata[:1] != b"\1":
        return nal_units(extradata, 0)
    units, position = [], 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        length = int.from_bytes(extradata[position : position + 2], "big")
        units.append(extradata[position + 2 : position + 2 + length])
        position += 2 + length
    return units


def nal_units(data: bytes, length_size: int) -> list[bytes]:
    """The NAL units of a packet, their headers included; `length_size` as `mgm.video.container.h264.nal_length_size` gives it."""
    if length_size == 0:
        return data.split(b"\0\0\1")[1:]
    units, position = [], 0
    while position + length_size < len(data):
        length = int.from_bytes(data[position : position + length_size], "big")
        position += length_size
        units.append(data[position : position + length])
        position += length
    return units


class _Bits:
    """Reads bits from the highest of the first byte on. Raises ValueError behind the last."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._position = 0

    def fixed(self, count: int) -> int:
        self._position += count
        return int(self._bits[self._position - count : self._position], 2)

    def golomb(self) -> int:
        """Exp-Golomb, unsigned (H.264 9.1)."""
        zeros = self._bits.index("1", self._position) - self._position
        self._position += zeros
        return self.fixed(zeros + 1) - 1

    def signed(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


def _sequence(unit: bytes) -> tuple[int, bool]:
    """(max_num_ref_frames, frame_mbs_only_flag) of a sequence parameter set with its emulation prevention (H.264 7.3.2.1.1)."""
    bits = _Bits(unit.replace(b"\0\0\3", b"\0\0")[1:])
    profile = bits.fixed(8)
    bits.fixed(16)  # constraint flags, level
    bits.golomb()  # seq_parameter_set_id
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3:
            bits.fixed(1)
        bits.golomb()  # bit depths
        bits.golomb()
        bits.fixed(1)
        if bits.fixed(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.fixed(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.golomb()  # log2_max_frame_num_minus4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.fixed(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    references = bits.golomb()
    bits.fixed(1)  # gaps in frame_num
    bits.golomb()  # width, height
    bits.golomb()
    return references, bits.fixed(1) == 1


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def declared_end(file: BinaryIO, size: int) -> int | None:
    """Where the outermost parts of a Matroska, AVI or MP4 file say that they end; None: unknown, or another container."""
    head = file.read(64)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        length, position = _ebml_size(head, 4)
        position += length or 0
        file.seek(position)
        segment = file.read(12)
        length, begin = _ebml_size(segment, 4)
        return position + begin + length if segment[:4] == b"\x18\x53\x80\x67" and length is not None else None
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        position = 0
        while head[:4] == b"RIFF":
            length = int.from_bytes(head[4:8], "little")
            if length in (0, 0xFFFFFFFF):  # a writer that could not go back
                return None
            position += 8 + length
            file.seek(position)
            head = file.read(8)
        return position
    return _end_of_boxes(file, size) if head[4:8] == b"ftyp" else None


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """(a variable-length size of Matroska, the position behind it); None: unknown, as live streams have it (RFC 8794 6)."""
    first = data[position] if position < len(data) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(data[position : position + length], "big") & ((1 << 7 * length) - 1)
    known = length <= 8 and value != (1 << 7 * length) - 1
    return (value if known else None), position + length


def _end_of_boxes(file: BinaryIO, size: int) -> int | None:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 or not head[4:8].isalnum():  # it reaches to the end by its own word; or what follows is no box
            return None
        if length < 8:
            return None
        position += length
    return position
