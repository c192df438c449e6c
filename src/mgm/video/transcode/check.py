"""The check of an encoded file: against the pictures that were sent to the encoder, and against its profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mgm.errors import VideoError
from mgm.video.container.h264 import may_hold_fields, nal_units, parameter_sets, parse_first_slice
from mgm.video.container.h264_slices import SliceParser, SliceReferences
from mgm.video.container.stream import OpenVideo, Packet, decode_packet, no_frame, open_video, packets
from mgm.video.motion.vectors import PICTURE_TYPES
from mgm.video.transcode.profiles import Profile
from mgm.workers.process import report_progress

FINEST_CLOCK = 1_000_000
"""Ticks per second of the times in a result: an MP4 cannot hold nanoseconds."""
_PIXEL_FORMATS = ("yuv420p", "yuvj420p")


@dataclass(slots=True)
class SentPictures:
    """The pictures that were sent to the encoder.

    Attributes:
        codec: FFmpeg's name of the source's.
        height, width: in pixels.
        interlaced: whether any of the source is.
        seconds: presentation time of each, from that of the first.
    """

    codec: str
    height: int = 0
    width: int = 0
    interlaced: bool = False
    seconds: list[float] = field(default_factory=list)


def check_result(part: Path, target: Path, sent: SentPictures, profile: Profile) -> None:
    """Decode a result, and compare it with what was sent and with what the profile promises to its readers.

    Args:
        part: the file.
        target: its later name, the subject of errors.

    Raises:
        VideoError: they differ.
    """
    try:
        with open_video(part, vectors=False) as video:
            found = _read(video, profile)
    except VideoError as error:
        raise wrong_result(target, profile, error.found, error.expected) from error
    for fault in chain(
        _faults_of_pictures(found, sent), _faults_of_groups(found, profile), _faults_of_chain(found, profile)
    ):
        raise wrong_result(target, profile, fault.found, fault.expected)


def wrong_result(target: Path, profile: Profile, found: str, expected: str) -> VideoError:
    """The error of a result that failed its check."""
    if profile.encoder == "software":
        file, advice = "the encoded file", "report it with the source"
    else:
        file, advice = f"the file that {profile.encoder} encoded", "encode it in software (--encoder software)"
    return VideoError(target, f"the check of {file} found {found}", expected, advice, reason="mismatch")


class _Fault(NamedTuple):
    """A difference between a file and what it should be."""

    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class _CodedPicture:
    """What the packet of a picture declares: `key` by the container, all else by the stream.

    Attributes:
        slices: of the picture; empty for a profile that leaves references to the encoder.
    """

    pts: int
    key: bool
    idr: bool
    intra: bool
    reference: bool
    slices: tuple[SliceReferences, ...]


@dataclass(slots=True)
class _FoundPictures:
    """The pictures of a file, in display order.

    Attributes:
        coded: their packets.
        kinds: letters of their types.
        seconds: presentation times, from the first: those of a late start are too large for exact numbers.
        sizes: (width, height).
        formats: FFmpeg's names of pixel formats.
        fields: whether the stream may hold interlaced pictures.
    """

    coded: list[_CodedPicture] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    formats: set[str] = field(default_factory=set)
    fields: bool = False


def _read(video: OpenVideo, profile: Profile) -> _FoundPictures:
    units = parameter_sets(video.stream.codec_context.extradata or b"")
    found = _FoundPictures(fields=may_hold_fields(units))
    parser = SliceParser() if profile.chained and not found.fields else None
    if parser is not None:
        _parse(parser, units)
    first: int | None = None
    for packet in chain(packets(video), [None]):
        if packet is not None:
            found.coded.append(_coded_picture(packet, video.nal_length_size or 0, parser))
        for picture in decode_packet(video, packet):
            report_progress()
            found.kinds.append(PICTURE_TYPES[int(picture.pict_type)])
            first = picture.pts if first is None else first
            since = None if picture.pts is None or first is None else picture.pts - first
            found.seconds.append(float("nan") if since is None else since * video.time_base)
            found.sizes.append((picture.width, picture.height))
            found.formats.add(picture.format.name)
    if not found.kinds:
        raise no_frame(video.name)
    found.coded.sort(key=lambda picture: picture.pts)
    return found


def _coded_picture(packet: Packet, length_size: int, parser: SliceParser | None) -> _CodedPicture:
    data = bytes(packet)
    first = parse_first_slice(data, length_size)
    slices = _parse(parser, nal_units(data, length_size)) if parser is not None else ()
    return _CodedPicture(packet.pts or 0, packet.is_keyframe, first.idr, first.intra, first.reference, slices)


def _parse(parser: SliceParser, units: list[bytes]) -> tuple[SliceReferences, ...]:
    try:
        return tuple(parser.parse(units))
    except ValueError as error:
        found = f"a header of a slice that cannot be read ({error})"
        raise VideoError("", found, "H.264 in frames", reason="mismatch") from error


def _faults_of_pictures(found: _FoundPictures, sent: SentPictures) -> Iterator[_Fault]:
    size = (sent.width, sent.height)
    for number, (width, height) in enumerate(found.sizes):
        if (width, height) != size:
            yield _Fault(f"{width} x {height} pixels in frame {number}", f"{sent.width} x {sent.height}")
    if other := found.formats - set(_PIXEL_FORMATS):
        yield _Fault(f"pixels in {', '.join(sorted(other))}", "yuv420p")
    if found.fields:
        yield _Fault("a stream that may hold fields", "frames alone")
    counts = {len(found.kinds), len(found.coded)}
    if counts != {len(sent.seconds)}:
        yield _Fault(f"{len(found.kinds)} frames in {len(found.coded)} packets", f"{len(sent.seconds)} of each")
        return
    drift = np.ptp(np.subtract(found.seconds, sent.seconds))
    if not drift <= 2 / FINEST_CLOCK:
        yield _Fault(f"times that differ by {drift:.6f} s", "the source's")


def _faults_of_groups(found: _FoundPictures, profile: Profile) -> Iterator[_Fault]:
    """Readers seek to keyframes: they come often enough, and decoding is exact from each of them."""
    key = -profile.gop
    for number, picture in enumerate(found.coded):
        if picture.key:
            key = number
            if not picture.intra:
                yield _Fault(f"that keyframe {number} is not intra coded", "keyframes to start decoding at")
            # In a chain no reference goes past a keyframe, whether it is an IDR picture or not.
            if not picture.idr and not profile.chained:
                yield _Fault(f"an open group of pictures at frame {number}", "closed groups")
        elif number - key >= profile.gop:
            yield _Fault(
                f"no keyframe from frame {max(key, 0)} to {number}", f"one every {profile.gop} frames or more often"
            )


def _faults_of_chain(found: _FoundPictures, profile: Profile) -> Iterator[_Fault]:
    """The vectors of a P-picture span one step: the references are on the grid of the stride, and each refers to the one before."""
    if not profile.chained:
        return
    step = profile.stride or 1
    rule = (
        f"a reference at every {step}th frame alone"
        if profile.stride
        else "every frame to be a reference, none a B-frame"
    )
    for number, (picture, kind) in enumerate(zip(found.coded, found.kinds, strict=True)):
        for part in picture.slices:
            if part.kind == "P" and not (part.active == 1 and part.nearest_first):
                others = f"{part.active} references" if part.active > 1 else "another reference than the last"
                yield _Fault(f"that frame {number} has {others}", "the last one alone")
        if number + 1 == len(found.coded):  # encoders do not end with a B-frame, and nothing refers to the last frame
            return
        wanted = number % step == 0
        if (kind != "B") != wanted:
            yield _Fault(f"that frame {number} is of type {kind}", rule)
        if picture.reference != wanted and not (step == 1 and found.coded[number + 1].key):
            yield _Fault(f"that frame {number} is {'a' if picture.reference else 'no'} reference", rule)
