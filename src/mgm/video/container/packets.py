"""The packets of a clip: the fewest that decode it exactly, and which frames of the video they are."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from mgm.errors import VideoError
from mgm.video.container.h264 import parse_first_slice
from mgm.video.container.keyframes import MOST_EMPTY, Keyframe, KeyframeIndex
from mgm.video.container.stream import MOST_REORDERED, OpenVideo, Packet, decode_all, packets


@dataclass(slots=True)
class CodedPicture:
    """One coded picture, as demuxed."""

    packet: Packet
    pts: int | None
    key: bool
    reference: bool | None = None
    """Whether later pictures may refer to this one; None where only the decoder will know (not H.264)."""
    idr: bool = False


@dataclass(slots=True)
class PacketWindow:
    """The coded pictures that decode display frames `first..last`, in decode order, from a key picture on.

    Attributes:
        coded: pictures in decode order.
        base: number of frames of the video that are displayed before every picture of `coded`.
        order: presentation times of `coded` in display order; `order[i]` belongs to frame `base + i`. Empty where the
            container has none (raw streams) or FFmpeg makes them up in decode order (H.264 in AVI): frames must then be
            counted as they leave the decoder, and `pts` is the position in `coded`.
        ended: the stream ended inside the window: `base + len(order)` frames is all there is.
    """

    coded: list[CodedPicture] = field(default_factory=list)
    base: int = 0
    order: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def strict(self) -> bool:
        """Whether the decoder may take damage for an error. Inside a stream, an open group of pictures has leading pictures that
        refer to others: that is no damage, and nobody looks at them."""
        return not self.coded or self.coded[0].reference is None or self.coded[0].idr


class NotAtStartError(Exception):
    """Packets have been read and no entry leads back: the video must be opened again."""


class UncountableError(Exception):
    """Frames of this stream cannot be told from its packets: they must be counted as they leave the decoder."""


def demux_window(
    video: OpenVideo, index: KeyframeIndex, first: int, last: int | None, *, fresh: bool, seek: bool = True
) -> PacketWindow:
    """Demux to the last packet that display frames `first..last` need (None: to the end of the video), from the last key picture
    before them that the index knows, else from the start.

    Args:
        fresh: nothing has been demuxed since the video was opened.
        seek: use the index; without it packets are counted from the start.

    Raises:
        NotAtStartError: the packets would have to be counted from the start, but `fresh` is False.
        UncountableError: a packet is not a frame.
        VideoError: the file is damaged.
    """
    position = index.before_frame(video, first) if seek else -1
    for entry, demuxed in _landings(video, index, position, fresh=fresh):
        window = _fill(video, index, demuxed, PacketWindow(base=entry.frames), first, last, entry.packets)
        # Else the clip starts among the leading pictures of that key picture, or it was none.
        if not entry.frames or _reaches(window, first):
            return window
    return _fill(video, index, packets(video), PacketWindow(), first, last, 0)


def _landings(
    video: OpenVideo, index: KeyframeIndex, position: int, *, fresh: bool
) -> Iterator[tuple[Keyframe, Iterator[Packet]]]:
    """Seek to an entry and to those before it, one by one. It ends where the container stands at its start."""
    if fresh and position >= 0 and not index.entries[position].frames:
        return
    if fresh and position >= 0:
        _check_beginning(video)
    for before in range(position, -1, -1):
        landed = index.seek(video, before)
        fresh = False
        if landed is None:
            break
        yield landed
    if not fresh:
        raise NotAtStartError


def _check_beginning(video: OpenVideo) -> None:
    """Notice pictures before the first key picture in a file that is about to be entered behind them. Raises UncountableError."""
    order: list[int] = []
    count = _Counting(video, at_start=True)
    for packet in packets(video):
        count.check(packet, order)
        if packet.pts is not None and not packet.is_discard:
            bisect.insort(order, packet.pts)
        if packet.dts is not None and order and packet.dts >= order[0]:
            return  # what comes later is shown later


def _reaches(window: PacketWindow, first: int) -> bool:
    """Whether decoding `window` gives frame `first` exactly."""
    if not window.coded or not window.coded[0].key or window.coded[0].pts is None:
        return False
    return first >= window.base + bisect.bisect_left(window.order, window.coded[0].pts)


def _fill(
    video: OpenVideo,
    index: KeyframeIndex,
    demuxed: Iterator[Packet],
    window: PacketWindow,
    first: int,
    last: int | None,
    before: int,
) -> PacketWindow:
    """Read packets into an empty window, `before` packets after the start of the video.

    Groups of pictures that end before `first` are dropped as they pass.
    """
    coded, order = window.coded, window.order
    lengths = video.nal_length_size
    timed = video.timed and index.countable
    shown = window.base
    keys: list[int] = []  # positions in `coded` of key pictures
    count = _Counting(video, at_start=before == 0)
    for packet in demuxed:
        if packet.pts is None and not coded and not before:
            timed = False
        if timed:
            count.check(packet, order)
        else:
            packet.pts = len(coded)  # the frame will tell by it which packet it came from
        picture = CodedPicture(packet, packet.pts, packet.is_keyframe)
        if lengths is not None:
            info = parse_first_slice(bytes(packet), lengths)
            picture.reference, picture.idr = info.reference, info.idr
            picture.key = picture.key and info.intra
        picture.key = picture.key and index.true_keys
        coded.append(picture)
        if not timed:
            if last is not None and len(coded) > 2 * (last + MOST_REORDERED):  # a picture may come as two fields
                return window
            continue
        if picture.key and picture.pts is not None:
            index.add(Keyframe(picture.pts, before, shown, packet.pos))
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


@dataclass(slots=True)
class _Counting:
    """Notices packets that are not one frame each: fields, repeated times, pictures that no decoder shows."""

    video: OpenVideo
    at_start: bool
    decoded_at: int | None = None

    def check(self, packet: Packet, order: list[int]) -> None:
        """Look at the next packet. Raises UncountableError."""
        pts = packet.pts
        back = packet.dts is not None and self.decoded_at is not None and packet.dts < self.decoded_at
        empty = self.video.codec == "mpeg4" and packet.size <= MOST_EMPTY
        # Pictures before the first key picture, in the file or on the screen: cut streams begin so, and nobody can decode them.
        headless = self.at_start and (pts is not None and order[:1] > [pts] if order else not packet.is_keyframe)
        if pts is None or back or empty or (headless and not packet.is_discard) or _holds(order, pts):
            raise UncountableError
        self.decoded_at = packet.dts if packet.dts is not None else self.decoded_at


def _holds(order: list[int], pts: int) -> bool:
    position = bisect.bisect_left(order, pts)
    return position < len(order) and order[position] == pts


def _drop_before(window: PacketWindow, position: int) -> None:
    """Forget the pictures before `position`, a key picture: all of them are displayed before it and its leading pictures."""
    gone = sum(1 for c in window.coded[:position] if c.pts is not None and not c.packet.is_discard)
    del window.coded[:position]
    del window.order[:gone]
    window.base += gone


def count_frames(video: OpenVideo, demuxed: Iterator[Packet]) -> int:
    """Frames of a video from all of its packets.

    Raises:
        UncountableError: a packet is not a frame.
        VideoError: the file is damaged.
    """
    window = _fill(video, KeyframeIndex.of(video), demuxed, PacketWindow(), 1 << 62, None, 0)
    return window.base + len(window.order or window.coded)


def frame_at(video: OpenVideo, index: KeyframeIndex, seconds: float, *, fresh: bool, seek: bool = True) -> int:
    """Number of the frame that is shown at a time: the last one with a presentation time up to it; the first of the video where
    there is none. Streams without presentation times are counted by their frame rate.

    Raises:
        NotAtStartError, UncountableError: see `demux_window`.
        VideoError: the file is damaged, or the time is behind its end.
    """
    time = math.floor(seconds / video.time_base + _TICK)
    position = index.before_time(video, time) if seek else -1
    for entry, demuxed in _landings(video, index, position, fresh=fresh):
        shown = _count_until(video, demuxed, time, seconds, at_start=not entry.packets)
        if shown or not entry.frames:  # else it is shown before that key picture, though decoded after it
            return max(entry.frames + shown - 1, 0)
    if not video.timed:
        return _by_rate(video, seconds)
    return max(_count_until(video, packets(video), time, seconds, at_start=True) - 1, 0)


_TICK = 1e-3
"""Of the time base's unit: floating point must not put a frame's own time before it."""


def _count_until(video: OpenVideo, demuxed: Iterator[Packet], time: int, seconds: float, *, at_start: bool) -> int:
    """How many of the packets' frames are presented up to `time`."""
    order: list[int] = []
    count = _Counting(video, at_start)
    last: Packet | None = None
    for packet in demuxed:
        if packet.pts is None and last is None:
            return _by_rate(video, seconds) + 1
        count.check(packet, order)
        if packet.pts is not None and not packet.is_discard:
            bisect.insort(order, packet.pts)
        last = packet
        if packet.dts is not None and packet.dts > time:
            break  # every later packet is presented after its own decode time
    else:
        rate = float(video.stream.average_rate or 0)
        lasts = max(((last and last.duration) or 0) * video.time_base, 1 / rate if rate else 0.0)
        check_end(video, seconds, (order[-1] * video.time_base if order else 0.0) + lasts)
    return bisect.bisect_right(order, time)


def check_end(video: OpenVideo, seconds: float, end: float) -> None:
    """Raise VideoError if a time is not before the end of the video."""
    if seconds >= end:
        raise VideoError(
            f"{video.name}: no frame at {seconds:g} s: the video ends at {end:.2f} s; choose a time before that"
        )


def _by_rate(video: OpenVideo, seconds: float) -> int:
    """Number of a frame where nothing but the frame rate tells its time."""
    return int(seconds * float(video.stream.average_rate or 0) + _TICK)


def frame_at_by_decoding(video: OpenVideo, seconds: float) -> int:
    """`frame_at` for streams whose packets are not frames: decodes a freshly opened video up to that time."""
    end = 0.0
    number = -1
    for number, frame in enumerate(decode_all(video)):
        if frame.pts is None:
            return _by_rate(video, seconds)
        if frame.pts * video.time_base > seconds + _TICK * video.time_base:
            return max(number - 1, 0)
        end = frame.pts * video.time_base + 1 / float(video.stream.average_rate or 25)
    check_end(video, seconds, end)
    return number
