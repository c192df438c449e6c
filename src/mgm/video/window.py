"""The packets of a clip: the fewest that decode it exactly, and which frames of the video they are."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import av.error

from mgm.errors import VideoError
from mgm.video.nal import first_slice, nal_length_size
from mgm.video.stream import MOST_REORDERED, OpenVideo, Packet, packets


@dataclass(slots=True)
class Coded:
    """One coded picture, as demuxed."""

    packet: Packet
    pts: int | None
    key: bool
    reference: bool | None = None
    """Whether later pictures may refer to this one; None where only the decoder will know (not H.264)."""
    idr: bool = False


@dataclass(slots=True)
class Window:
    """The coded pictures that decode display frames `first..last`, in decode order, from a key picture on.

    Attributes:
        coded: pictures in decode order.
        base: number of frames of the video that are displayed before every picture of `coded`.
        order: presentation times of `coded` in display order; `order[i]` belongs to frame `base + i`. Empty where the
            container has none (raw streams) or FFmpeg makes them up in decode order (H.264 in AVI): frames must then be
            counted as they leave the decoder, and `pts` is the position in `coded`.
        ended: the stream ended inside the window: `base + len(order)` frames is all there is.
    """

    coded: list[Coded] = field(default_factory=list)
    base: int = 0
    order: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def strict(self) -> bool:
        """Whether the decoder may take damage for an error. An open group of pictures has leading pictures that refer to dropped
        ones: that is no damage, and nobody looks at them."""
        return not self.base or self.coded[0].reference is None or self.coded[0].idr

    @property
    def intra_only(self) -> bool:
        """Every picture is a key picture: such a stream has no motion, whatever its codec exports."""
        return len(self.coded) > 1 and all(c.key for c in self.coded)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key picture at which demuxing can start: what to seek to, and how many packets and displayed frames lie before it."""

    time: int
    packets: int
    frames: int


@dataclass(slots=True)
class Index:
    """The key pictures of a video: from the file's own index where that lists every packet (MP4, MOV), else as they are met.

    Demuxing costs one to two orders less than decoding, so that without an index packets are counted from the start of the video.

    Attributes:
        entries: in the order of the file.
        by_decode_time: what `Entry.time` is, and what a key packet is recognised by after a seek.
        usable: no seek has failed yet. Some containers (MPEG programme streams) land anywhere.
        true_keys: no key picture has turned out to be none. AVI without an index of its own calls every picture a key.
    """

    entries: list[Entry]
    by_decode_time: bool
    usable: bool = True
    true_keys: bool = True

    @classmethod
    def of(cls, video: OpenVideo) -> Index:
        """The file's index, or an empty one."""
        if "mp4" not in video.container.format.name:
            return cls([], by_decode_time=False)
        entries, frames = [], 0
        for position, listed in enumerate(video.stream.index_entries):
            if listed.is_keyframe and not listed.is_discard:
                entries.append(Entry(listed.timestamp, position, frames))
            frames += not listed.is_discard
        return cls(entries, by_decode_time=True)

    def add(self, entry: Entry) -> None:
        """Remember a key picture, met while packets were counted from the start of the video."""
        if not self.by_decode_time and (not self.entries or entry.packets > self.entries[-1].packets):
            self.entries.append(entry)

    def before_frame(self, first: int) -> int:
        """Position in `entries` of the last one with no more than `first` frames before it; -1: none."""
        if not self.usable:
            return -1
        return bisect.bisect_right(self.entries, first, key=lambda e: e.frames) - 1

    def before_time(self, time: int) -> int:
        """The same, by the entry's time."""
        if not self.usable:
            return -1
        return bisect.bisect_right(self.entries, time, key=lambda e: e.time) - 1

    def seek(self, video: OpenVideo, position: int) -> tuple[Entry, Iterator[Packet]] | None:
        """Go to an entry, or to one before it: (where it landed, the packets from there on). None: it failed."""
        landed = self._seek(video, position)
        self.usable = landed is not None
        return landed

    def _seek(self, video: OpenVideo, position: int) -> tuple[Entry, Iterator[Packet]] | None:
        wanted = self.entries[position]
        try:
            video.container.seek(wanted.time, stream=video.stream)
        except (av.error.FFmpegError, OSError):
            return None
        demuxed = packets(video, before=wanted.packets)
        known = {e.time: e for e in self.entries[: position + 1]}
        for _ in range(_MOST_PASSED):
            packet = next(demuxed, None)
            if packet is None:
                return None
            landed = known.get(packet.dts if self.by_decode_time else packet.pts)  # type: ignore[arg-type]
            if packet.is_keyframe and landed is not None and (landed is wanted or not self.by_decode_time):
                return landed, chain([packet], demuxed)
        return None


_MOST_PASSED = 300
"""Packets read after a seek in search of a known key picture; programme and transport streams land near one, not at it."""


class NotAtStartError(Exception):
    """Packets have been read and no entry leads back: the video must be opened again."""


def read_window(video: OpenVideo, index: Index, first: int, last: int | None, *, fresh: bool) -> Window:
    """Demux to the last packet that display frames `first..last` need (None: to the end of the video), from the last key picture
    before them that the index knows, else from the start.

    Args:
        fresh: nothing has been demuxed since the video was opened.

    Raises:
        NotAtStartError: the packets would have to be counted from the start, but `fresh` is False.
        VideoError: the file is damaged.
    """
    position = index.before_frame(first)
    if fresh and position >= 0 and not index.entries[position].frames:
        position = -1  # it stands there
    while position >= 0:
        landed = index.seek(video, position)
        fresh = False
        if landed is None:
            break
        entry, demuxed = landed
        window = _fill(video, index, demuxed, Window(base=entry.frames), first, last, entry.packets)
        if not entry.frames or _reaches(window, first):
            return window
        position -= 1  # the clip starts among the leading pictures of that key picture, or it was none
    if not fresh:
        raise NotAtStartError
    return _fill(video, index, packets(video), Window(), first, last, 0)


def _reaches(window: Window, first: int) -> bool:
    """Whether decoding `window` gives frame `first` exactly."""
    if not window.coded or not window.coded[0].key or window.coded[0].pts is None:
        return False
    return first >= window.base + bisect.bisect_left(window.order, window.coded[0].pts)


def _fill(
    video: OpenVideo, index: Index, demuxed: Iterator[Packet], window: Window, first: int, last: int | None, before: int
) -> Window:
    """Read packets into an empty window, `before` packets after the start of the video.

    Groups of pictures that end before `first` are dropped as they pass.
    """
    coded, order = window.coded, window.order
    lengths = nal_length_size(video)
    timed = video.timed
    shown = window.base
    keys: list[int] = []  # positions in `coded` of key pictures
    for packet in demuxed:
        if packet.pts is None and not coded and not before:
            timed = False
        if not timed:
            packet.pts = len(coded)  # the frame will tell by it which packet it came from
        picture = Coded(packet, packet.pts, packet.is_keyframe)
        if lengths is not None:
            picture.reference, picture.idr, intra = first_slice(bytes(packet), lengths)
            picture.key = picture.key and intra
        picture.key = picture.key and index.true_keys
        coded.append(picture)
        if not timed:
            if last is not None and len(coded) > last + MOST_REORDERED:
                return window
            continue
        if picture.key and picture.pts is not None:
            index.add(Entry(picture.pts, before, shown))
            if keys and first >= window.base + bisect.bisect_left(order, coded[keys[-1]].pts or 0):
                _drop_before(window, keys[-1])
                keys = [0]
            keys.append(len(coded) - 1)
        before += 1
        if packet.pts is not None and not packet.is_discard:  # hidden by an edit list, but others may refer to it
            bisect.insort(order, packet.pts)
            shown += 1
        if last is not None and packet.dts is not None and window.base + bisect.bisect_left(order, packet.dts) > last:
            break  # every later packet is presented after its own decode time, so frames up to `last` are all here
    else:
        window.ended = True
    for position in reversed(keys):
        if position and first >= window.base + bisect.bisect_left(order, coded[position].pts or 0):
            _drop_before(window, position)
            break
    return window


def _drop_before(window: Window, position: int) -> None:
    """Forget the pictures before `position`, a key picture: all of them are displayed before it and its leading pictures."""
    gone = sum(1 for c in window.coded[:position] if c.pts is not None and not c.packet.is_discard)
    del window.coded[:position]
    del window.order[:gone]
    window.base += gone


def frame_at(video: OpenVideo, index: Index, seconds: float, *, fresh: bool) -> int:
    """Number of the frame that is shown at a time: the last one with a presentation time up to it; the first of the video where
    there is none. Streams without presentation times are counted by their frame rate.

    Raises:
        NotAtStartError: see `read_window`.
        VideoError: the file is damaged, or the time is behind its end.
    """
    time = round(seconds / video.time_base)
    position = index.before_time(time)
    if fresh and position >= 0 and not index.entries[position].frames:
        position = -1  # it stands there
    while position >= 0:
        landed = index.seek(video, position)
        fresh = False
        if landed is None:
            break
        entry, demuxed = landed
        shown = _count_until(video, demuxed, time, seconds)
        if shown or not entry.frames:
            return max(entry.frames + shown - 1, 0)
        position -= 1  # shown before that key picture, though decoded after it
    if not fresh:
        raise NotAtStartError
    if not video.timed:
        return _by_rate(video, seconds)
    return max(_count_until(video, packets(video), time, seconds) - 1, 0)


def _count_until(video: OpenVideo, demuxed: Iterator[Packet], time: int, seconds: float) -> int:
    """How many of the packets' frames are presented up to `time`."""
    order: list[int] = []
    for packet in demuxed:
        if packet.pts is None and not order:
            return _by_rate(video, seconds) + 1
        if packet.pts is not None and not packet.is_discard:
            bisect.insort(order, packet.pts)
        if packet.dts is not None and packet.dts > time:
            break  # every later packet is presented after its own decode time
    else:
        rate = float(video.stream.average_rate or 0)
        end = (order[-1] * video.time_base if order else 0) + (1 / rate if rate else 0)
        if seconds >= end:
            raise VideoError(
                f"{video.name}: no frame at {seconds:g} s: the video ends at {end:.2f} s; choose a time before that"
            )
    return bisect.bisect_right(order, time)


def _by_rate(video: OpenVideo, seconds: float) -> int:
    """Number of a frame where nothing but the frame rate tells its time."""
    return int(seconds * float(video.stream.average_rate or 0) + 1e-6)
