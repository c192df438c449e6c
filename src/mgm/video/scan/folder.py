"""Scan folders of videos: inspect every file, in this process or in several, into memory or into a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from mgm.errors import VideoError
from mgm.files.path_column import PathColumn, PathList
from mgm.video.scan.find import FoundVideos, search_videos
from mgm.video.scan.inspect import inspect_video, with_problem
from mgm.video.scan.manifest import FileState, file_state, update_manifest
from mgm.video.scan.record import VideoRecord
from mgm.workers.map_files import TIMEOUT_SECONDS, map_files

_FEWEST_FILES = 8
"""Fewer files are inspected in this process: starting others takes a second each."""


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
        """Files with a problem."""
        return tuple(r for r in self.records if r.problem is not None)


def scan_file(path: str | Path) -> VideoRecord:
    """The record of one file, decoded to its end. Never raises: problems of the file are in the record.

    A folder that cannot be listed has a record, too: the videos in it are unknown.
    """
    record = _new_record(path)
    if (error := _unlistable(path)) is not None:
        return replace(with_problem(record, error), bytes=0, modified=None)
    return inspect_guarded(record)


def inspect_guarded(record: VideoRecord, file: BinaryIO | None = None) -> VideoRecord:
    """As `inspect_video`; a fault of this package becomes a problem of the file, too."""
    try:
        return inspect_video(record, file)
    except Exception as error:  # a fault on one file of a hundred thousand must not cost the others
        found = " ".join(f"reading it failed ({type(error).__name__}: {error})".split())
        failure = VideoError(record.path, found, "a video", "remove it from the set and report it", reason="crashed")
        return with_problem(record, failure)


def _crashed(path: Path, error: VideoError) -> VideoRecord:
    return crashed(_new_record(path), error)


def crashed(record: VideoRecord, error: VideoError) -> VideoRecord:
    """The record of a file on which its process hung or died: out of memory, or a fault in the decoder."""
    return replace(with_problem(record, error.about(record.path)), status="crashed")


@dataclass(frozen=True, slots=True)
class ScannedFiles:
    """The files of a scan, and how they are read.

    Attributes:
        files: paths, which need not be those of files.
        inspect: returns the record of a file, in any process.
        on_death: makes the record of a file on which processes hung or died.
        state: see `update_manifest`.
    """

    files: Sequence[Path]
    inspect: Callable[[Path], VideoRecord]
    on_death: Callable[[Path, VideoError], VideoRecord]
    state: Callable[[str], FileState] = file_state

    def into_memory(
        self,
        *,
        processes: int = 1,
        timeout_seconds: float = TIMEOUT_SECONDS,
        ray: bool = False,
        progress: Callable[[VideoRecord], None] | None = None,
    ) -> ScanReport:
        """Scan as `scan_videos` does."""
        results: dict[Path, VideoRecord] = {}
        for file, record in map_files(
            self.inspect,
            self.files,
            processes=processes if ray else self._processes(processes),
            on_death=self.on_death,
            timeout_seconds=timeout_seconds,
            ray=ray,
        ):
            results[file] = record
            if progress is not None:
                progress(record)
        return ScanReport(tuple(results[file] for file in self.files))

    def into_manifest(
        self,
        manifest: str | Path,
        *,
        processes: int = 1,
        timeout_seconds: float = TIMEOUT_SECONDS,
        ray: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Scan as `scan_to_manifest` does."""
        update_manifest(
            manifest,
            self.files,
            self.inspect,
            on_death=self.on_death,
            state=self.state,
            processes=processes if ray else self._processes(processes),
            timeout_seconds=timeout_seconds,
            ray=ray,
            progress=progress,
        )

    def _processes(self, processes: int) -> int:
        return processes if len(self.files) >= _FEWEST_FILES else 1


def _unlistable(path: str | Path) -> VideoError | None:
    """The error of a folder that cannot be listed; None for any other path."""
    try:
        os.scandir(path).close()
    except OSError as error:
        with suppress(OSError):  # the inspection reports a path that cannot be looked up
            if Path(path).is_dir():
                return VideoError.cannot_read(path, error)
    return None


def _new_record(path: str | Path) -> VideoRecord:
    try:
        found = Path(path).stat()
    except OSError:
        return VideoRecord(path=str(path), bytes=0, status="unreadable")
    return VideoRecord(path=str(path), bytes=found.st_size, modified=found.st_mtime, status="unreadable")


def scan_videos(
    *paths: str | Path,
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    ray: bool = False,
    progress: Callable[[VideoRecord], None] | None = None,
) -> ScanReport:
    """Decode every video once and report its properties. A broken file becomes a record with its problem, never an exception.

    So does a folder that cannot be listed; these records come last. All records are held in memory; `scan_to_manifest` streams them
    to a file, and continues an interrupted scan.

    Args:
        paths: files and folders (searched for files with a video's suffix).
        processes: number of processes that decode. With more than one, call it under `if __name__ == "__main__":`. With one, the
            files are decoded in this process, which a crash in the decoder ends; so are fewer than 8 files.
        timeout_seconds: time without a new frame after which a file is given up, with the status "crashed"; not with Ray.
        ray: one task of Ray for each file, on the cluster of RAY_ADDRESS (all of whose machines see the files under the same
            names), or in `processes` processes of this machine. Paths become absolute.
        progress: called with each record as it is made, in no particular order.
    """
    return _scanned(_search(paths, ray=ray)).into_memory(
        processes=processes, timeout_seconds=timeout_seconds, ray=ray, progress=progress
    )


def scan_to_manifest(
    manifest: str | Path,
    *paths: str | Path,
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    ray: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FoundVideos:
    """Scan into a manifest: one row per video in the order of their paths, never all in memory. `read_manifest` reads it.

    Folders that cannot be listed have a row, too, after the videos.

    The same call continues an interrupted or killed scan. A later call inspects only files that are new or have changed (size or
    time of modification), and drops the rows of files that are no longer found.

    Args:
        manifest: ends in .jsonl, .csv or .parquet.
        paths, processes, timeout_seconds, ray: see `scan_videos`.
        progress: called with (files done, all files), first with those that were known.

    Returns:
        The files of the manifest, and the number of those left out.

    Raises:
        VideoError: no video found.
        FileError: a manifest of another suffix, or one that cannot be read, written or locked. Finished records are kept in
            `<manifest>.journal` for the next call.
    """
    found = _search(paths, ray=ray)
    _scanned(found).into_manifest(
        manifest, processes=processes, timeout_seconds=timeout_seconds, ray=ray, progress=progress
    )
    return found


def _search(paths: Iterable[str | Path], *, ray: bool) -> FoundVideos:
    found = search_videos([Path(path).absolute() for path in paths] if ray else paths)
    if not found.closed:
        found.require()
    return found


def _scanned(found: FoundVideos) -> ScannedFiles:
    """Videos, then the folders that cannot be listed."""
    files = found.videos
    if found.closed:
        files = PathList(PathColumn(chain(files.names, map(str, found.closed))).without_repeats())
    return ScannedFiles(files, scan_file, _crashed)
