"""An audit of a folder of videos: what each file is, whether it decodes, whether it carries motion vectors, what to do if not."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mgm.errors import VideoError
from mgm.video.plan import no_vectors_message
from mgm.video.stream import OpenVideo, decode_all, open_video
from mgm.video.vectors import KINDS

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".3gp",
        ".flv",
        ".wmv",
        ".asf",
        ".ogv",
        ".h264",
        ".264",
        ".hevc",
        ".h265",
        ".rm",
        ".rmvb",
        ".vob",
    ]
)


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """What `scan` found of one file. Everything but `path`, `bytes` and `problem` is None where the file could not be read.

    Attributes:
        path: the file.
        bytes: its size.
        problem: one line: what was found, what was expected, what to do; None for a file without a problem.
        codec, width, height, fps, rotation: of the video stream; rotation in degrees as the container declares it.
        frames: counted by decoding, not believed from the header.
        seconds: last minus first presentation time plus one frame.
        gop: longest distance between two key frames, in frames.
        b_frames: whether any frame is a B-frame.
        vectors: share of frames that carry motion vectors; 0 for codecs that export none.
    """

    path: str
    bytes: int
    problem: str | None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    rotation: int | None = None
    frames: int | None = None
    seconds: float | None = None
    gop: int | None = None
    b_frames: bool | None = None
    vectors: float | None = None

    @property
    def readable(self) -> bool:
        """Whether the file decodes to its end."""
        return self.frames is not None

    @property
    def has_motion(self) -> bool:
        """Whether `motion="codec"` works on it."""
        return self.readable and bool(self.vectors)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The records of a scan, in the order of their paths."""

    records: tuple[VideoRecord, ...]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[VideoRecord]:
        return iter(self.records)

    @property
    def readable(self) -> tuple[VideoRecord, ...]:
        """Files that decode to their end."""
        return tuple(r for r in self.records if r.readable)

    @property
    def with_motion(self) -> tuple[VideoRecord, ...]:
        """Files that carry motion vectors."""
        return tuple(r for r in self.records if r.has_motion)

    @property
    def problems(self) -> tuple[VideoRecord, ...]:
        """Files with something to do about."""
        return tuple(r for r in self.records if r.problem is not None)


def find_videos(paths: Iterable[str | Path]) -> list[Path]:
    """Files given by name, and every file with a video's suffix below the folders given, sorted within each.

    Raises:
        VideoError: a path does not exist, or there is no video at all.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found.extend(sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and not p.is_dir()))
        elif path.exists():
            found.append(path)
        else:
            raise VideoError(f"{path}: no such file or folder; check the path")
    if not found:
        raise VideoError(
            f"{', '.join(map(str, paths))}: no video found (looked for {' '.join(sorted(VIDEO_SUFFIXES))})"
        )
    return list(dict.fromkeys(found))


def scan(*paths: str | Path, processes: int = 1, progress: Callable[[VideoRecord], None] | None = None) -> ScanReport:
    """Decode every video once and report what it is. A broken file becomes a record with its problem, never an exception.

    Args:
        paths: files and folders (searched for files with a video's suffix).
        processes: how many to decode in. With more than one, call it under `if __name__ == "__main__":`.
        progress: called with each record as it is made, in no particular order.
    """
    files = find_videos(paths)
    results: dict[Path, VideoRecord] = {}

    def done(record: VideoRecord) -> None:
        results[Path(record.path)] = record
        if progress is not None:
            progress(record)

    if processes <= 1 or len(files) < 8:
        for file in files:
            done(scan_file(file))
    else:
        _scan_in_processes(files, processes, done)
    return ScanReport(tuple(results[file] for file in files))


def _scan_in_processes(files: list[Path], processes: int, done: Callable[[VideoRecord], None]) -> None:
    left = list(files)
    while left:
        left = left[_scan_until_a_worker_dies(left, processes, done) :]
        # If one died (out of memory, a crash in the decoder), then on a file among the next ones: one process tells which.
        suspects, left = left[: 8 * processes], left[8 * processes :]
        while suspects:
            suspects = suspects[_scan_until_a_worker_dies(suspects, 1, done) :]
            if suspects:
                file = suspects.pop(0)
                problem = f"{file}: the process that decoded it died, expected it to decode; remove it from the set and report it"
                done(VideoRecord(str(file), file.stat().st_size, problem))


def _scan_until_a_worker_dies(files: list[Path], processes: int, done: Callable[[VideoRecord], None]) -> int:
    """How many were scanned, in order: all of them, unless the kernel or a crash ended a worker."""
    finished = 0
    # spawn: the caller may hold threads (torch does), which a fork would copy in an undefined state
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    with suppress(BrokenProcessPool), pool:  # the caller sees by the count that one died, and finds out on which file
        for record in pool.map(scan_file, files, chunksize=4 if processes > 1 else 1):
            done(record)
            finished += 1
    return finished


def scan_file(path: Path) -> VideoRecord:
    """The record of one file. Decodes it to the end without the loop filter: vectors are exact, pixels are not looked at."""
    size = path.stat().st_size if path.exists() else 0
    try:
        with open_video(path, vectors=True, skip_loop_filter=True) as video:
            return _scan_open(video, path, size)
    except VideoError as error:
        return VideoRecord(str(path), size, str(error))


def _scan_open(video: OpenVideo, path: Path, size: int) -> VideoRecord:
    frames = with_vectors = longest = since_key = 0
    first = last = None
    kinds: set[str] = set()
    rotation = 0
    for frame in decode_all(video):
        frames += 1
        with_vectors += frame.side_data.get("MOTION_VECTORS") is not None
        kinds.add(KINDS[int(frame.pict_type)])
        since_key = 1 if frame.key_frame else since_key + 1
        longest = max(longest, since_key)
        rotation = frame.rotation
        if frame.pts is not None:
            first = frame.pts if first is None else min(first, frame.pts)
            last = frame.pts if last is None else max(last, frame.pts)
    if frames == 0:
        raise VideoError(
            f"{path}: no frame could be decoded, expected at least one; the file is damaged: remove it from the set"
        )
    rate = video.stream.average_rate
    seconds = None
    if first is not None and last is not None:
        seconds = (last - first) * video.time_base + (float(1 / rate) if rate else 0.0)
    problem = None
    if not video.exports_vectors:
        problem = no_vectors_message(video)
    elif not with_vectors:
        problem = (
            f"{path}: none of its {frames} frames carries motion vectors (all are intra-coded), expected P- or B-frames; "
            "transcode it with ordinary settings (ffmpeg -i IN -c:v libx264 OUT.mp4)"
        )
    context = video.stream.codec_context
    return VideoRecord(
        path=str(path),
        bytes=size,
        problem=problem,
        codec=video.codec,
        width=context.width,
        height=context.height,
        fps=float(rate) if rate else None,
        rotation=rotation,
        frames=frames,
        seconds=seconds,
        gop=longest,
        b_frames="B" in kinds,
        vectors=with_vectors / frames,
    )
