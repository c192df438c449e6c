"""How long and how large a video is, without decoding more than its first frame."""

from __future__ import annotations

from dataclasses import dataclass

from mgm.video.place import Place
from mgm.video.profiles import read_profile
from mgm.video.stream import decode_packet, no_frame, open_video, packets


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a sampler needs to know of a video.

    Attributes:
        frames: counted from the packets.
        height, width: of the upright frame.
        motion: the codec exports motion vectors.
        step: a clip that starts at a multiple of it reads fastest: the stride that `mgm prepare` made the file for, else 1.
    """

    frames: int
    height: int
    width: int
    motion: bool
    step: int = 1


def probe(place: Place) -> VideoInfo:
    """Count the frames of a video (demuxing is cheap) and decode the first for its size and rotation.

    Raises:
        VideoError: unreadable, or without a single frame.
    """
    with open_video(place, vectors=False) as video:
        first = None
        frames = 0
        for packet in packets(video):
            frames += not packet.is_discard
            if first is None:
                first = next(iter(decode_packet(video, packet)), None)
        if first is None:
            first = next(iter(decode_packet(video, None)), None)
        if first is None:
            raise no_frame(video)
        turned = round(first.rotation / 90) % 2 == 1
        height, width = (first.width, first.height) if turned else (first.height, first.width)
        step = (read_profile(video.container.metadata) or {}).get("stride", 1)
        return VideoInfo(frames, height, width, video.exports_vectors, step if isinstance(step, int) else 1)
