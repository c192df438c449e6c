"""Metadata of a video: length, size, profile, and the end that its container declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from mgm.video.container.clip_packets import count_frames
from mgm.video.container.h264 import may_hold_fields, parameter_sets
from mgm.video.container.locator import VideoLocator
from mgm.video.container.orientation import Orientation
from mgm.video.container.shortcuts import UncountableError
from mgm.video.container.stream import Packet, decode_all, decode_packet, no_frame, open_video, packets

LONGEST_STRIDE = 8
"""Of the files that `mgm prepare` makes."""

_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The length and size of a video, for samplers.

    Attributes:
        frames: counted from the packets.
        height, width: of the upright frame.
        motion: the codec exports motion vectors.
        step: clips that start at a multiple of it read fastest: the stride that `mgm prepare` made the file for, else 1.
    """

    frames: int
    height: int
    width: int
    motion: bool
    step: int = 1


def read_video_info(locator: VideoLocator) -> VideoInfo:
    """Count the frames of a video, by its packets where each is a frame (demuxing is cheap), and decode the first one for its size
    and orientation.

    Raises:
        VideoError: unreadable, or without a single frame.
    """
    with open_video(locator, vectors=False, brief=True) as video:
        demuxed = packets(video)
        passed: list[Packet] = []
        for packet in demuxed:
            passed.append(packet)
            if frames := decode_packet(video, packet):
                break
        else:
            frames = decode_packet(video, None)
        if not frames:
            raise no_frame(video.name)
        first = frames[0]
        height, width = Orientation.of(first, video.name).shape(first.height, first.width)
        step = prepared_stride(video.container.metadata)
        motion = video.exports_vectors
        extradata = video.stream.codec_context.extradata or b""
        try:
            if video.codec == "h264" and may_hold_fields(parameter_sets(extradata)):
                raise UncountableError  # as a packet each, or two in one
            count = count_frames(video, chain(passed, demuxed))
        except UncountableError:
            count = _count_by_decoding(locator)
    return VideoInfo(count, height, width, motion, step)


def _count_by_decoding(locator: VideoLocator) -> int:
    with open_video(locator, vectors=False, skip_loop_filter=True) as video:
        return sum(1 for _ in decode_all(video))


def read_profile(container_metadata: Mapping[str, str]) -> dict[str, str | int] | None:
    """The settings that `mgm prepare` wrote into a file's metadata, numbers as int; None for files from elsewhere.

    They are one line, the "comment": `mgm` and pairs `name=value`; see `mgm.video.transcode.profiles.describe_profile`.
    """
    first, *settings = container_metadata.get("comment", "").split() or [""]
    pairs = [setting.partition("=") for setting in settings]
    found: dict[str, str | int] = {key: int(value) if _is_number(value) else value for key, _, value in pairs}
    return found if first == "mgm" and "profile" in found else None


def _is_number(text: str) -> bool:
    """Whether a setting is a number. Anybody can write a comment, and Python refuses to parse thousands of digits."""
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def prepared_stride(container_metadata: Mapping[str, str]) -> int:
    """The stride that `mgm prepare` made a file for; 1 for other files, and for a comment with one that no file is made for."""
    stride = (read_profile(container_metadata) or {}).get("stride", 1)
    return stride if isinstance(stride, int) and 1 <= stride <= LONGEST_STRIDE else 1


def declared_end(file: BinaryIO, size: int) -> int | None:
    """The end of a Matroska, AVI or MP4 file in bytes, by the sizes of its outermost parts; None: unknown, or another container."""
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
    """(a variable-length size of Matroska, the position after it); None: unknown, as in live streams (RFC 8794 6)."""
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
        if length == 0 or not head[4:8].isalnum():  # a box that reaches to the end of the file, or not a box
            return None
        if length < 8:
            return None
        position += length
    return position
