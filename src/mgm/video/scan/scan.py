"""An audit of folders of videos: what each file is, whether it decodes, whether it carries motion vectors, what to do if not."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from mgm.errors import VideoError
from mgm.video.scan.inspect import audit
from mgm.video.scan.manifest import update_manifest
from mgm.video.scan.record import Status, VideoRecord
from mgm.workers.isolated import TIMEOUT_SECONDS, run_isolated

__all__ = [
    "VIDEO_SUFFIXES",
    "Group",
    "ScanReport",
    "ScanSummary",
    "VideoRecord",
    "find_videos",
    "scan",
    "scan_file",
    "scan_to",
]

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
FEW = 8
"""Fewer files are read in this process: starting others takes a second each."""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The records of a scan, in the order of their paths."""

    records: tuple[VideoRecord, ...]

    def __repr__(self) -> str:
        readable, moving, problems = len(self.readable), len(self.with_motion), len(self.problems)
        return f"ScanReport({len(self)} files: {readable} readable, {moving} with motion vectors, {problems} with problems)"

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


def find_videos(paths: Iterable[str | Path], *, unreadable: Callable[[Path], None] | None = None) -> list[Path]:
    """Files given by name, and every file with a video's suffix below the folders given, sorted within each.

    Links to folders are followed, but each folder is searched once: what is reached in two ways has the name without links.

    Args:
        unreadable: called with each folder that cannot be listed; None leaves them out.

    Raises:
        VideoError: a path does not exist or cannot be opened, or there is no video at all, nor a call of `unreadable`.
    """
    given = [Path(path) for path in paths]
    found: list[Path] = []
    closed: list[Path] = []
    for path in given:
        if _is_folder(path):
            found.extend(sorted(_videos_below(path, closed)))
        else:
            found.append(path)
    closed = list(dict.fromkeys(closed))
    if unreadable is not None:
        for folder in closed:
            unreadable(folder)
    if not found and (unreadable is None or not closed):
        hint = f"; {closed[0]} cannot be read: check its permissions" if closed else ""
        raise VideoError(
            f"{', '.join(map(str, given))}: no video found (looked for {' '.join(sorted(VIDEO_SUFFIXES))}){hint}"
        )
    return list(dict.fromkeys(found))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(f"{path}: no such file or folder; check the path") from error
    except OSError as error:
        raise VideoError(f"{path}: cannot be opened ({error.strerror}); check its permissions") from error


def _videos_below(root: Path, closed: list[Path]) -> Iterator[Path]:
    """Every file with a video's suffix; folders that cannot be listed are added to `closed`."""
    seen: set[str] = set()
    linked = deque([root])
    while linked:
        folders = [linked.popleft()]  # links wait, so that what is also reached without them gets that name
        while folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            try:
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                closed.append(folder)
                continue
            for entry in listed:
                path = folder / entry.name
                video = path.suffix.lower() in VIDEO_SUFFIXES
                try:
                    inner = entry.is_dir()
                except OSError as error:  # a link to where nobody may look, or to itself
                    inner = False
                    if not video and error.errno != errno.ELOOP:
                        closed.append(path)
                if inner:
                    (linked if entry.is_symlink() else folders).append(path)
                elif video:
                    yield path


def scan_file(path: str | Path) -> VideoRecord:
    """The record of one file, decoded to its end. Never raises: what is wrong with the file is in the record.

    A folder that cannot be listed has a record too: nobody knows what is missing.
    """
    record = _untouched(path)
    if (problem := _closed(path)) is not None:
        return replace(record, bytes=0, modified=None, problem=problem)
    try:
        return audit(record)
    except Exception as error:  # whatever one file of a hundred thousand provokes must not cost the others
        found = " ".join(f"{type(error).__name__}: {error}".split())
        problem = f"{path}: reading it failed ({found}), expected a video; remove it from the set and report it"
        return replace(record, status="crashed", problem=problem)


def _crashed(path: Path, error: VideoError) -> VideoRecord:
    """The record of a file on which its process hung or died: out of memory, or a fault in the decoder."""
    return replace(_untouched(path), status="crashed", problem=str(error.about(path)))


def _closed(path: str | Path) -> str | None:
    """The problem of a folder that cannot be listed; None for any other path."""
    try:
        os.scandir(path).close()
    except OSError as error:
        with suppress(OSError):  # what cannot be looked up is for the audit to say
            if Path(path).is_dir():
                return f"{path}: a folder that cannot be read ({error.strerror}), expected to list it; check its permissions"
    return None


def _untouched(path: str | Path) -> VideoRecord:
    try:
        found = Path(path).stat()
    except OSError:
        return VideoRecord(path=str(path), bytes=0, status="unreadable")
    return VideoRecord(path=str(path), bytes=found.st_size, modified=found.st_mtime, status="unreadable")


def scan(
    *paths: str | Path,
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    progress: Callable[[VideoRecord], None] | None = None,
) -> ScanReport:
    """Decode every video once and report what it is. A broken file becomes a record with its problem, never an exception.

    So does a folder that cannot be listed; these records come last.
    All records are held in memory; `scan_to` streams them to a file, and goes on where it was interrupted.

    Args:
        paths: files and folders (searched for files with a video's suffix).
        processes: number of processes that decode. With more than one, call it under `if __name__ == "__main__":`. With one, the
            files are decoded in this process, which a crash in the decoder ends and a hang stops; so are fewer than 8 files.
        timeout_seconds: time without a new frame after which a file is given up, with the status "crashed".
        progress: called with each record as it is made, in no particular order.
    """
    files = _find(paths)
    results: dict[Path, VideoRecord] = {}
    for file, record in run_isolated(
        scan_file, files, processes=_processes(files, processes), on_death=_crashed, timeout_seconds=timeout_seconds
    ):
        results[file] = record
        if progress is not None:
            progress(record)
    return ScanReport(tuple(results[file] for file in files))


def scan_to(
    manifest: str | Path,
    *paths: str | Path,
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Scan into a manifest: one row per video in the order of their paths, never all in memory. `read_manifest` reads it.

    Folders that cannot be listed have a row too, behind the videos.

    Interrupted or killed, the same call goes on; called again later, it reads only what is new or has changed (size or time of
    modification), and drops the rows of files that are no longer found.

    Args:
        manifest: ends in .jsonl, .csv or .parquet.
        paths, processes, timeout_seconds: see `scan`.
        progress: called with (files done, all files), first with those that were known.

    Raises:
        VideoError: no video found, a manifest of another suffix, one that cannot be read or written or that another scan is
            writing, or a full disk; the records made so far are in `<manifest>.journal` and are taken up by the next call.
    """
    files = _find(paths)
    update_manifest(
        manifest,
        files,
        scan_file,
        on_death=_crashed,
        processes=_processes(files, processes),
        timeout_seconds=timeout_seconds,
        progress=progress,
    )


def _find(paths: Iterable[str | Path]) -> list[Path]:
    """Videos, then the folders that cannot be listed."""
    closed: list[Path] = []
    files = find_videos(paths, unreadable=closed.append)
    return list(dict.fromkeys([*files, *closed]))


def _processes(files: list[Path], processes: int) -> int:
    return processes if len(files) >= FEW else 1


SHORT_SIDES = (144, 240, 360, 480, 720, 1080, 1440, 2160)


@dataclass(slots=True)
class Group:
    """Videos of one codec, size and status, added up.

    Attributes:
        files, frames, seconds: in all; `untimed`: files whose length nothing tells.
        rates: lowest and highest frames per second.
        gop: the longest.
        b_frames: files with B-frames.
        vectors: sum of the files' shares; `motion`: sum of the means of the files that have one, which are `moving`.
        sources: what motion="auto" reads.
    """

    files: int = 0
    frames: int = 0
    seconds: float = 0.0
    untimed: int = 0
    rates: tuple[float, float] | None = None
    gop: int = 0
    b_frames: int = 0
    vectors: float = 0.0
    motion: float = 0.0
    moving: int = 0
    sources: set[str] = field(default_factory=set)

    def add(self, record: VideoRecord) -> None:
        """Count a file."""
        self.files += 1
        self.frames += record.frames or 0
        self.seconds += record.seconds or 0.0
        self.untimed += record.seconds is None
        if record.fps:
            low, high = self.rates or (record.fps, record.fps)
            self.rates = min(low, record.fps), max(high, record.fps)
        self.gop = max(self.gop, record.gop or 0)
        self.b_frames += bool(record.b_frames)
        self.vectors += record.vectors or 0.0
        if record.motion is not None:
            self.motion += record.motion
            self.moving += 1
        if record.motion_source is not None:
            self.sources.add(record.motion_source)


@dataclass(slots=True)
class ScanSummary:
    """What the records of a scan add up to, in memory that does not grow with them.

    Attributes:
        files, readable, with_motion: how many.
        sizes: groups by (codec, "WIDTHxHEIGHT", status); what could not be opened has neither codec nor size, but "-".
        classes: the same by the short side, such as "360p" for 241 to 360 pixels.
        problems: how many files of each status but "ok", and the first of them.
        broken, others: the first `limit` records of files that cannot be read, and of those with another problem.
        limit: how many records are kept.
    """

    limit: int = 20
    files: int = 0
    readable: int = 0
    with_motion: int = 0
    sizes: dict[tuple[str, str, Status], Group] = field(default_factory=dict)
    classes: dict[tuple[str, str, Status], Group] = field(default_factory=dict)
    problems: dict[Status, tuple[int, VideoRecord]] = field(default_factory=dict)
    broken: list[VideoRecord] = field(default_factory=list)
    others: list[VideoRecord] = field(default_factory=list)

    def add(self, record: VideoRecord) -> None:
        """Count a record."""
        self.files += 1
        self.readable += record.readable
        self.with_motion += record.has_motion
        codec, exact, side = record.codec or "-", "-", "-"
        if record.width and record.height:
            exact, side = f"{record.width}x{record.height}", short_side(record.width, record.height)
        self.sizes.setdefault((codec, exact, record.status), Group()).add(record)
        self.classes.setdefault((codec, side, record.status), Group()).add(record)
        if record.problem is None:
            return
        count, first = self.problems.get(record.status, (0, record))
        self.problems[record.status] = count + 1, first
        kept = self.others if record.readable else self.broken
        if len(kept) < self.limit:
            kept.append(record)


def short_side(width: int, height: int) -> str:
    """The size class of a video: the usual short side that it reaches at most, "360p" for 340x256; above 2160 its own."""
    side = min(width, height)
    return f"{next((usual for usual in SHORT_SIDES if side <= usual), side)}p"
