"""Picture orders by hand: a picture is (time, reference, IDR), its distance is (time back, time ahead)."""

import pytest

from mgm.video.container.clip_packets import CodedPicture, PacketWindow
from mgm.video.motion.reference_distance import (
    ReferenceGraph,
    ReferenceTracker,
    enclosing_frames,
    follow_references,
    neighbour_references,
)


def distances(pictures):
    tracker = ReferenceTracker()
    return [tracker.feed(time, reference=reference, idr=idr) for time, reference, idr in pictures]


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        # displayed I B B P, decoded I P B B
        (
            [(0, True, True), (3, True, False), (1, False, False), (2, False, False)],
            [(None, None), (3, None), (1, 2), (2, 1)],
        ),
        # a pyramid: the middle B is a reference too
        (
            [(0, True, True), (4, True, False), (2, True, False), (1, False, False), (3, False, False)],
            [(None, None), (4, None), (2, 2), (1, 1), (1, 1)],
        ),
        # an IDR picture clears the references before it
        ([(0, True, True), (1, True, False), (2, True, True), (3, True, False)], [(None, None), (1, None)] * 2),
        # pictures that are not references do not count
        ([(0, True, True), (1, False, False), (2, True, False)], [(None, None), (1, None), (2, None)]),
    ],
)
def test_distance_to_the_nearest_decoded_reference(pictures, expected):
    assert distances(pictures) == expected


def test_at_most_sixteen_references_are_kept():
    tracker = ReferenceTracker()
    for time in range(40):
        tracker.feed(time, reference=True, idr=time == 0)
    assert tracker.references == list(range(24, 40))


def test_neighbours_among_anchors():
    assert neighbour_references(2, [0, 3, 6]) == (2, 1)
    assert neighbour_references(3, [0, 3, 6]) == (3, 3)
    assert neighbour_references(0, [0, 3]) == (None, 3)
    assert neighbour_references(9, [0, 3]) == (6, None)


def window(pictures: list[tuple[int, bool]]) -> PacketWindow:
    """Pictures (time, reference) in decode order; frames are numbered from 100."""
    coded = [
        CodedPicture(None, time, position == 0, reference, position == 0)
        for position, (time, reference) in enumerate(pictures)
    ]  # type: ignore[arg-type]
    return PacketWindow(coded, base=100, order=sorted(time for time, _ in pictures))


def graph_of(found: PacketWindow) -> ReferenceGraph:
    return follow_references(found, {time: found.base + i for i, time in enumerate(found.order)})


def test_enclosing_frames_are_the_later_references_and_theirs():
    # displayed I b B b P b, decoded I P B b b b; ten units of time apart
    pyramid = window([(0, True), (40, True), (20, True), (10, False), (30, False), (50, False)])
    assert graph_of(pyramid).references == {100, 104, 102}
    assert enclosing_frames(pyramid, graph_of(pyramid), [101]) == {102, 104}
    assert enclosing_frames(pyramid, graph_of(pyramid), [103]) == {104}
    assert enclosing_frames(pyramid, graph_of(pyramid), [100, 104, 105]) == set()
