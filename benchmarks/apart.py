"""Readers of clips, each in a process of its own: threads that one leaves running take no time from another's clock.

The parent starts one process for each reader and asks them in turn for a round. A process reads its orders as lines: the clips as
JSON, then a line for each round, which it answers with the seconds that the round took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from timing import Clock, Timing, timings

Clips = Sequence[tuple[str, int]]
"""(path, first frame) of each clip of a round."""


def read_least(path: str, start: int) -> object:
    """The steps of a clip with summed motion that no reader of H.264 can leave out, by mgm's own parts: no plan, no references, no
    checks, so that the motion is not right, but takes as long."""
    import numpy as np

    from mgm.video.clip.rgb import FrameConverter
    from mgm.video.container.clip_packets import demux_window
    from mgm.video.container.keyframes import KeyframeIndex
    from mgm.video.container.shortcuts import Shortcuts
    from mgm.video.container.stream import decode_packet, open_video
    from mgm.video.motion.field import VectorField, aggregate_windows, fill_gaps, grid_shape
    from mgm.video.motion.vectors import VectorMemory, exported_vectors
    from mgm.video.motion.velocity import accumulate_vectors, smooth, smoothed_support
    from reading import FRAMES, SIZE, STRIDE

    last = start + (FRAMES - 1) * STRIDE
    memory, places = VectorMemory(), {}
    convert = FrameConverter(SIZE, None, path, None, FRAMES)
    with open_video(path, vectors=True, brief=True) as video:
        window = demux_window(video, KeyframeIndex.of(video), start, last, Shortcuts())
        number = window.frame_numbers
        for packet in (*(coded.packet for coded in window.coded), None):
            for frame in decode_packet(video, packet):
                assert frame.pts is not None  # the window is counted by times
                at = number[frame.pts]
                if start - STRIDE < at <= last:
                    exported = exported_vectors(frame)
                    places[at] = None if exported is None else memory.copy(exported)
                if at in range(start, last + 1, STRIDE):
                    convert(frame)
    convert.release()
    field = VectorField.empty((len(places), *grid_shape(*convert.shape)))
    for position, at in enumerate(sorted(places)):
        place = places[at]
        vectors = memory[place] if place is not None else memory.blocks[0][:0]
        smooth(accumulate_vectors(vectors, field.valid.shape[1:], past=1.0, future=1.0), 1.0, out=field[position])
    fill_gaps(field.vectors, smoothed_support(field.valid))
    ends = np.arange(len(field) - 1 - last + start, len(field), STRIDE)
    return aggregate_windows(field, ends, stride=STRIDE, policy="window_sum")


def own_readers() -> dict[str, Callable[[str, int], object]]:
    """The rows of mgm."""
    import mgm
    from mgm.video import read_motion
    from mgm.video.container.clip_packets import demux_window
    from mgm.video.container.keyframes import KeyframeIndex
    from mgm.video.container.shortcuts import Shortcuts
    from mgm.video.container.stream import decode_packet, open_video
    from reading import FRAMES, SIZE, STRIDE

    def clip(path: str, start: int, **options: object) -> object:
        return mgm.read_clip(path, start=start, frames=FRAMES, stride=STRIDE, size=SIZE, crop=None, **options)  # type: ignore[arg-type]

    def motion(path: str, start: int) -> object:
        return read_motion(path, start=start, frames=FRAMES, stride=STRIDE)

    def decode(path: str, start: int) -> object:
        with open_video(path, vectors=True, brief=True) as video:
            last = start + (FRAMES - 1) * STRIDE
            window = demux_window(video, KeyframeIndex.of(video), start, last, Shortcuts())
            return [len(decode_packet(video, packet)) for packet in (*(coded.packet for coded in window.coded), None)]

    return {
        "mgm, frames alone": partial(clip, motion=None),
        "mgm, frames + sampled motion": partial(clip, policy="sampled"),
        "mgm, frames + motion summed over the stride": clip,
        "mgm, the same, from reference pictures": partial(clip, reading="references"),
        "mgm, summed motion alone": motion,
        "mgm, its parts without plan or references": read_least,  # of every frame from the keyframe on, too
        "mgm, decoding with vectors, nothing else": decode,  # of every frame from the keyframe on
    }


def reader_of(name: str) -> Callable[[str, int], object]:
    """The function of a row, which opens the file and reads one clip."""
    from peers import load_peers
    from reading import SIZE, index_of

    if name.startswith("mgm"):
        return own_readers()[name]
    peer = next(peer for peer in load_peers()[0] if peer.name == name)
    return lambda path, start: peer.read(path, index_of(start), SIZE)


def serve(name: str) -> None:
    """Answer orders until standard input ends."""
    read, clips = reader_of(name), json.loads(sys.stdin.readline())
    for clock in sys.stdin:
        now = time.process_time if clock.strip() == "cpu" else time.perf_counter
        began = now()
        for path, start in clips:
            read(path, start)
        print(now() - began, flush=True)


def time_apart(names: Sequence[str], clips: Clips, *, peer: str, rounds: int, clock: Clock) -> dict[str, Timing]:
    """Seconds a clip of each reader over `rounds` interleaved rounds, after one that is not counted; ratios to those of `peer`."""
    started = {}
    for name in names:
        process = subprocess.Popen(
            [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(clips), file=process.stdin, flush=True)
        started[name] = process
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            process = started[name]
            assert process.stdin is not None
            assert process.stdout is not None
            print(clock, file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                raise SystemExit(f"{name}: its process ended with status {process.wait()}")
            if number:
                seconds[name].append(float(answer) / len(clips))
    for process in started.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    return timings(seconds, peer)


if __name__ == "__main__":
    serve(sys.argv[1])
