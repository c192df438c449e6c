"""Where decoding of a video can start, and how many of its frames lie before that."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import av.error

from mgm.video.container.stream import OpenVideo, Packet, packets


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A key picture at which demuxing can start.

    Attributes:
        time: what to seek to, and what its packet is recognised by after a seek.
        packets, frames: how many packets and displayed frames lie before it.
        place: its byte in the file, which tells two of one time apart where a clock starts again; None: not known.
    """

    time: int
    packets: int
    frames: int
    place: int | None = None


@dataclass(slots=True)
class KeyframeIndex:
    """The key pictures of a video: from the file's own index where that lists every packet (MP4, MOV), else as they are met.

    Demuxing costs one to two orders less than decoding, so that without an index packets are counted from the start of the video.

    Attributes:
        by_decode_time: whether `Entry.time` is that, or the presentation time.
        entries: in the order of the file.
        listed: how many packets of the file's index have been looked at.
        usable: no seek has failed yet. Some containers (MPEG programme streams) land anywhere.
        true_keys: no key picture has turned out to be none. AVI without an index of its own calls every picture a key.
        countable: every timed packet is one frame. If not, frames are counted as they leave the decoder.
    """

    by_decode_time: bool
    entries: list[Keyframe] = field(default_factory=list)
    listed: int = 0
    usable: bool = True
    true_keys: bool = True
    countable: bool = True
    _frames: int = 0

    @classmethod
    def of(cls, video: OpenVideo) -> KeyframeIndex:
        """The index of a video, without an entry yet."""
        return cls(by_decode_time="mp4" in video.container.format.name)

    def add(self, entry: Keyframe) -> None:
        """Remember a key picture, met while packets were counted from the start of the video."""
        if not self.by_decode_time and (not self.entries or entry.packets > self.entries[-1].packets):
            self.entries.append(entry)

    def before_frame(self, video: OpenVideo, first: int) -> int:
        """Position in `entries` of the last one with no more than `first` frames before it; -1: none."""
        if not self.usable or not self.countable:
            return -1
        if self.by_decode_time:
            self._list(video, first)
        return bisect.bisect_right(self.entries, first, key=lambda e: e.frames) - 1 if self.countable else -1

    def before_time(self, video: OpenVideo, time: int) -> int:
        """The same, by the entry's time."""
        if not self.usable or not self.countable:
            return -1
        if self.by_decode_time:
            self._list(video, None)
        return bisect.bisect_right(self.entries, time, key=lambda e: e.time) - 1 if self.countable else -1

    def all_keys(self, video: OpenVideo, first: int) -> bool:
        """Whether every frame before `first` is a key picture, as far as that is known."""
        self.before_frame(video, first)
        return sum(1 for entry in self.entries[: first + 1] if entry.packets <= first) == first + 1

    def _list(self, video: OpenVideo, first: int | None) -> None:
        """Look at the file's index up to where `first` frames have passed: one of an hour has 100,000 packets."""
        for position in range(self.listed, len(video.stream.index_entries)):
            if first is not None and self._frames > first:
                return
            listed = video.stream.index_entries[position]
            if listed.is_keyframe and not listed.is_discard:
                self.entries.append(Keyframe(listed.timestamp, position, self._frames))
            if video.codec == "mpeg4" and listed.size <= MOST_EMPTY:
                self.countable = False
                return
            self._frames += not listed.is_discard
            self.listed = position + 1

    def seek(self, video: OpenVideo, position: int) -> tuple[Keyframe, Iterator[Packet]] | None:
        """Go to an entry, or to one before it: (where it landed, the packets from there on). None: it failed."""
        landed = self._seek(video, position)
        self.usable = landed is not None
        return landed

    def _seek(self, video: OpenVideo, position: int) -> tuple[Keyframe, Iterator[Packet]] | None:
        wanted = self.entries[position]
        try:
            video.container.seek(wanted.time, stream=video.stream)
        except (av.error.FFmpegError, OSError):
            return None
        demuxed = packets(video, before=wanted.packets)
        for _ in range(_MOST_PASSED):
            packet = next(demuxed, None)
            if packet is None:
                return None
            if packet.is_keyframe:
                landed = self._known(packet, wanted, position)
                if landed is not None:
                    return landed, chain([packet], demuxed)
        return None

    def _known(self, packet: Packet, wanted: Keyframe, position: int) -> Keyframe | None:
        if self.by_decode_time:
            return wanted if packet.dts == wanted.time else None
        if packet.pts is None:
            return None
        found = bisect.bisect_left(self.entries, packet.pts, hi=position + 1, key=lambda e: e.time)
        entry = self.entries[min(found, position)]
        return entry if entry.time == packet.pts and entry.place == packet.pos else None


MOST_EMPTY = 19
"""Bytes of an MPEG-4 picture that is only a place holder (N-VOP): the decoder gives no frame for it."""

_MOST_PASSED = 300
"""Packets read after a seek in search of a known key picture; programme and transport streams land near one, not at it."""
