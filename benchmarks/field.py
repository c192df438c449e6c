"""Time the motion field of a whole video against a plain decode, and against optical flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType

import av
import numpy as np

import mgm
from mgm.video import read_motion
from mgm.video.container.metadata import read_video_info
from mgm.video.container.stream import open_video
from mgm.video.motion.names import Reading
from mgm.video.motion.streaming import iter_frame_motion
from peers import Peer, mv_extractor_vectors
from timing import Clock, Timing, compare

DECODE = "PyAV, decode alone"
FIELD = "mgm, field of every frame, nothing else"
PIXELS = "mv-extractor, vectors + pixels"
PAIRS, SIZE = 8, 224


def decode(path: str, **options: str) -> int:
    """Decode every frame without using it."""
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        context.thread_count = 1
        context.options = options
        return sum(1 for _ in container.decode(video=0))


def fields(path: str, *, skip_loop_filter: bool, reading: Reading = "clean") -> int:
    """Number of frames, with the field of each; with the loop filter the decoded pictures are those of a plain decode."""
    with open_video(path, vectors=True, skip_loop_filter=skip_loop_filter) as video:
        return sum(1 for _ in iter_frame_motion(video, reading=reading))


def time_fields(path: str, peers: Sequence[Peer], *, rounds: int, clock: Clock) -> dict[str, Timing]:
    """Seconds per frame of a whole video."""
    functions: dict[str, Callable[[], object]] = {
        DECODE: partial(decode, path),
        "the same, vectors exported": partial(decode, path, flags2="+export_mvs"),
        "that, without the loop filter": partial(decode, path, flags2="+export_mvs", skip_loop_filter="all"),
        "mgm, decode + field of every frame": partial(fields, path, skip_loop_filter=False),
        "mgm, decode + field, reference pictures alone": partial(
            fields, path, skip_loop_filter=False, reading="references"
        ),
        FIELD: partial(fields, path, skip_loop_filter=True),
        "mgm.read_motion, clean, held": partial(read_motion, path),
        "mgm.read_motion, reference pictures alone": partial(read_motion, path, reading="references"),
    }
    if any(peer.module.startswith("mvextractor") for peer in peers):
        functions["mv-extractor, vectors alone"] = lambda: sum(1 for _ in mv_extractor_vectors(path, pixels=False))
        functions[PIXELS] = lambda: sum(1 for _ in mv_extractor_vectors(path, pixels=True))
    frames = read_video_info(path).frames
    return compare(functions, peer=DECODE, rounds=rounds, units=dict.fromkeys(functions, frames), clock=clock)


def time_flow(path: str, *, rounds: int, clock: Clock) -> tuple[dict[str, Timing], dict[str, str]]:
    """Seconds for the field of one frame, and for the flow of one pair at 224 px without decoding; missing peers, with reasons."""
    start = max(read_video_info(path).frames // 2 - PAIRS // 2, 0)
    rgb = list(mgm.read_clip(path, start=start, frames=PAIRS + 1, stride=1, size=SIZE, crop=None, motion=None).frames)
    functions: dict[str, Callable[[], object]] = {FIELD: partial(fields, path, skip_loop_filter=True)}
    units = {FIELD: read_video_info(path).frames}
    missing = {}
    try:
        import cv2
    except ImportError as error:
        missing["DIS, Farneback"] = str(error)
    else:
        cv2.setNumThreads(1)
        functions |= _opencv_flows(cv2, rgb)
        units |= {name: PAIRS for name in functions if name != FIELD}
    try:
        from mgm.flow.raft import RaftEstimator
    except ImportError as error:
        missing["RAFT-small"] = str(error)
    else:
        raft = RaftEstimator(None)
        functions["RAFT-small, 12 iterations, random weights"] = lambda: raft.between(rgb[0], rgb[1])
    return compare(functions, peer=FIELD, rounds=rounds, units=units, clock=clock), missing


def _opencv_flows(cv2: ModuleType, rgb: Sequence[np.ndarray]) -> dict[str, Callable[[], object]]:
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in rgb]

    def pairs(flow_of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        for number in range(PAIRS):
            flow_of(grey[number + 1], grey[number])

    def farneback(after: np.ndarray, before: np.ndarray) -> np.ndarray:
        flow: np.ndarray = cv2.calcOpticalFlowFarneback(after, before, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        return flow

    flows: dict[str, Callable[[], object]] = {}
    for preset in ("ULTRAFAST", "FAST", "MEDIUM"):
        estimator = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset}"))
        flows[f"DIS, {preset.lower()}"] = partial(pairs, lambda after, before, e=estimator: e.calc(after, before, None))
    flows["Farneback"] = partial(pairs, farneback)
    return flows
