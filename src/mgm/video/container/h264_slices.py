"""The numbers and the references of H.264 slices, as their headers and parameter sets declare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mgm.video.container.h264 import Bits, SequenceInfo, parse_sequence

_SLICE, _IDR_SLICE, _SEQUENCE, _PICTURE = 1, 5, 7, 8
_SLICE_TYPES = "PBIPI"
"""Letters of `slice_type` modulo 5; SP and SI count as P and I."""
_NO_MOVE, _LAST_MOVE = (0, 0), 3
"""Move of the last reference to the front, where it is anyway; `modification_of_pic_nums_idc` that ends the moves of a list."""
_OPERANDS = (0, 1, 1, 2, 1, 0, 1)
"""Numbers that follow each `memory_management_control_operation`."""
_RESET = 5
"""The one after which `frame_num` counts from 0."""
_HEADER_BYTES, _WHOLE_HEADER_BYTES = 64, 1024
"""More than what a picture parameter set without slice groups has, and a slice header up to its references; and all of it."""


def is_slice(unit: bytes) -> bool:
    """Whether a NAL unit is a slice that is decoded without others of its picture."""
    return bool(unit) and unit[0] & 31 in (_SLICE, _IDR_SLICE)


def is_reference(unit: bytes) -> bool:
    """Whether later pictures may refer to the picture of a slice."""
    return unit[0] >> 5 & 3 != 0


class SliceReferences(NamedTuple):
    """The type and the references of a slice.

    Attributes:
        kind: "I", "P" or "B".
        active: number of pictures of list 0 that it may refer to; 0 in an I-slice.
        nearest_first: the last decoded reference is the first of list 0 of a P-slice.
        frame_number: `frame_num`, which counts the reference pictures before this one since the last IDR picture.
        sequence: its sequence parameter set.
    """

    kind: str
    active: int
    nearest_first: bool
    frame_number: int
    sequence: SequenceInfo


class _PictureSet(NamedTuple):
    """What a picture parameter set declares about slices (H.264 7.3.2.2)."""

    sequence: int
    field_order: bool
    active: tuple[int, int]
    weighted: frozenset[str]
    redundant: bool


class _SliceHeader(NamedTuple):
    """A slice header.

    Attributes:
        active: number of pictures of each of its lists of references.
        weighted: a table of prediction weights follows the moves.
        moves: those of list 0 that were not read yet.
    """

    references: SliceReferences
    active: tuple[int, ...]
    weighted: bool
    moves: Iterator[tuple[int, int]]


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
            elif is_slice(unit):
                yield self._parse_header(Bits(unit[:_HEADER_BYTES]), idr=kind == _IDR_SLICE).references

    def _add_picture_set(self, bits: Bits) -> None:
        number, sequence = bits.golomb(), bits.golomb()
        bits.fixed(1)  # entropy coder
        field_order = bits.fixed(1) == 1
        if bits.golomb():
            raise ValueError("slice groups")
        active = bits.golomb() + 1, bits.golomb() + 1
        weighted = frozenset("P" * bits.fixed(1) + "B" * (bits.fixed(2) == 1))
        for _ in range(3):
            bits.signed()  # quantisers
        bits.fixed(2)  # deblocking, constrained intra prediction
        self.pictures[number] = _PictureSet(sequence, field_order, active, weighted, bits.fixed(1) == 1)

    def resets_numbers(self, unit: bytes) -> bool:
        """Whether the picture of a slice sets `frame_num` back to 0. Its reference marking says so (H.264 7.3.3.3).

        Args:
            unit: the slice. It is not one of an IDR picture, which always sets it back.

        Raises:
            ValueError: as `parse`.
        """
        if not is_reference(unit):
            return False
        bits = Bits(unit[:_WHOLE_HEADER_BYTES])
        header = self._parse_header(bits, idr=False)
        for _ in header.moves:
            pass
        if len(header.active) == 2:
            for _ in _moves(bits):
                pass
        if header.weighted:
            _skip_weights(bits, header.active, chroma=header.references.sequence.chroma)
        operation = bits.fixed(1)
        while operation:
            operation = bits.golomb()
            if operation == _RESET:
                return True
            if operation >= len(_OPERANDS):
                raise ValueError("unknown reference marking")
            for _ in range(_OPERANDS[operation]):
                bits.golomb()
        return False

    def _parse_header(self, bits: Bits, *, idr: bool) -> _SliceHeader:
        """A slice header up to the first move of a reference in list 0."""
        bits.golomb()  # first macroblock
        kind = _SLICE_TYPES[bits.golomb() % 5]
        number = bits.golomb()
        if number not in self.pictures or self.pictures[number].sequence not in self.sequences:
            raise ValueError("unknown parameter set")
        picture = self.pictures[number]
        sequence = self.sequences[picture.sequence]
        if sequence.separate_planes or not sequence.frames_only:
            raise ValueError("planes or fields")
        frame_number = bits.fixed(sequence.frame_number_bits)
        if idr:
            bits.golomb()
        bits.fixed(sequence.order_bits)
        deltas = sequence.order_deltas or (picture.field_order and sequence.order_type == 0)
        for _ in range(deltas + (picture.field_order and sequence.order_deltas)):
            bits.signed()
        if picture.redundant:
            bits.golomb()
        if kind == "B":
            bits.fixed(1)  # direct prediction
        lists = "IPB".index(kind)
        active = picture.active[:lists]
        if lists and bits.fixed(1):
            active = tuple(bits.golomb() + 1 for _ in active)
        moves = _moves(bits) if lists else iter(())
        # x264 moves a picture to the place that it has anyway, after the keyframe of an open group.
        nearest_first = next(moves, _NO_MOVE) == _NO_MOVE
        found = SliceReferences(kind, active[0] if lists else 0, nearest_first, frame_number, sequence)
        return _SliceHeader(found, active, kind in picture.weighted, moves)


def _moves(bits: Bits) -> Iterator[tuple[int, int]]:
    """The moves of references to the front of a list (7.3.3.1): `modification_of_pic_nums_idc` and its number."""
    if bits.fixed(1):
        while (kind := bits.golomb()) != _LAST_MOVE:
            yield kind, bits.golomb()


def _skip_weights(bits: Bits, active: Sequence[int], *, chroma: bool) -> None:
    """Skip the table of prediction weights (7.3.3.2)."""
    for _ in range(1 + chroma):
        bits.golomb()
    for _ in range(sum(active)):
        for values in (2, 4)[: 1 + chroma]:
            if bits.fixed(1):
                for _ in range(values):
                    bits.signed()
