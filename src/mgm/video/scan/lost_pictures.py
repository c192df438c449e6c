"""Find pictures that are missing from an H.264 stream, which decoders replace by copies of others without a word."""

from __future__ import annotations

from dataclasses import dataclass, field

from mgm.errors import VideoError
from mgm.video.container.h264 import nal_units, parameter_sets
from mgm.video.container.h264_slices import SliceParser, SliceReferences, is_reference, is_slice
from mgm.video.container.stream import OpenVideo, Packet


@dataclass(slots=True)
class LostPictures:
    """Follows `frame_num`, which counts the reference pictures of a stream (H.264 7.4.3), in the packets of an opened video.

    A packet that a network or a disk lost leaves a gap in it: all pictures up to the next keyframe are then made from wrong ones.
    Nothing is found in other codecs, in streams of fields, and where only pictures are missing that no other refers to. At an
    intra picture a gap is where recordings were joined.

    Attributes:
        video: the stream, before its first packet was read.
        error: of the first gap; None if there is none.
    """

    video: OpenVideo
    error: VideoError | None = field(default=None, init=False)
    _parser: SliceParser | None = field(default=None, init=False)
    _last: int | None = field(default=None, init=False)  # frame_num of the last reference picture
    _last_slice: bytes = field(default=b"", init=False)  # its first

    def __post_init__(self) -> None:
        if self.video.nal_length_size is not None:
            self._parser = SliceParser()
            self._parse(parameter_sets(self.video.stream.codec_context.extradata or b""))

    def __call__(self, packet: Packet) -> None:
        """Check the next packet in decode order."""
        if self._parser is None or self.error is not None:
            return
        units = nal_units(bytes(packet), self.video.nal_length_size or 0)
        found = self._parse(units)
        if found is None:
            return
        if found.kind != "I" and not self._follows(found):
            self._report(packet, found)
        first = next(filter(is_slice, units))
        if is_reference(first):
            self._last, self._last_slice = found.frame_number, first

    def _follows(self, found: SliceReferences) -> bool:
        """Whether no reference picture is missing before a slice."""
        if self._last is None or found.frame_number in (self._last, (self._last + 1) % found.sequence.frame_numbers):
            return True
        assert self._parser is not None
        try:
            return found.frame_number <= 1 and self._parser.resets_numbers(self._last_slice)
        except ValueError:
            return True

    def _parse(self, units: list[bytes]) -> SliceReferences | None:
        """The first slice among NAL units; None without one, or if no gap can be told in this stream."""
        assert self._parser is not None
        try:
            found = next(self._parser.parse(units), None)
        except ValueError:  # fields, or a damaged header, which the decoder reports
            found = None
            self._parser = None
        return None if found is None or found.sequence.gaps_allowed else found

    def _report(self, packet: Packet, found: SliceReferences) -> None:
        at = None if packet.pts is None else round(packet.pts * self.video.time_base, 2)
        self.error = VideoError(
            self.video.name,
            f"pictures are missing{'' if at is None else f' before {at:.2f} s'} (number {found.frame_number} follows {self._last})",
            "every picture that others refer to",
            "copy or record it again: the pictures from there to the next keyframe are partly guessed",
            reason="damaged",
            at=at,
        )
