"""Read a damaged video in every way. Each must return a valid clip or raise a VideoError about the file."""

import contextlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

import mgm
from mgm.errors import VideoError
from mgm.video import VideoReader, read_motion
from mgm.video.clip.rgb import FrameConverter
from mgm.video.container.metadata import read_video_info
from mgm.video.motion.field import grid_shape
from mgm.video.motion.vectors import VECTOR_DTYPE
from mgm.video.scan.folder import scan_file
from tests.fuzz.sources import FRAMES


class WrongError(Exception):
    """The reader returned what its documentation excludes."""


class DifferentError(Exception):
    """The frames are not those of a decode of the whole file. For lost pictures or false keyframe flags the correct result is
    unknown: check each case by hand."""


def _check(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


@dataclass(frozen=True)
class Outcome:
    """How one call ended: "read", "raised" (as documented), "differs" (see `DifferentError`), "wrong" (a result or an error) or
    "undocumented" (an exception). `reason`: of the VideoError."""

    call: str
    kind: str
    detail: str = ""
    trace: str = ""
    reason: str = ""


Stage = Callable[[str], None]
Examine = Callable[[Path, int, Stage], list[Outcome]]


def examine(path: Path, seed: int, stage: Stage) -> list[Outcome]:
    """Read one file in every way; `stage` receives the name of each call before it begins."""
    outcomes = []
    for name, call in _calls(path, seed):
        stage(name)
        try:
            call()
            outcomes.append(Outcome(name, "read"))
        except VideoError as error:
            subjects = (str(path), f"<{path.stat().st_size} bytes>")
            named = error.subject in subjects and "\n" not in str(error)
            outcomes.append(Outcome(name, "raised" if named else "wrong", str(error), reason=error.reason))
        except WrongError as error:
            outcomes.append(Outcome(name, "wrong", str(error)))
        except DifferentError as error:
            outcomes.append(Outcome(name, "differs", str(error)))
        except Exception as error:
            outcomes.append(Outcome(name, "undocumented", repr(error), traceback.format_exc()))
    return outcomes


def _calls(path: Path, seed: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every way to read a video, with arguments drawn from the seed. The only place that names the reader's functions."""
    rng = np.random.default_rng(seed)
    options = draw_options(rng)
    source = ("auto", "flow", "difference")[rng.integers(3)]
    seconds, starts = float(rng.uniform(0, 0.9)), rng.integers(FRAMES, size=3).tolist()
    counted: list[int] = []

    def clip(place: Path | bytes, **more: Any) -> mgm.video.Clip:
        query = options | more
        found = mgm.read_clip(place, **query)
        _check_clip(found, query)
        return found

    def with_motion() -> None:
        clip(path, motion="codec")

    def sequential() -> None:
        _check_against_sequential(clip(path, motion=None), path, options)

    def from_bytes() -> None:
        found = clip(path.read_bytes(), motion=None)
        with contextlib.suppress(VideoError):  # FFmpeg guesses some formats by the file's suffix
            _check_same(found, clip(path, motion=None))

    def at_seconds() -> None:
        camera = options["camera"] if source != "difference" else "none"  # a difference has no direction
        clip(path, start=0, start_seconds=seconds, motion=source, camera=camera)

    def several() -> None:
        with VideoReader(path) as reader:
            for start in starts:
                query = options | {"start": start, "motion": None}
                with contextlib.suppress(VideoError):
                    found = reader.read_clip(**query)
                    _check_clip(found, query)
                    _check_same(found, mgm.read_clip(path, **query))

    def motion_alone() -> None:
        query = {k: v for k, v in options.items() if k != "size"}
        found = read_motion(path, **query)
        _check_motion(found.motion, len(found.frame_indices))

    def vectors() -> None:
        for number, frame in enumerate(mgm.iter_motion_vectors(path)):
            _check(frame.index == number, f"frame {number} is called {frame.index}")
            _check(frame.vectors.dtype == VECTOR_DTYPE, f"vectors are {frame.vectors.dtype}")
            _check(isinstance(frame.pts_seconds, float), f"pts_seconds {frame.pts_seconds!r}")
            _check(frame.picture_type in "?IPBSsib", f"picture_type {frame.picture_type!r}")
            counted[:] = [number + 1]
        _check(counted, "not one frame, and no error")

    def vectors_partly() -> None:
        for frame in mgm.iter_motion_vectors(path):
            if frame.index == 2:
                break

    def first_frame() -> None:
        info = read_video_info(path)
        _check(min(info.frames, info.height, info.width) > 0, f"{info}")

    yield "read_clip", with_motion
    yield "read_clip(motion=None)", sequential
    yield "read_clip(bytes)", from_bytes
    yield "read_clip(start_seconds=)", at_seconds
    yield "VideoReader", several
    yield "read_motion", motion_alone
    yield "iter_motion_vectors", vectors
    yield "iter_motion_vectors, closed early", vectors_partly
    yield "scan_file", partial(_scan, path, counted)
    yield "read_video_info", first_frame


def _scan(path: Path, counted: list[int]) -> None:
    """Scan a file. counted: its number of frames, if `iter_motion_vectors` reached the end."""
    record = scan_file(path)
    _check(record.status != "crashed", record.problem or "")
    numbers = [getattr(record, name) for name in ("fps", "seconds", "gop", "vectors", "motion", "frames")]
    _check(all(x is None or (np.isfinite(x) and x >= 0) for x in numbers), f"{record}")
    if not record.readable:
        _check(str(record.problem).startswith(f"{path}: "), f"problem {record.problem!r}")
        raise VideoError(path, record.status, reason="unreadable")
    _check(0 <= record.vectors <= 1 and 1 <= record.gop <= record.frames, f"{record}")
    _check(min(record.width, record.height) > 0 and record.codec, f"{record}")
    _check(counted in ([], [record.frames]), f"{record.frames} frames scanned, {counted} by iter_motion_vectors")


def draw_options(rng: np.random.Generator) -> dict[str, Any]:
    def one_of(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    return {
        "start": one_of(0, 0, 1, 5, int(rng.integers(FRAMES))),
        "frames": one_of(None, 1, 4, int(rng.integers(1, 12))),
        "stride": one_of(1, 2, 4, int(rng.integers(1, 9))),
        "size": one_of(None, 32, (48, 64), (33, 57)),
        "crop": one_of("centre", "centre", None, (16, 8, 64, 48), (3, 5, 41, 37)),
        "policy": one_of("window_sum", "sampled", "window_max"),
        "reading": one_of("clean", "clean", "raw"),
        "camera": one_of("none", "none", "median", "affine"),
        "short": one_of("repeat_last", "wrap", "error"),
    }


def _check_clip(clip: mgm.video.Clip, query: dict[str, Any]) -> None:
    frames, index, pts, size, stride = clip.frames, clip.frame_indices, clip.pts_seconds, query["size"], query["stride"]
    T = len(index)
    _check(T > 0 and query["frames"] in (None, T), f"{T} frames, requested {query['frames']}")
    _check(frames.dtype == np.uint8 and frames.shape[::3] == (T, 3), f"frames {frames.dtype} {frames.shape}")
    wanted = frames.shape[1:3] if size is None else (size, size) if isinstance(size, int) else size
    _check(frames.shape == (T, *wanted, 3), f"frames {frames.shape} for size {size}")
    begins = index[0] >= 0 if query.get("start_seconds") is not None else index[0] == query["start"]
    _check(index.dtype == np.int64 and begins, f"index {index.dtype} {index}, start {query['start']}")
    steps = np.diff(index)
    allowed = {0, stride} if query["short"] == "repeat_last" else {stride}
    _check(query["short"] == "wrap" or set(steps.tolist()) <= allowed, f"index {index}, stride {stride}")
    _check(pts.dtype == np.float64 and pts.shape == (T,), f"pts {pts.dtype} {pts.shape}")
    _check(np.isfinite(pts).all() or np.isnan(pts).all(), f"pts {pts}")
    _check(not (np.diff(pts)[steps > 0] < 0).any(), f"pts {pts} of frames {index}")
    _check((clip.motion is not None) == (query["motion"] is not None), "motion differs from the request")
    if clip.motion is not None:
        _check_motion(clip.motion, T)


def _check_motion(motion: mgm.video.MotionField, T: int) -> None:
    vectors, valid, extent = motion.vectors, motion.valid, motion.extent
    _check(min(extent) > 0, f"extent {extent}")
    shape = (T, *grid_shape(*extent))
    _check(
        vectors.dtype == np.float32 and vectors.shape == (*shape, 2),
        f"vectors {vectors.dtype} {vectors.shape}, {extent}",
    )
    _check(valid.dtype == np.bool_ and valid.shape == shape, f"valid {valid.dtype} {valid.shape}, {extent}")
    _check(np.isfinite(vectors).all(), "motion is not finite")


def _check_same(found: mgm.video.Clip, other: mgm.video.Clip) -> None:
    """Two ways to read the same clip must agree."""
    same = np.array_equal(found.frame_indices, other.frame_indices) and np.array_equal(found.frames, other.frames)
    if not same:
        raise DifferentError(
            f"not the frames of another way to read the clip: {found.frame_indices}, {other.frame_indices}"
        )


def _check_against_sequential(clip: mgm.video.Clip, path: Path, options: dict[str, Any]) -> None:
    """Frames must equal those of a decode from the first packet on, where that meets no damage and frames come in order of time."""
    convert = FrameConverter(size=options["size"], crop=options["crop"], name=str(path))
    wanted = set(clip.frame_indices.tolist())
    peer: dict[int, npt.NDArray[np.uint8]] = {}
    times: list[int | None] = []
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"err_detect": "explode"}
            for frame in container.decode(stream):
                if len(times) in wanted:
                    peer[len(times)] = convert(frame)
                times.append(frame.pts)
    except (av.FFmpegError, VideoError):
        return
    known = [t for t in times if t is not None]
    if not known or (len(known) == len(times) and all(a < b for a, b in pairwise(known))):
        wrong = [
            i
            for i, image in zip(clip.frame_indices.tolist(), clip.frames, strict=True)
            if not np.array_equal(image, peer.get(i))
        ]
        if wrong:
            raise DifferentError(f"not the frames of a decode of the whole file ({len(times)} frames): {wrong}")
