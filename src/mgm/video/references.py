"""How far a motion vector reaches in time: the reference distance, which FFmpeg does not export."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field


@dataclass(slots=True)
class ReferenceTracker:
    """Estimates the distance to each picture's references from the pictures decoded before it.

    A vector of list 0 points to an earlier picture, one of list 1 to a later one; which, is not exposed. The nearest already
    decoded reference picture on that side is the best guess. With several references an encoder may have taken a farther one;
    such a block then reads too long.

    Feed pictures in DECODE order; H.264 says in each packet whether others refer to it, and an IDR picture forgets all before it.
    """

    references: list[float] = field(default_factory=list)

    def feed(self, pts: float, *, reference: bool, idr: bool) -> tuple[float | None, float | None]:
        """(time to the nearest earlier reference, time to the nearest later one), in the unit of `pts`; None: there is none."""
        if idr:
            self.references.clear()
        earlier = [r for r in self.references if r < pts]
        later = [r for r in self.references if r > pts]
        if reference:
            self.references = [*self.references[-15:], pts]  # H.264 keeps at most 16 reference pictures
        return (pts - max(earlier) if earlier else None, min(later) - pts if later else None)


def neighbour_references(pts: float, anchors: list[float]) -> tuple[float | None, float | None]:
    """The same for codecs whose references are their I- and P-pictures (MPEG-1/2/4); `anchors`: the times of those, ascending."""
    earlier, later = bisect.bisect_left(anchors, pts), bisect.bisect_right(anchors, pts)
    return (pts - anchors[earlier - 1] if earlier else None, anchors[later] - pts if later < len(anchors) else None)
