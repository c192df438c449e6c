"""How long and how large a video is, without decoding more than its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mgm.errors import VideoError
from mgm.video.stream import decode_packet, open_video, packets


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """`frames` counted from the packets; `height` and `width` of the upright frame; `motion`: the codec exports motion vectors."""

    frames: int
    height: int
    width: int
    motion: bool


def probe(path: str | Path) -> VideoInfo:
    """Count the frames of a video (demuxing is cheap) and decode the first for its size and rotation.

    Raises:
        VideoError: unreadable, or without a single frame.
    """
    with open_video(path, vectors=False) as video:
        first = None
        frames = 0
        for packet in packets(video):
            frames += not packet.is_discard
            if first is None:
                first = next(iter(decode_packet(video, packet)), None)
        if first is None:
            first = next(iter(decode_packet(video, None)), None)
        if first is None:
            raise VideoError(
                f"{path}: no frame could be decoded, expected at least one; the file is damaged: remove it from the set"
            )
        turned = round(first.rotation / 90) % 2 == 1
        height, width = (first.width, first.height) if turned else (first.height, first.width)
        return VideoInfo(frames, height, width, video.exports_vectors)
