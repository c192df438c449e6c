"""Keyframes: the pictures at which decoding can start, and the number of frames before each."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import av.error

from mgm.video.container.carried_state import CarriedState
from mgm.video.container.shortcuts import ShortcutFailedError, UncountableError
from mgm.video.container.stream import OpenVideo, Packet, packets

MOST_EMPTY = 19
"""Bytes of an MPEG-4 picture that is only a placeholder (N-VOP): the decoder returns no frame for it."""

_MOST_PASSED = 300
"""Packets read after a seek in search of a known keyframe; programme and transport streams land near one, not at it."""


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A picture at which demuxing can start.

    Attributes:
        time: the target of a seek, and the time of the keyframe's packet, in the stream's time base.
        packets, frames: number of packets and of displayed frames before it.
        offset: its byte in the file, which distinguishes two of one time after a clock reset; None: unknown.
        state: of the decoder there; empty in a file's own index: MP4 and MOV hand over a change again after a seek.
    """

    time: int
    packets: int
    frames: int
    offset: int | None = None
    state: CarriedState = field(default_factory=dict)


@dataclass(slots=True)
class KeyframeIndex:
    """The keyframes of a video: from the file's own index where that lists every packet (MP4, MOV), else collected while demuxing.

    Demuxing costs one to two orders of magnitude less than decoding, so that without an index packets are counted from the start
    of the video.

    Attributes:
        by_decode_time: `Keyframe.time` is a decode time; otherwise it is a presentation time.
        keyframes: in the order of the file.
        listed: number of packets of the file's index that were examined.
    """

    by_decode_time: bool
    keyframes: list[Keyframe] = field(default_factory=list)
    listed: int = 0
    _frames: int = 0

    @classmethod
    def of(cls, video: OpenVideo) -> KeyframeIndex:
        """The index of a video, empty so far."""
        return cls(by_decode_time="mp4" in video.container.format.name)

    def add(self, keyframe: Keyframe) -> None:
        """Record a keyframe that was passed while packets were counted from the start of the video."""
        if not self.by_decode_time and (not self.keyframes or keyframe.packets > self.keyframes[-1].packets):
            self.keyframes.append(keyframe)

    def before_frame(self, video: OpenVideo, first: int) -> int:
        """Position in `keyframes` of the last one with at most `first` frames before it; -1: none is known.

        Raises:
            UncountableError: a listed packet is not a frame.
        """
        if self.by_decode_time:
            self._list(video, first)
        return bisect.bisect_right(self.keyframes, first, key=lambda k: k.frames) - 1

    def before_time(self, video: OpenVideo, time: int) -> int:
        """The same, by the keyframe's time."""
        if self.by_decode_time:
            self._list(video, None)
        return bisect.bisect_right(self.keyframes, time, key=lambda k: k.time) - 1

    def all_keyframes(self, video: OpenVideo, first: int) -> bool:
        """Whether every frame up to `first` is known to be a keyframe."""
        self.before_frame(video, first)
        return sum(1 for k in self.keyframes[: first + 1] if k.packets <= first) == first + 1

    def _list(self, video: OpenVideo, first: int | None) -> None:
        """Examine the file's index until `first` frames have passed: that of an hour has 100,000 packets."""
        for position in range(self.listed, len(video.stream.index_entries)):
            if first is not None and self._frames > first:
                return
            listed = video.stream.index_entries[position]
            if video.codec == "mpeg4" and listed.size <= MOST_EMPTY:
                raise UncountableError
            if listed.is_keyframe and not listed.is_discard:
                self.keyframes.append(Keyframe(listed.timestamp, position, self._frames))
            self._frames += not listed.is_discard
            self.listed = position + 1

    def seek(self, video: OpenVideo, position: int) -> tuple[Keyframe, Iterator[Packet]]:
        """Seek to a keyframe; returns the one that was reached, or an earlier one, and the packets from there on.

        Raises:
            ShortcutFailedError: the seek did not reach a known keyframe.
        """
        target = self.keyframes[position]
        try:
            video.container.seek(target.time, stream=video.stream)
        except (av.error.FFmpegError, OSError):
            raise ShortcutFailedError("seek", lasting=True) from None
        video.state = target.state or video.state
        demuxed = packets(video, before=target.packets)
        for _ in range(_MOST_PASSED):
            packet = next(demuxed, None)
            if packet is None:
                break
            if packet.is_keyframe:
                reached = self._find(packet, target, position)
                if reached is not None:
                    return reached, chain([packet], demuxed)
        raise ShortcutFailedError("seek", lasting=True)

    def _find(self, packet: Packet, target: Keyframe, position: int) -> Keyframe | None:
        if self.by_decode_time:
            return target if packet.dts == target.time else None
        if packet.pts is None:
            return None
        found = bisect.bisect_left(self.keyframes, packet.pts, hi=position + 1, key=lambda k: k.time)
        keyframe = self.keyframes[min(found, position)]
        return keyframe if keyframe.time == packet.pts and keyframe.offset == packet.pos else None
