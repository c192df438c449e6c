"""The packets of a clip: the fewest that decode it exactly, and which frames of the video they are."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

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


def read_window(video: OpenVideo, first: int, last: int | None) -> Window:
    """Demux a freshly opened video from its start to the last packet that display frames `first..last` need (None: to the end).

    Demuxing a packet costs one to two orders less than decoding it, so packets are counted from the start: frame numbers are
    exact whatever the frame rate does. Groups of pictures that end before `first` are dropped as they pass.
    """
    window = Window()
    coded, order = window.coded, window.order
    lengths = nal_length_size(video)
    timed = video.timed
    keys: list[int] = []  # positions in `coded` of key pictures
    for packet in packets(video):
        if packet.pts is None and not coded:
            timed = False
        if not timed:
            packet.pts = len(coded)  # the frame will tell by it which packet it came from
        picture = Coded(packet, packet.pts, packet.is_keyframe)
        if lengths is not None:
            picture.reference, picture.idr, intra = first_slice(bytes(packet), lengths)
            picture.key = picture.key and intra
        coded.append(picture)
        if not timed:
            if last is not None and len(coded) > last + MOST_REORDERED:
                return window
            continue
        if picture.key and picture.pts is not None:
            if keys and first >= window.base + bisect.bisect_left(order, coded[keys[-1]].pts or 0):
                _drop_before(window, keys[-1])
                keys = [0]
            keys.append(len(coded) - 1)
        if packet.pts is not None and not packet.is_discard:  # hidden by an edit list, but others may refer to it
            bisect.insort(order, packet.pts)
        if last is not None and packet.dts is not None and window.base + bisect.bisect_left(order, packet.dts) > last:
            break  # every later packet is presented after its own decode time, so frames up to `last` are all here
    else:
        window.ended = True
    for position in reversed(keys):
        if position and first >= window.base + bisect.bisect_left(order, coded[position].pts or 0):
            _drop_before(window, position)
            break
    if window.base and coded[0].reference is not None and not coded[0].idr:
        # An open group of pictures: its leading pictures refer to dropped ones. That is no damage, and nobody looks at them.
        video.stream.codec_context.options = {**video.stream.codec_context.options, "err_detect": "0"}
    return window


def _drop_before(window: Window, position: int) -> None:
    """Forget the pictures before `position`, a key picture: all of them are displayed before it and its leading pictures."""
    gone = sum(1 for c in window.coded[:position] if c.pts is not None and not c.packet.is_discard)
    del window.coded[:position]
    del window.order[:gone]
    window.base += gone
