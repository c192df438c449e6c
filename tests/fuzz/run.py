"""Read thousands of damaged videos in watched processes: each must give a valid clip or a VideoError, in time, without a leak.

python -m tests.fuzz.run --count 3000 --seed 0 --processes 2 [--real FOLDER] [--keep FOLDER]
python -m tests.fuzz.run --replay h264_b.mp4:flip_few:17
"""

import argparse
import contextlib
import ctypes
import faulthandler
import gc
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

import mgm
from mgm.data.translation import translating_frames
from mgm.errors import VideoError
from mgm.video import VideoReader, read_motion
from mgm.video.convert import FrameConverter
from mgm.video.motion import grid_shape
from mgm.video.probe import probe
from mgm.video.scan import scan_file
from mgm.video.vectors import VECTOR_DTYPE

from .mutate import FORMATS, mutate, names

FRAMES, SIZE = 24, (96, 128)

SOURCES: dict[str, tuple[str, dict[str, str]]] = {
    "h264_baseline.mp4": ("libx264", {"profile": "baseline"}),
    "h264_b.mp4": ("libx264", {"bf": "3"}),
    "h264_refs.mp4": ("libx264", {"bf": "3", "refs": "4", "x264-params": "b-pyramid=normal"}),
    "h264_open.mp4": ("libx264", {"bf": "2", "x264-params": "open-gop=1"}),
    "h264_interlaced.mp4": ("libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}),
    "h264_fragments.mp4": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "h264_front.mov": ("libx264", {"movflags": "faststart"}),
    "h264.h264": ("libx264", {}),
    "h264.mkv": ("libx264", {}),
    "h264.ts": ("libx264", {}),
    "h264.avi": ("libx264", {}),
    "mpeg4.mp4": ("mpeg4", {}),
    "mpeg4_b.avi": ("mpeg4", {"bf": "2"}),
    "mpeg4_qpel.mkv": ("mpeg4", {"bf": "2", "flags": "+qpel+mv4"}),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2"}),
    "mpeg2.ts": ("mpeg2video", {"bf": "2"}),
    "mpeg2.m2v": ("mpeg2video", {"bf": "2"}),
    "mpeg1.mpg": ("mpeg1video", {"bf": "2"}),
    "h263.3gp": ("h263", {}),
    "flv1.flv": ("flv", {}),
    "wmv1.wmv": ("wmv1", {}),
    "wmv2.wmv": ("wmv2", {}),
    "msmpeg4v2.avi": ("msmpeg4v2", {}),
    "msmpeg4v3.avi": ("msmpeg4", {}),
    "rv10.rm": ("rv10", {}),
    "rv20.rm": ("rv20", {}),
    "mjpeg.avi": ("mjpeg", {}),
    "vp8.webm": ("libvpx", {}),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    "av1.mkv": ("libsvtav1", {"preset": "11"}),
    "av1.mp4": ("libsvtav1", {"preset": "11"}),
    "hevc.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}),
    "hevc.hevc": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}),
}
"""Name of the file: encoder, and options of encoder and muxer."""


def make_sources(folder: Path, *, real: Path | None = None) -> list[str]:
    """Encode every source into `folder`, copy the videos of the folder `real` beside them; the names of all."""
    os.environ["SVT_LOG"] = "1"  # SVT-AV1 talks past FFmpeg's log
    folder.mkdir(parents=True, exist_ok=True)
    frames = list(translating_frames(velocity=(3.0, -2.0), frames=FRAMES, size=SIZE))
    for name, (codec, options) in SOURCES.items():
        muxer = {"fflags": "+bitexact"} | {k: v for k, v in options.items() if k == "movflags"}
        encoder = {"g": "8"} | {k: v for k, v in options.items() if k != "movflags"}
        with av.open(str(folder / name), "w", FORMATS[Path(name).suffix], muxer) as out:
            stream = out.add_stream(codec, rate=25, options=encoder)
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.thread_count = 1
            for number, image in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(image, format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
    found = sorted(p for p in real.iterdir() if p.suffix in FORMATS) if real else []
    for path in found:
        shutil.copyfile(path, folder / f"real_{path.name}")
    return [*SOURCES, *(f"real_{path.name}" for path in found)]


@dataclass(frozen=True)
class Case:
    """One damaged file, and how to make it again."""

    source: str
    mutation: str
    seed: int

    def __str__(self) -> str:
        return f"{self.source}:{self.mutation}:{self.seed}"


def draw_cases(sources: Sequence[str], count: int, *, seed: int) -> list[Case]:
    """`count` cases that go round all pairs of source and mutation in random order."""
    pairs = [(source, mutation) for source in sources for mutation in names(Path(source).suffix)]
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < count:
        order += rng.permutation(len(pairs)).tolist()
    return [Case(*pairs[i], seed=seed * 1_000_000 + number) for number, i in enumerate(order[:count])]


def damaged(case: Case, sources: Path) -> bytes:
    """The bytes of a case's file."""
    others = sorted(p for p in sources.iterdir() if p.name != case.source)
    other = others[case.seed % len(others)].read_bytes()
    path = sources / case.source
    return mutate(path.read_bytes(), path.suffix, case.mutation, case.seed, other=other)


class WrongError(Exception):
    """The reader returned what its documentation excludes."""


class DifferentError(Exception):
    """The frames are not those of a decode of the whole file. Where pictures are lost or key flags lie, there is no truth to
    hold against: each case wants a look."""


def _check(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


@dataclass(frozen=True)
class Outcome:
    """How one call ended: "read", "raised" (as documented), "differs" (see `DifferentError`), "wrong" (a result or message) or
    "undocumented" (an exception)."""

    call: str
    kind: str
    detail: str = ""
    trace: str = ""


Stage = Callable[[str], None]
Examine = Callable[[Path, int, Stage], list[Outcome]]


def examine(path: Path, seed: int, stage: Stage) -> list[Outcome]:
    """Read one file in every way; `stage` is told the name of each call before it begins."""
    outcomes = []
    for name, call in _calls(path, seed):
        stage(name)
        try:
            call()
            outcomes.append(Outcome(name, "read"))
        except VideoError as error:
            message = str(error)
            named = message.startswith((f"{path}: ", f"<{path.stat().st_size} bytes>: ")) and "\n" not in message
            outcomes.append(Outcome(name, "raised" if named else "wrong", message))
        except WrongError as error:
            outcomes.append(Outcome(name, "wrong", str(error)))
        except DifferentError as error:
            outcomes.append(Outcome(name, "differs", str(error)))
        except Exception as error:
            outcomes.append(Outcome(name, "undocumented", repr(error), traceback.format_exc()))
    return outcomes


def _calls(path: Path, seed: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every way to read a video, with arguments drawn from the seed. The only place that knows the reader's functions."""
    rng = np.random.default_rng(seed)
    options = _options(rng)
    source = ("auto", "flow", "difference")[rng.integers(3)]
    seconds, starts = float(rng.uniform(0, 0.9)), rng.integers(FRAMES, size=3).tolist()
    counted: list[int] = []

    def clip(place: Path | bytes, **more: Any) -> mgm.Clip:
        asked = options | more
        found = mgm.read_clip(place, **asked)
        _check_clip(found, asked)
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
                asked = options | {"start": start, "motion": None}
                with contextlib.suppress(VideoError):
                    found = reader.read_clip(**asked)
                    _check_clip(found, asked)
                    _check_same(found, mgm.read_clip(path, **asked))

    def motion_alone() -> None:
        asked = {k: v for k, v in options.items() if k != "size"}
        found = read_motion(path, **asked)
        _check_motion(found.motion, len(found.index))

    def vectors() -> None:
        for number, frame in enumerate(mgm.motion_vectors(path)):
            _check(frame.index == number, f"frame {number} is called {frame.index}")
            _check(frame.vectors.dtype == VECTOR_DTYPE, f"vectors are {frame.vectors.dtype}")
            _check(isinstance(frame.pts, float) and frame.kind in "?IPBSsib", f"pts {frame.pts!r}, kind {frame.kind!r}")
            counted[:] = [number + 1]
        _check(counted, "not one frame, and no error")

    def vectors_partly() -> None:
        for frame in mgm.motion_vectors(path):
            if frame.index == 2:
                break

    def scan() -> None:
        record = scan_file(path)
        _check(record.status != "crashed", (record.problem or "").partition("reading it failed")[2])
        numbers = [getattr(record, name) for name in ("fps", "seconds", "gop", "vectors", "motion", "frames")]
        _check(all(x is None or (np.isfinite(x) and x >= 0) for x in numbers), f"{record}")
        if not record.readable:
            raise VideoError(record.problem)
        _check(0 <= record.vectors <= 1 and 1 <= record.gop <= record.frames, f"{record}")
        _check(min(record.width, record.height) > 0 and record.codec, f"{record}")
        _check(counted in ([], [record.frames]), f"{record.frames} frames scanned, {counted} by motion_vectors")

    def first_frame() -> None:
        info = probe(path)
        _check(min(info.frames, info.height, info.width) > 0, f"{info}")

    yield "read_clip", with_motion
    yield "read_clip(motion=None)", sequential
    yield "read_clip(bytes)", from_bytes
    yield "read_clip(start_seconds=)", at_seconds
    yield "VideoReader", several
    yield "read_motion", motion_alone
    yield "motion_vectors", vectors
    yield "motion_vectors, closed early", vectors_partly
    yield "scan_file", scan
    yield "probe", first_frame


def _options(rng: np.random.Generator) -> dict[str, Any]:
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


def _check_clip(clip: mgm.Clip, asked: dict[str, Any]) -> None:
    frames, index, pts, size, stride = clip.frames, clip.index, clip.pts, asked["size"], asked["stride"]
    T = len(index)
    _check(T > 0 and asked["frames"] in (None, T), f"{T} frames, asked for {asked['frames']}")
    _check(frames.dtype == np.uint8 and frames.shape[::3] == (T, 3), f"frames {frames.dtype} {frames.shape}")
    wanted = frames.shape[1:3] if size is None else (size, size) if isinstance(size, int) else size
    _check(frames.shape == (T, *wanted, 3), f"frames {frames.shape} for size {size}")
    begins = index[0] >= 0 if asked.get("start_seconds") is not None else index[0] == asked["start"]
    _check(index.dtype == np.int64 and begins, f"index {index.dtype} {index}, start {asked['start']}")
    steps = np.diff(index)
    allowed = {0, stride} if asked["short"] == "repeat_last" else {stride}
    _check(asked["short"] == "wrap" or set(steps.tolist()) <= allowed, f"index {index}, stride {stride}")
    _check(pts.dtype == np.float64 and pts.shape == (T,), f"pts {pts.dtype} {pts.shape}")
    _check(np.isfinite(pts).all() or np.isnan(pts).all(), f"pts {pts}")
    _check(not (np.diff(pts)[steps > 0] < 0).any(), f"pts {pts} of frames {index}")
    _check((clip.motion is not None) == (asked["motion"] is not None), "motion is not what was asked for")
    if clip.motion is not None:
        _check_motion(clip.motion, T)


def _check_motion(motion: mgm.MotionField, T: int) -> None:
    vectors, valid, extent = motion.vectors, motion.valid, motion.extent
    _check(min(extent) > 0, f"extent {extent}")
    shape = (T, *grid_shape(*extent))
    _check(
        vectors.dtype == np.float32 and vectors.shape == (*shape, 2),
        f"vectors {vectors.dtype} {vectors.shape}, {extent}",
    )
    _check(valid.dtype == np.bool_ and valid.shape == shape, f"valid {valid.dtype} {valid.shape}, {extent}")
    _check(np.isfinite(vectors).all(), "motion is not finite")


def _check_same(found: mgm.Clip, other: mgm.Clip) -> None:
    """Two ways to read the same clip must agree."""
    same = np.array_equal(found.index, other.index) and np.array_equal(found.frames, other.frames)
    if not same:
        raise DifferentError(f"not the frames of another way to read the clip: {found.index}, {other.index}")


def _check_against_sequential(clip: mgm.Clip, path: Path, options: dict[str, Any]) -> None:
    """Frames must equal those of a decode from the first packet on, where that meets no damage and frames come in order of time."""
    convert = FrameConverter(size=options["size"], crop=options["crop"], name=str(path))
    wanted = set(clip.index.tolist())
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
            for i, image in zip(clip.index.tolist(), clip.frames, strict=True)
            if not np.array_equal(image, peer.get(i))
        ]
        if wrong:
            raise DifferentError(f"not the frames of a decode of the whole file ({len(times)} frames): {wrong}")


@dataclass(frozen=True)
class Usage:
    """What a worker holds: resident bytes (0 where the system does not say) and open files."""

    resident: int
    files: int


def _usage() -> Usage:
    statm, descriptors = Path("/proc/self/statm"), Path("/proc/self/fd")
    if not statm.exists():
        return Usage(0, 0)
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # glibc keeps freed memory unless told
        ctypes.CDLL(None).malloc_trim(0)
    return Usage(int(statm.read_text().split()[1]) * resource.getpagesize(), len(list(descriptors.iterdir())))


MEASURE_EVERY = 10
MEMORY = 6 << 30  # bytes of address space per worker: a lying header must not take the machine down


def _work(pipe: Connection, sources: Path, folder: Path, function: Examine) -> None:
    """A worker: reads the cases that it is sent, until None."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    with (folder / "trace").open("w") as trace:
        faulthandler.enable(trace)
        done = 0
        while (case := pipe.recv()) is not None:
            pipe.send(("stage", "mutate"))
            path = folder / f"case{Path(case.source).suffix}"
            outcomes = []
            try:
                path.write_bytes(damaged(case, sources))
            except (av.FFmpegError, ValueError) as error:  # the muxer refused it altogether
                outcomes.append(Outcome("mutate", "refused", repr(error)))
            else:
                outcomes = function(path, case.seed, lambda name: pipe.send(("stage", name)))
            done += 1
            pipe.send(("done", outcomes, _usage() if done % MEASURE_EVERY == 0 else None))


@dataclass(frozen=True)
class Finding:
    """Something that must not happen. `kind`: crash, hang, leak, wrong, undocumented, differs."""

    kind: str
    call: str
    case: Case | None
    detail: str
    trace: str = ""

    @property
    def cause(self) -> tuple[str, ...]:
        """What findings have in common that are one bug: the innermost lines of our own code, else the words of the message."""
        ours = [line.strip() for line in self.trace.splitlines() if "/mgm/" in line][-1:]
        if ours:
            return (self.kind, self.detail.split("(")[0], *ours)
        return (self.kind, self.call, "".join(c for c in self.detail if c.isalpha())[:30])


@dataclass
class Report:
    """What a run counted and found."""

    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    findings: list[Finding] = field(default_factory=list)
    usage: dict[int, list[Usage]] = field(default_factory=lambda: defaultdict(list))
    slowest: tuple[float, str] = (0.0, "")


class Worker:
    """A watched process, and what it is doing."""

    def __init__(self, number: int, sources: Path, folder: Path, function: Examine) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self.number, self.folder = number, folder
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, sources, folder, function), daemon=True)
        self.process.start()
        theirs.close()
        self.case: Case | None = None
        self.stage, self.since, self.began = "start", 0.0, 0.0

    def give(self, case: Case) -> None:
        self.case, self.stage = case, "start"
        self.since = self.began = time.monotonic()
        self.pipe.send(case)

    def end(self, *, kill: bool = False) -> int | None:
        """Its exit code, after it was asked to end or killed."""
        if kill:
            self.process.kill()
        else:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
        self.process.join()
        self.pipe.close()
        return self.process.exitcode

    def trace(self) -> str:
        """What the interpreter wrote when it crashed."""
        return (self.folder / "trace").read_text(errors="replace")


class Run:
    """Hands cases to workers, and sees to it that each comes back."""

    def __init__(
        self, sources: Path, folder: Path, *, processes: int, limit: float, keep: Path, function: Examine
    ) -> None:
        self.sources, self.folder, self.keep = sources, folder, keep
        self.limit, self.function = limit, function
        self.report = Report()
        self.started = 0
        self.workers = [self._start() for _ in range(processes)]
        self.doubted: set[Case] = set()

    def _start(self) -> Worker:
        self.started += 1
        return Worker(self.started, self.sources, self.folder / f"worker{self.started}", self.function)

    def over(self, cases: Iterable[Case]) -> Report:
        """Read all cases; what they did."""
        queue = deque(cases)
        while queue or any(w.case for w in self.workers):
            for worker in self.workers:
                if worker.case is None and queue:
                    worker.give(queue.popleft())
            busy = {w.pipe: w for w in self.workers if w.case}
            for pipe in wait(list(busy), timeout=0.5):
                self._listen(busy[pipe], queue)  # type: ignore[index]
            for worker in list(busy.values()):
                # A worker's first case waits for its imports, and for numba to compile.
                limit = self.limit if worker.stage != "start" else 60.0
                if worker.case and time.monotonic() - worker.since > limit:
                    self._hung(worker, queue)
        for worker in self.workers:
            worker.end()
        self._judge_leaks()
        return self.report

    def _listen(self, worker: Worker, queue: deque[Case]) -> None:
        case = worker.case
        assert case is not None
        try:
            kind, *rest = worker.pipe.recv()
        except (EOFError, OSError):
            code = worker.end()
            self._found("crash", worker, f"process ended with {code}", worker.trace())
            self._replace(worker)
            return
        if kind == "stage":
            worker.stage, worker.since = rest[0], time.monotonic()
            return
        outcomes, usage = rest
        counts = self.report.counts[case.source, case.mutation]
        counts["files"] += 1
        for outcome in outcomes:
            counts[outcome.kind] += 1
            if outcome.kind in ("differs", "wrong", "undocumented"):
                worker.stage = outcome.call
                self._found(outcome.kind, worker, outcome.detail, outcome.trace)
        if usage is not None:
            self.report.usage[worker.number].append(usage)
        self.report.slowest = max(self.report.slowest, (time.monotonic() - worker.began, str(case)))
        worker.case = None

    def _hung(self, worker: Worker, queue: deque[Case]) -> None:
        case = worker.case
        assert case is not None
        if case in self.doubted:
            self._found("hang", worker, f"no end after {self.limit:.0f} s, twice")
        else:  # the machine may have been busy: once more
            self.doubted.add(case)
            queue.appendleft(case)
        worker.end(kill=True)
        self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        self.workers[self.workers.index(worker)] = self._start()

    def _found(self, kind: str, worker: Worker, detail: str, trace: str = "") -> None:
        case = worker.case
        assert case is not None
        if worker.stage == "mutate":  # it died while the file was made: nothing of ours
            self.report.counts[case.source, case.mutation]["refused"] += 1
            return
        finding = Finding(kind, worker.stage, case, detail, trace)
        self.report.findings.append(finding)
        self.keep.mkdir(parents=True, exist_ok=True)
        written = worker.folder / f"case{Path(case.source).suffix}"
        if written.exists():
            shutil.copyfile(written, self.keep / f"{case.mutation}_{case.seed}_{case.source}")

    def _judge_leaks(self) -> None:
        for number, series in self.report.usage.items():
            settled = series[len(series) // 3 :]
            if len(settled) < 4:
                continue
            files = settled[-1].files - settled[0].files
            if files > 0:
                self.report.findings.append(
                    Finding("leak", "worker", None, f"worker {number}: {files} more open files")
                )
            half = len(settled) // 2
            grown = np.median([u.resident for u in settled[half:]]) - np.median([u.resident for u in settled[:half]])
            cases = half * MEASURE_EVERY
            # 64 px of one frame are 18 KB; allocators wander by some MB.
            if grown > (16 << 20) and grown / cases > (16 << 10):
                detail = f"worker {number}: {grown / 2**20:.0f} MiB more resident memory after {cases} files"
                self.report.findings.append(Finding("leak", "worker", None, detail))


def fuzz(
    cases: Sequence[Case],
    *,
    sources: Path,
    keep: Path,
    processes: int = 1,
    limit: float = 10.0,
    function: Examine = examine,
) -> Report:
    """Read every case in processes that may crash or hang; call it under `if __name__ == "__main__":`.

    Args:
        sources: folder of `make_sources`.
        keep: folder for the files that did what they must not.
        limit: seconds that one call may take.
        function: how a file is read; a module's function.
    """
    with tempfile.TemporaryDirectory() as folder:
        return Run(sources, Path(folder), processes=processes, limit=limit, keep=keep, function=function).over(cases)


def table(report: Report, position: int) -> str:
    """Files, calls that read, calls that raised, findings; by source (position 0) or mutation (1)."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for pair, counts in report.counts.items():
        rows[pair[position]].update(counts)
    columns = ("files", "read", "raised", "differs", "wrong", "undocumented", "refused")
    lines = [f"{'mutation' if position else 'source':28}" + "".join(f"{c:>14}" for c in columns)]
    total: Counter[str] = sum(rows.values(), Counter())
    for name, counts in [*sorted(rows.items()), ("all", total)]:
        lines.append(f"{name:28}" + "".join(f"{counts[c]:14}" for c in columns))
    return "\n".join(lines)


def describe(report: Report) -> str:
    """Every finding once, the most frequent first, with its first case."""
    groups: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for finding in report.findings:
        groups[finding.cause].append(finding)
    lines = []
    for same in sorted(groups.values(), key=len, reverse=True):
        first = same[0]
        lines.append(f"{len(same)} x {first.kind} in {first.call}: {first.detail[:400]}")
        lines.append(f"    cases: {' '.join(str(f.case) for f in same[:4])}")
        lines += [f"    {line.strip()}" for line in first.trace.splitlines() if "/mgm/" in line][-4:]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds that one call may take")
    parser.add_argument("--only", default="", help="only sources whose name contains this")
    parser.add_argument("--real", type=Path, help="folder of real videos to damage as well")
    parser.add_argument("--keep", type=Path, help="folder for files that did what they must not")
    parser.add_argument("--strict", action="store_true", help="frames that differ from a whole decode count as failure")
    parser.add_argument("--replay", help="one case, SOURCE:MUTATION:SEED, read in this process")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "sources"
        found = make_sources(sources, real=given.real)
        keep = given.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
        keep.mkdir(parents=True, exist_ok=True)
        if given.replay:
            return _replay(given.replay, sources, keep)
        cases = draw_cases([s for s in found if given.only in s], given.count, seed=given.seed)
        began = time.monotonic()
        report = fuzz(cases, sources=sources, keep=keep, processes=given.processes, limit=given.limit)
    print(table(report, 0), table(report, 1), sep="\n\n")
    print(
        f"\n{len(cases)} files in {time.monotonic() - began:.0f} s; slowest {report.slowest[0]:.1f} s: {report.slowest[1]}"
    )
    for number, series in report.usage.items():
        ends = series[len(series) // 3], series[-1]
        print(
            f"worker {number}: " + ", then ".join(f"{u.resident / 2**20:.0f} MiB, {u.files} open files" for u in ends)
        )
    print(f"\n{len(report.findings)} findings; their files are in {keep}\n{describe(report)}")
    return int(any(given.strict or f.kind != "differs" for f in report.findings))


def _replay(text: str, sources: Path, keep: Path) -> int:
    source, mutation, seed = text.rsplit(":", 2)
    case = Case(source, mutation, int(seed))
    path = keep / f"{case.mutation}_{case.seed}_{case.source}"
    path.write_bytes(damaged(case, sources))
    print(path, _options(np.random.default_rng(case.seed)))
    outcomes = examine(path, case.seed, lambda name: None)
    for outcome in outcomes:
        print(f"{outcome.call}: {outcome.kind} {outcome.detail}\n{outcome.trace}".rstrip())
    return int(any(o.kind in ("wrong", "undocumented") for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
