"""What the first packets of a video show about all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import av
import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from mgm.video.container.h264 import declares_orientation
from mgm.video.container.orientation import Orientation

_HEADERS = 4096
"""Bytes at the begin of a packet that hold all before its first slice."""


def carry_display_times(begin: Sequence[Packet[VideoStream]], *, reordered: bool) -> bool:
    """Whether the first packets of a video carry the times at which their pictures are shown.

    Where pictures are reordered, either one of them is shown before a picture that is decoded earlier, or all are shown later than
    they are decoded. Some writers give every picture the time of decoding instead, which is right for keyframes alone.

    Args:
        begin: the first packets.
        reordered: pictures may be shown in another order than that of decoding.
    """
    if not begin:
        return True
    if begin[0].pts is None:
        return False
    ascending = all(a.pts is not None and b.pts is not None and a.pts < b.pts for a, b in pairwise(begin))
    reordered = reordered and not all(packet.is_keyframe for packet in begin)
    return not (reordered and ascending and begin[-1].pts == begin[-1].dts)


def declared_orientation(
    context: VideoCodecContext, begin: Sequence[Packet[VideoStream]], nal_length_size: int | None, name: str
) -> Orientation | None:
    """The orientation that an H.264 stream itself declares with its first picture; None for all others.

    Decoders attach it to that picture only, while players keep it.

    Args:
        nal_length_size: see `mgm.video.container.h264.nal_length_size`; None: not H.264.
        name: of the video, for errors.
    """
    if nal_length_size is None or not begin:
        return None
    if not declares_orientation(bytes(memoryview(begin[0])[:_HEADERS]), nal_length_size):
        return None
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.extradata = context.extradata
    try:
        pictures = decoder.decode(begin[0]) + decoder.decode(None)
    except av.error.FFmpegError:
        return None  # damaged: whoever decodes the packet next says so
    return Orientation.of(pictures[0], name) if pictures else None
