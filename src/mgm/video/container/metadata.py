"""How long and how large a video is, without decoding more than its first frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from mgm.video.container.locator import VideoLocator
from mgm.video.container.packets import UncountableError, count_frames
from mgm.video.container.parameter_sets import may_hold_fields, parameter_sets
from mgm.video.container.stream import Packet, decode_all, decode_packet, no_frame, open_video, packets


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


def probe(place: VideoLocator) -> VideoInfo:
    """Count the frames of a video, by its packets where each is a frame (demuxing is cheap), and decode the first one for its size
    and rotation.

    Raises:
        VideoError: unreadable, or without a single frame.
    """
    with open_video(place, vectors=False) as video:
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
        turned = round(first.rotation / 90) % 2 == 1
        height, width = (first.width, first.height) if turned else (first.height, first.width)
        step = (read_profile(video.container.metadata) or {}).get("stride", 1)
        motion = video.exports_vectors
        extradata = video.stream.codec_context.extradata or b""
        try:
            if video.codec == "h264" and may_hold_fields(parameter_sets(extradata)):
                raise UncountableError  # as a packet each, or two in one
            count = count_frames(video, chain(passed, demuxed))
        except UncountableError:
            count = _count_by_decoding(place)
    return VideoInfo(count, height, width, motion, step if isinstance(step, int) else 1)


def _count_by_decoding(place: VideoLocator) -> int:
    with open_video(place, vectors=False, skip_loop_filter=True) as video:
        return sum(1 for _ in decode_all(video))


def read_profile(container_metadata: Mapping[str, str]) -> dict[str, str | int] | None:
    """The settings that `mgm prepare` wrote into a file's metadata, numbers as int; None for files from elsewhere.

    They are one line, the "comment": `mgm` and pairs `name=value`; see `mgm.video.transcode.profiles.describe`.
    """
    first, *settings = container_metadata.get("comment", "").split() or [""]
    pairs = [setting.partition("=") for setting in settings]
    found: dict[str, str | int] = {key: int(value) if value.isdecimal() else value for key, _, value in pairs}
    return found if first == "mgm" and "profile" in found else None
