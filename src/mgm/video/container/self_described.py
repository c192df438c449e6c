"""Opens MP4 files by their own description. FFmpeg decodes the first picture of every file that it opens, to complete it, which
takes most of the time of an opening."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
import av.container
import av.error

from mgm.video.container.h264 import declared_reordering

# No decoder is opened to fill in what is missing, and no packet is read for it but one. The decoder of the clip, which this list
# does not bind, finds the pixel format, colours and reordering in the stream.
_BRIEF = {"codec_whitelist": "none", "probesize": "2048", "analyzeduration": "1"}
_BRAND = b"ftyp"


def open_self_described(file: str, url: str, options: Mapping[str, str]) -> av.container.InputContainer | None:
    """Open a file if it is an MP4 of H.264 that describes its video completely; None for all others, which FFmpeg must examine.

    Complete are the index, which has every packet, and the parameter set, which declares the reordering of pictures. Until the
    decoder begins, the stream has no pixel format, the colours of the container, and may have no B-frames.

    Args:
        file: the path.
        url: the same for FFmpeg.
        options: of the container.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(file).open("rb", buffering=0) as handle:
        if handle.read(8)[4:] != _BRAND:
            return None
    try:
        container = av.open(url, "r", format="mp4", options={**options, **_BRIEF}, metadata_errors="replace")
    except av.error.FFmpegError:
        return None  # the complete opening finds the reason
    if _is_complete(container):
        return container
    container.close()
    return None


def _is_complete(container: av.container.InputContainer) -> bool:
    """Whether the description of the only video stream does not need its packets."""
    streams = container.streams.video
    if len(streams) != 1:
        return False
    stream, context = streams[0], streams[0].codec_context
    return (
        context is not None
        and context.name == "h264"
        and context.codec_tag == "avc1"  # not avc3, which may have other parameter sets among its packets
        and context.width > 0
        and context.height > 0
        and bool(stream.average_rate)
        and 0 < stream.frames == len(stream.index_entries)  # not fragmented
        and declared_reordering(context.extradata or b"") is not None
    )
