"""Orders of pictures by hand. A picture is (time, referred to by others, IDR); the answer is (time back, time ahead)."""

import pytest

from mgm.video.motion.reference_distance import ReferenceTracker, neighbour_references


def distances(pictures):
    tracker = ReferenceTracker()
    return [tracker.feed(time, reference=reference, idr=idr) for time, reference, idr in pictures]


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        # shown I B B P, decoded I P B B
        (
            [(0, True, True), (3, True, False), (1, False, False), (2, False, False)],
            [(None, None), (3, None), (1, 2), (2, 1)],
        ),
        # a pyramid: the middle B is itself a reference
        (
            [(0, True, True), (4, True, False), (2, True, False), (1, False, False), (3, False, False)],
            [(None, None), (4, None), (2, 2), (1, 1), (1, 1)],
        ),
        # an IDR picture forgets what was before it
        ([(0, True, True), (1, True, False), (2, True, True), (3, True, False)], [(None, None), (1, None)] * 2),
        # pictures that nobody refers to are no references
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
