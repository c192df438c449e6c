"""How far a motion vector reaches in time: the reference distance, which FFmpeg does not export."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mgm.video.container.packets import PacketWindow

MOST_REFERENCES = 16
"""Pictures that an H.264 decoder keeps for others to refer to."""

Distance = tuple[float | None, float | None]
"""Time to the nearest earlier and to the nearest later reference picture; None: there is none."""


@dataclass(slots=True)
class ReferenceTracker:
    """Estimates the distance to each picture's references from the pictures decoded before it.

    A vector of list 0 points to an earlier picture, one of list 1 to a later one; which, is not exposed. The nearest already
    decoded reference picture on that side is the best guess. With several references an encoder may have taken a farther one;
    such a block then reads too long.

    Feed pictures in DECODE order; H.264 says in each packet whether others refer to it, and an IDR picture forgets all before it.
    """

    references: list[float] = field(default_factory=list)  # ascending
    order: deque[float] = field(default_factory=deque)  # the same in decode order

    def feed(self, pts: float, *, reference: bool, idr: bool) -> Distance:
        """(time to the nearest earlier reference, time to the nearest later one), in the unit of `pts`; None: there is none."""
        if idr:
            self.references.clear()
            self.order.clear()
        distance = neighbour_references(pts, self.references)
        if reference:
            if len(self.order) == MOST_REFERENCES:
                self.references.remove(self.order.popleft())
            self.order.append(pts)
            bisect.insort(self.references, pts)
        return distance


def neighbour_references(pts: float, anchors: list[float]) -> Distance:
    """The same for codecs whose references are their I- and P-pictures (MPEG-1/2/4); `anchors`: the times of those, ascending."""
    earlier, later = bisect.bisect_left(anchors, pts), bisect.bisect_right(anchors, pts)
    return (pts - anchors[earlier - 1] if earlier else None, anchors[later] - pts if later < len(anchors) else None)


@dataclass(frozen=True, slots=True)
class ReferenceGraph:
    """What the packets of H.264 pictures tell of their references, by frame number.

    Attributes:
        distances: to the nearest references.
        references: the frames that others may refer to.
    """

    distances: Mapping[int, Distance]
    references: frozenset[int]


def follow_references(window: PacketWindow, number: Mapping[int, int]) -> ReferenceGraph:
    """Follow the pictures of a window in decode order.

    Args:
        number: of the frame, by the presentation time of its packet.
    """
    tracker = ReferenceTracker()
    timed = bool(window.order)
    distances = {}
    references = set()
    for coded in window.coded:
        if coded.reference is None or coded.pts is None or coded.pts not in number:
            continue
        index = number[coded.pts]
        time = coded.pts if timed else index
        distances[index] = tracker.feed(time, reference=coded.reference, idr=coded.idr)
        if coded.reference:
            references.add(index)
    return ReferenceGraph(distances, frozenset(references))


def enclosing_frames(window: PacketWindow, links: ReferenceGraph, frames: Iterable[int]) -> set[int]:
    """The later reference pictures of frames, and those in turn: their vectors span those frames, too."""
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    found: set[int] = set()
    for index in frames:
        while index in links.distances and (after := links.distances[index][1]) is not None:
            index = number[round(window.order[index - window.base] + after)]
            found.add(index)
    return found
