"""The references of H.264 slices, as their headers and parameter sets declare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mgm.video.container.h264 import Bits, SequenceInfo, parse_sequence

_SLICE, _IDR_SLICE, _SEQUENCE, _PICTURE = 1, 5, 7, 8
_SLICE_TYPES = "PBIPI"
"""Letters of `slice_type` modulo 5; SP and SI count as P and I."""
_SUBTRACT = 0
"""`modification_of_pic_nums_idc`: the picture whose number is lower than that of this one, by what follows plus 1."""
_HEADER_BYTES = 64
"""More than what a picture parameter set without slice groups has, and a slice header up to its references."""


class SliceReferences(NamedTuple):
    """The type and the references of a slice.

    Attributes:
        kind: "I", "P" or "B".
        active: number of pictures of list 0 that it may refer to; 0 in an I-slice.
        nearest_first: the last decoded reference is the first of list 0 of a P-slice.
    """

    kind: str
    active: int
    nearest_first: bool


class _PictureSet(NamedTuple):
    """What a picture parameter set declares about slices (H.264 7.3.2.2)."""

    sequence: int
    field_order: bool
    active: int
    redundant: bool


@dataclass(slots=True)
class SliceParser:
    """Reads slice headers (H.264 7.3.3) of frames; it must see all parameter sets before the slices that use them.

    Attributes:
        sequences, pictures: the parameter sets by number.
    """

    sequences: dict[int, SequenceInfo] = field(default_factory=dict)
    pictures: dict[int, _PictureSet] = field(default_factory=dict)

    def parse(self, units: Iterable[bytes]) -> Iterator[SliceReferences]:
        """Yield the references of the slices among NAL units, and keep the parameter sets.

        Raises:
            ValueError: a header is cut, or has a syntax that no frame of one plane has.
        """
        for unit in units:
            kind = unit[0] & 31 if unit else 0
            if kind == _SEQUENCE:
                sequence = parse_sequence(unit)
                self.sequences[sequence.number] = sequence
            elif kind == _PICTURE:
                self._add_picture_set(Bits(unit[:_HEADER_BYTES]))
            elif kind in (_SLICE, _IDR_SLICE):
                yield self._parse_slice(Bits(unit[:_HEADER_BYTES]), idr=kind == _IDR_SLICE)

    def _add_picture_set(self, bits: Bits) -> None:
        number, sequence = bits.golomb(), bits.golomb()
        bits.fixed(1)  # entropy coder
        field_order = bits.fixed(1) == 1
        if bits.golomb():
            raise ValueError("slice groups")
        active = bits.golomb() + 1
        bits.golomb()  # of list 1
        bits.fixed(3)  # weighted prediction
        for _ in range(3):
            bits.signed()  # quantisers
        bits.fixed(2)  # deblocking, constrained intra prediction
        self.pictures[number] = _PictureSet(sequence, field_order, active, bits.fixed(1) == 1)

    def _parse_slice(self, bits: Bits, *, idr: bool) -> SliceReferences:
        bits.golomb()  # first macroblock
        kind = _SLICE_TYPES[bits.golomb() % 5]
        number = bits.golomb()
        if number not in self.pictures or self.pictures[number].sequence not in self.sequences:
            raise ValueError("unknown parameter set")
        picture = self.pictures[number]
        sequence = self.sequences[picture.sequence]
        if sequence.separate_planes or not sequence.frames_only:
            raise ValueError("planes or fields")
        bits.fixed(sequence.frame_number_bits)
        if idr:
            bits.golomb()
        bits.fixed(sequence.order_bits)
        deltas = sequence.order_deltas or (picture.field_order and sequence.order_type == 0)
        for _ in range(deltas + (picture.field_order and sequence.order_deltas)):
            bits.signed()
        if picture.redundant:
            bits.golomb()
        if kind == "I":
            return SliceReferences(kind, 0, nearest_first=True)
        if kind == "B":
            bits.fixed(1)  # direct prediction
        active = picture.active
        if bits.fixed(1):
            active = bits.golomb() + 1
            if kind == "B":
                bits.golomb()
        # x264 moves a picture to the place that it has anyway, after the keyframe of an open group. Numbers count references.
        nearest_first = not bits.fixed(1) or (bits.golomb() == _SUBTRACT and bits.golomb() == 0)
        return SliceReferences(kind, active, nearest_first)
