"""Read clips from one file, opened again for each: the frames that each reader returns, and its time per clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

import mgm
from mgm.video import read_motion
from mgm.video.container.metadata import read_video_info
from peers import Peer, read_pyav, version_of
from timing import Clock, Timing, compare, print_table

FRAMES, STRIDE, SIZE = 16, 4, 224
DECORD = "decord"
ORIGINAL = "decord, original file"


def clip_starts(path: str, *, clips: int, rng: np.random.Generator) -> list[int]:
    """Random starts, multiples of the stride: a strided file is made for those, and the others get the same."""
    last = read_video_info(path).frames - 1 - (FRAMES - 1) * STRIDE
    if last < 0:
        raise SystemExit(f"{path}: shorter than {FRAMES} frames x stride {STRIDE}, expected a longer video")
    starts: list[int] = (STRIDE * rng.integers(last // STRIDE + 1, size=clips)).tolist()
    return starts


def index_of(start: int) -> np.ndarray:
    """The frame numbers of a clip."""
    return start + STRIDE * np.arange(FRAMES, dtype=np.int64)


def print_frames(path: str, peers: Sequence[Peer], starts: Sequence[int]) -> None:
    """Compare every reader's frames with a plain decode from the start, and its resized pictures with ours.

    A frame counts as right if its pixels are, on average, within 2 grey levels: decoders agree bit by bit, but a conversion to RGB
    may round otherwise.
    """
    right = dict.fromkeys([p.name for p in peers] + ["mgm"], 0)
    differs = dict.fromkeys(right, 0.0)
    for start in starts:
        index = index_of(start)
        truth = read_pyav(path, index, None).astype(np.int16)
        small = mgm.read_clip(path, start=start, frames=FRAMES, stride=STRIDE, size=SIZE, crop=None, motion=None).frames
        own = mgm.read_clip(path, start=start, frames=FRAMES, stride=STRIDE, size=None, crop=None, motion=None).frames
        right["mgm"] += int((np.abs(own - truth).mean(axis=(1, 2, 3)) < 2).sum())
        for peer in peers:
            right[peer.name] += int((np.abs(peer.read(path, index, None) - truth).mean(axis=(1, 2, 3)) < 2).sum())
            resized = peer.read(path, index, SIZE).astype(np.int16)
            differs[peer.name] += float(np.abs(resized - small).mean()) / len(starts)
    total = len(starts) * FRAMES
    print(f"The requested frames, by a plain decode; {SIZE} px against mgm's area average in grey levels:")
    print(f"{'mgm':44s} {right['mgm']:4d} of {total}")
    for peer in peers:
        print(
            f"{peer.name + ' ' + version_of(peer):44s} {right[peer.name]:4d} of {total}   "
            f"{differs[peer.name]:.2f} away ({peer.resize})"
        )


def time_clips(
    path: str, peers: Sequence[Peer], starts: Sequence[int], *, original: str | None, rounds: int, clock: Clock
) -> dict[str, Timing]:
    """Seconds for one clip: frames alone of every peer, ours with and without motion.

    Args:
        original: the file that `path` was made from; decord reads it as well.
    """
    index = [index_of(start) for start in starts]

    def peer_clips(peer: Peer, file: str) -> None:
        for each in index:
            peer.read(file, each, SIZE)

    def ours(**options: object) -> None:
        for start in starts:
            # crop=None: peers stretch the whole frame, and so do we here.
            mgm.read_clip(path, start=start, frames=FRAMES, stride=STRIDE, size=SIZE, crop=None, **options)  # type: ignore[arg-type]

    def ours_motion(**options: object) -> None:
        for start in starts:
            read_motion(path, start=start, frames=FRAMES, stride=STRIDE, **options)  # type: ignore[arg-type]

    functions: dict[str, Callable[[], object]] = {peer.name: partial(peer_clips, peer, path) for peer in peers}
    decord = next((peer for peer in peers if peer.name == DECORD), None)
    if original is not None and decord is not None:
        functions = {ORIGINAL: partial(peer_clips, decord, original), **functions}
    functions |= {
        "mgm, frames alone": partial(ours, motion=None),
        "mgm, frames + sampled motion": partial(ours, policy="sampled"),
        "mgm, frames + motion summed over the stride": ours,
        "mgm, the same, from reference pictures": partial(ours, reading="references"),
        "mgm, summed motion alone": ours_motion,
        "mgm, that, from reference pictures": partial(ours_motion, reading="references"),
    }
    reference = DECORD if decord is not None else "PyAV, as a user writes it"
    units = dict.fromkeys(functions, len(starts))
    return compare(functions, peer=reference, rounds=rounds, units=units, clock=clock)


def print_clips(timings: dict[str, Timing], peers: Sequence[Peer]) -> None:
    """The table of `time_clips`, against decord (PyAV where it is missing) on the same file, and on the original one."""
    reference = DECORD if DECORD in timings else "PyAV, as a user writes it"
    print_table(timings, peer=reference, unit="ms a clip", second_peer=ORIGINAL if ORIGINAL in timings else None)
