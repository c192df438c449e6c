"""Clips are read ahead while nobody waits, and those of the newest request first."""

import time
from threading import Event

import pytest

from mgm.errors import VideoError
from mgm.explore.library import Video
from mgm.explore.read_ahead import ReadAhead
from mgm.explore.request import CAMERAS, READINGS, SOURCES, ClipRequest, TokenSizes, neighbours, read_clip_request

VIDEO = Video("a", "a", "a.mp4")
CLIPS = [ClipRequest(start=start) for start in range(4)]


def test_they_are_read_in_order_and_an_error_stops_nothing():
    read, done = [], Event()

    def reading(video: Video, request: ClipRequest) -> None:
        read.append((video, request))
        if request is CLIPS[1]:
            raise VideoError("a.mp4", "is broken", reason="damaged")
        if request is CLIPS[-1]:
            done.set()

    ahead = ReadAhead(reading, 0.0)
    ahead.expect(VIDEO, CLIPS)
    assert done.wait(60)
    ahead.end(60)
    assert read == [(VIDEO, request) for request in CLIPS]


def test_a_visitor_goes_first_and_a_later_call_replaces_what_is_left():
    read, begun, go_on, done = [], Event(), Event(), Event()

    def reading(video: Video, request: ClipRequest) -> None:
        read.append(request)
        begun.set()
        assert go_on.wait(60)
        if request is CLIPS[3]:
            done.set()

    ahead = ReadAhead(reading, 0.05)
    ahead.expect(VIDEO, CLIPS[:2])
    began = time.monotonic()
    while time.monotonic() < began + 0.2:
        ahead.pause()
    assert read == []
    assert begun.wait(60)
    ahead.expect(VIDEO, CLIPS[3:])
    go_on.set()
    assert done.wait(60)
    ahead.end(60)
    assert read == [CLIPS[0], CLIPS[3]]


def test_the_neighbours_are_all_that_one_step_asks_for():
    plain, tokens = ClipRequest(start=3), TokenSizes()
    found = neighbours(plain, tokens, fixed=False)
    assert plain not in found
    assert len(set(found)) == len(found)
    assert {clip.camera for clip in found} == set(CAMERAS)
    assert {clip.reading for clip in found} == set(READINGS)
    assert {clip.motion for clip in found} == set(SOURCES)
    assert {clip.stride for clip in found} == {3, 4, 5}
    assert {clip.frames for clip in found} == {14, 16, 18}
    assert {clip.start for clip in found} == {3, 4, 19}
    kept = neighbours(plain, tokens, fixed=True)
    assert {(clip.frames, clip.stride) for clip in kept} == {(16, 4)}


@pytest.mark.parametrize(("frames", "stride"), [(2, 1), (64, 32)])
def test_neighbours_can_be_asked_for(frames, stride):
    for clip in neighbours(ClipRequest(frames=frames, stride=stride), TokenSizes(), fixed=False):
        asked = {name: getattr(clip, name) for name in clip.__dataclass_fields__}
        assert read_clip_request(asked, TokenSizes()) == clip
