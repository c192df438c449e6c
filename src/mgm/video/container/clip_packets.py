"""The packets of a clip: the fewest that decode it exactly, and the numbers of their frames."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mgm.errors import VideoError
from mgm.video.container.frame_clock import FrameClock
from mgm.video.container.h264 import parse_first_slice
from mgm.video.container.keyframes import MOST_EMPTY, Keyframe, KeyframeIndex
from mgm.video.container.shortcuts import ShortcutFailedError, Shortcuts, UncountableError
from mgm.video.container.stream import MOST_REORDERED, OpenVideo, Packet, begins_clean, decode_all, packets

_TICK = 1e-3
"""Fraction of a unit of the time base: floating point must not put a time before the frame that it belongs to."""


@dataclass(slots=True)
class CodedPicture:
    """One coded picture, as demuxed.

    Attributes:
        packet: the packet.
        pts: its presentation time; where frames are counted, its position in the window.
        key: decoding can start here.
        reference: later pictures may refer to this one; None for codecs other than H.264, where only the decoder finds out.
        idr: an H.264 IDR picture.
        own_time: where frames are counted, its presentation time; None: it has no true one.
    """

    packet: Packet
    pts: int | None
    key: bool
    reference: bool | None = None
    idr: bool = False
    own_time: int | None = None


@dataclass(slots=True)
class PacketWindow:
    """The coded pictures that decode display frames `first..last`, in decode order, from a keyframe on.

    Attributes:
        coded: pictures in decode order.
        base: number of frames of the video that are displayed before every picture of `coded`.
        order: presentation times of `coded` in display order; `order[i]` belongs to frame `base + i`. Empty where the
            container has none (raw streams) or FFmpeg makes them up in decode order (H.264 in AVI): frames must then be
            counted as they leave the decoder, and `pts` is the position in `coded`.
        ended: the stream ended inside the window: the video has `base + len(order)` frames.
    """

    coded: list[CodedPicture] = field(default_factory=list)
    base: int = 0
    order: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def strict(self) -> bool:
        """Whether the decoder may treat damage as an error. Inside a stream, the leading pictures of an open group refer to
        pictures before the window: that is not damage, and no clip uses them."""
        return not self.coded or self.coded[0].reference is None or self.coded[0].idr

    @property
    def frame_numbers(self) -> dict[int, int]:
        """Numbers of the frames by presentation time; empty where frames must be counted."""
        return {pts: self.base + i for i, pts in enumerate(self.order)}

    def displayed_before(self, picture: CodedPicture) -> int:
        """Number of frames of the video that are displayed before a picture."""
        return self.base + bisect.bisect_left(self.order, picture.pts or 0)

    def drop_before(self, position: int) -> None:
        """Drop the pictures before a keyframe: all of them are displayed before it and its leading pictures."""
        gone = sum(1 for c in self.coded[:position] if c.pts is not None and not c.packet.is_discard)
        del self.coded[:position]
        del self.order[:gone]
        self.base += gone


def demux_window(
    video: OpenVideo, index: KeyframeIndex, first: int, last: int | None, shortcuts: Shortcuts
) -> PacketWindow:
    """Demux to the last packet that display frames `first..last` need (None: to the end of the video), from the last keyframe
    before them in the index, else from the start.

    Raises:
        ShortcutFailedError: the window needs to be read again without a shortcut; UncountableError if a packet is not a frame.
        VideoError: the file is damaged.
    """
    position = index.before_frame(video, first) if shortcuts.may_seek else -1
    for keyframe, demuxed in _entry_points(video, index, position):
        reader = _WindowReader(
            video, index, first, last, shortcuts, keyframe.packets, PacketWindow(base=keyframe.frames)
        )
        window = reader.read(demuxed)
        # Else the clip starts among the leading pictures of that keyframe, or it was not one.
        if not keyframe.frames or _reaches(window, first):
            return window
    return _WindowReader(video, index, first, last, shortcuts).read(packets(video))


def _entry_points(video: OpenVideo, index: KeyframeIndex, position: int) -> Iterator[tuple[Keyframe, Iterator[Packet]]]:
    """Seek to a keyframe and to those before it, one by one. It ends when the container is at its start.

    Raises:
        ShortcutFailedError: a seek failed, or no keyframe is left and packets of this opening have been read.
    """
    at_start = not video.demuxed
    if at_start and (position < 0 or not index.keyframes[position].frames):
        return
    if at_start:
        _check_beginning(video)
    for before in range(position, -1, -1):
        yield index.seek(video, before)
    raise ShortcutFailedError("seek", lasting=False)


def _check_beginning(video: OpenVideo) -> None:
    """Raise UncountableError for pictures before the first keyframe of a file that is about to be entered after them."""
    order: list[int] = []
    check = _PacketCheck(video, at_start=True)
    for packet in packets(video):
        check(packet, order)
        if packet.pts is not None and not packet.is_discard:
            bisect.insort(order, packet.pts)
        if packet.dts is not None and order and packet.dts >= order[0]:
            return  # later packets are displayed later


def _reaches(window: PacketWindow, first: int) -> bool:
    """Whether decoding `window` gives frame `first` exactly."""
    if not window.coded or not window.coded[0].key or window.coded[0].pts is None:
        return False
    return first >= window.displayed_before(window.coded[0])


@dataclass(slots=True)
class _WindowReader:
    """Reads packets into a window. Groups of pictures that end before frame `first` are dropped as they pass.

    Attributes:
        passed: number of packets of the stream before the next one.
        window: what was read so far.
        displayed: number of frames of the video among the packets so far.
        keys: positions of keyframes in the window.
    """

    video: OpenVideo
    index: KeyframeIndex
    first: int
    last: int | None
    shortcuts: Shortcuts
    passed: int = 0
    window: PacketWindow = field(default_factory=PacketWindow)
    displayed: int = field(init=False)
    keys: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.displayed = self.window.base

    def read(self, demuxed: Iterator[Packet]) -> PacketWindow:
        """Read up to the last packet that is needed, or to the end."""
        window, check = self.window, _PacketCheck(self.video, at_start=not self.passed)
        for packet in demuxed:
            if not self._timed:
                own_time = packet.pts if self.video.timed else None
                packet.pts = len(window.coded)  # identifies the packet of a decoded frame
                window.coded.append(replace(self._picture(packet), own_time=own_time))
                # Twice: a picture may come as two fields.
                if self.last is not None and len(window.coded) > 2 * (self.last + MOST_REORDERED):
                    return window
                continue
            check(packet, window.order)
            self._add(self._picture(packet))
            if (
                self.last is not None
                and packet.dts is not None
                and window.base + bisect.bisect_left(window.order, packet.dts) > self.last
            ):
                break  # every later packet is displayed after its own decode time, so frames up to `last` are all here
        else:
            window.ended = True
        for position in reversed(self.keys):
            if position and self.first >= window.displayed_before(window.coded[position]):
                window.drop_before(position)
                break
        return window

    @property
    def _timed(self) -> bool:
        """Whether packets are numbered by their presentation times; known after the first one."""
        if self.passed and not self.video.timed:
            raise UncountableError  # the numbers of this window depend on the times of the packets before it
        return self.video.timed and self.shortcuts.packet_times

    def _picture(self, packet: Packet) -> CodedPicture:
        key = packet.is_keyframe and self.shortcuts.keyframe_flags
        length_size = self.video.nal_length_size
        if length_size is None:
            return CodedPicture(packet, packet.pts, key)
        # Start codes are searched for in a copy; lengths lead to the slice without one.
        info = parse_first_slice(memoryview(packet) if length_size else bytes(packet), length_size)
        return CodedPicture(packet, packet.pts, key and info.intra, info.reference, info.idr)

    def _add(self, picture: CodedPicture) -> None:
        window, packet = self.window, picture.packet
        window.coded.append(picture)
        if picture.key and picture.pts is not None:
            self.index.add(Keyframe(picture.pts, self.passed, self.displayed, packet.pos, self.video.state))
            if self.keys and self.first >= window.displayed_before(window.coded[self.keys[-1]]):
                window.drop_before(self.keys[-1])
                self.keys = [0]
            self.keys.append(len(window.coded) - 1)
        self.passed += 1
        if packet.pts is not None and not packet.is_discard:  # hidden by an edit list, but others may refer to it
            bisect.insort(window.order, packet.pts)
            self.displayed += 1


@dataclass(slots=True)
class _PacketCheck:
    """Detects packets that are not one frame each: fields, repeated times, pictures that no decoder shows.

    Attributes:
        shown_from: the time of the first packet of the video, if decoding can begin there; infinity if it cannot.
    """

    video: OpenVideo
    at_start: bool
    shown_from: float | None = None
    decoded_at: int | None = None

    def __call__(self, packet: Packet, order: list[int]) -> None:
        """Check the next packet; `order`: the presentation times before it, ascending. Raises UncountableError."""
        pts = packet.pts
        back = packet.dts is not None and self.decoded_at is not None and packet.dts < self.decoded_at
        empty = self.video.codec == "mpeg4" and packet.size <= MOST_EMPTY
        # Pictures before the first keyframe, in decode or in display order: cut streams begin so, and they cannot be decoded. Under
        # periodic intra refresh that holds for all pictures up to the end of the first refresh. An edit list may hide the keyframe.
        if self.at_start and self.shown_from is None:
            self.shown_from = pts if pts is not None and begins_clean(self.video, packet) else math.inf
        headless = pts is not None and self.shown_from is not None and pts < self.shown_from
        if (
            pts is None
            or not self.video.timed
            or back
            or empty
            or (headless and not packet.is_discard)
            or _contains(order, pts)
        ):
            raise UncountableError
        self.decoded_at = packet.dts if packet.dts is not None else self.decoded_at


def _contains(order: list[int], pts: int) -> bool:
    position = bisect.bisect_left(order, pts)
    return position < len(order) and order[position] == pts


def count_frames(video: OpenVideo, demuxed: Iterator[Packet]) -> int:
    """Number of frames of a video, from all of its packets.

    Raises:
        UncountableError: a packet is not a frame.
        VideoError: the file is damaged.
    """
    window = _WindowReader(video, KeyframeIndex.of(video), 1 << 62, None, Shortcuts()).read(demuxed)
    if video.timed or not window.coded:
        return window.base + len(window.order)
    # Pictures that are shown before the first one cannot be decoded; only H.264 declares, by an IDR picture, that there are none.
    if not (window.coded[0].key and window.strict) or (video.reordered and video.codec != "h264"):
        raise UncountableError
    return sum(not coded.packet.is_discard for coded in window.coded)


def frame_at(video: OpenVideo, index: KeyframeIndex, seconds: float, shortcuts: Shortcuts) -> int:
    """Number of the frame that is shown at a time: the last one with a presentation time up to it, or the first of the video.
    Streams without presentation times are counted by their frame rate.

    Raises:
        ShortcutFailedError: see `demux_window`.
        VideoError: the file is damaged, or the time is beyond its end.
    """
    time = math.floor(seconds / video.time_base + _TICK)
    position = index.before_time(video, time) if shortcuts.may_seek else -1
    for keyframe, demuxed in _entry_points(video, index, position):
        shown = _count_until(video, demuxed, time, seconds, at_start=not keyframe.packets)
        if shown or not keyframe.frames:  # else it is shown before that keyframe, though decoded after it
            return max(keyframe.frames + shown - 1, 0)
    if not video.timed:
        return _by_rate(video, seconds)
    return max(_count_until(video, packets(video), time, seconds, at_start=True) - 1, 0)


def _count_until(video: OpenVideo, demuxed: Iterator[Packet], time: int, seconds: float, *, at_start: bool) -> int:
    """Number of the packets' frames that are presented up to `time`."""
    order: list[int] = []
    check = _PacketCheck(video, at_start)
    last: Packet | None = None
    for packet in demuxed:
        if not video.timed and last is None:
            return _by_rate(video, seconds) + 1
        check(packet, order)
        if packet.pts is not None and not packet.is_discard:
            bisect.insort(order, packet.pts)
        last = packet
        if packet.dts is not None and packet.dts > time:
            break  # every later packet is presented after its own decode time
    else:
        lasts = max(((last and last.duration) or 0) * video.time_base, 1 / video.rate if video.rate else 0.0)
        _check_end(video, seconds, (order[-1] * video.time_base if order else 0.0) + lasts)
    return bisect.bisect_right(order, time)


def frame_at_by_decoding(video: OpenVideo, seconds: float) -> int:
    """`frame_at` for streams whose packets are not frames: decodes a freshly opened video up to that time."""
    clock, end, number = FrameClock(video), 0.0, -1
    for number, frame in enumerate(decode_all(video)):
        if not video.timed:
            return _by_rate(video, seconds)
        shown = clock(frame.pts)
        if shown > seconds + _TICK * video.time_base:
            return max(number - 1, 0)
        end = shown + 1 / (video.rate or 25)
    _check_end(video, seconds, end)
    return number


def _check_end(video: OpenVideo, seconds: float, end: float) -> None:
    """Raise VideoError if a time is not before the end of the video."""
    if seconds >= end:
        raise VideoError(
            video.name,
            f"no frame at {seconds:g} s: the video ends at {end:.2f} s",
            advice="choose a time before that",
            reason="invalid_value",
        )


def _by_rate(video: OpenVideo, seconds: float) -> int:
    """Number of a frame by the stream's frame rate alone."""
    return int(seconds * video.rate + _TICK)
