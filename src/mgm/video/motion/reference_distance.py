"""The time that a motion vector spans: the distance to its reference picture, which FFmpeg does not export."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mgm.video.container.clip_packets import PacketWindow

MOST_REFERENCES = 16
"""Reference pictures that an H.264 decoder keeps at most."""

Distance = tuple[float | None, float | None]
"""Time to the nearest earlier and to the nearest later reference picture; None if there is none."""


@dataclass(slots=True)
class ReferenceTracker:
    """Estimates the distance to each picture's references from the pictures decoded before it.

    A vector of list 0 points to an earlier picture, one of list 1 to a later one; the picture itself is not exposed. The nearest
    reference picture already decoded on that side is the best guess. With several references an encoder may have used a farther
    one; the motion of such a block is then too long.

    Feed pictures in DECODE order. In H.264 each packet contains whether other pictures may refer to it; an IDR picture clears all
    references before it.
    """

    references: list[float] = field(default_factory=list)  # ascending
    order: deque[float] = field(default_factory=deque)  # the same in decode order

    def feed(self, pts: float, *, reference: bool, idr: bool) -> Distance:
        """The distance to the nearest references, in the unit of `pts`."""
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


def neighbour_references(pts: float, references: list[float]) -> Distance:
    """The distance to the nearest of `references`, ascending times. In MPEG-1/2/4 these are all I- and P-pictures."""
    earlier, later = bisect.bisect_left(references, pts), bisect.bisect_right(references, pts)
    before = pts - references[earlier - 1] if earlier else None
    return before, references[later] - pts if later < len(references) else None


@dataclass(frozen=True, slots=True)
class ReferenceGraph:
    """The references of H.264 pictures as their packets declare them, by frame number.

    Attributes:
        distances: to the nearest references.
        references: frames that other pictures may refer to.
    """

    distances: Mapping[int, Distance]
    references: frozenset[int]


def follow_references(window: PacketWindow, number: Mapping[int, int]) -> ReferenceGraph:
    """Follow the pictures of a window in decode order. Those that an edit list hides have no number, but are references.

    Args:
        number: frame numbers by the presentation times of their packets.
    """
    tracker = ReferenceTracker()
    timed = bool(window.order)
    distances = {}
    references = set()
    for coded in window.coded:
        if coded.reference is None or coded.pts is None:
            continue
        index = number.get(coded.pts)
        time = coded.pts if timed else index
        if time is None:
            continue
        distance = tracker.feed(time, reference=coded.reference, idr=coded.idr)
        if index is not None:
            distances[index] = distance
            if coded.reference:
                references.add(index)
    return ReferenceGraph(distances, frozenset(references))


def enclosing_frames(window: PacketWindow, graph: ReferenceGraph, frames: Iterable[int]) -> set[int]:
    """The later reference pictures of `frames`, and theirs in turn: their vectors span those frames too."""
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    found: set[int] = set()
    for index in frames:
        while index in graph.distances and (after := graph.distances[index][1]) is not None:
            time = round(window.order[index - window.base] + after)
            if time not in number:  # hidden by an edit list: the decoder returns no vectors of it
                break
            index = number[time]
            found.add(index)
    return found
