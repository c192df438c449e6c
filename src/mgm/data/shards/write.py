"""Packs a set of many small files into a few tar shards in the layout of WebDataset, with an index beside each."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mgm.data.items import VideoItem, VideoSet, common_folder
from mgm.data.shards.index import SHARDS_FILE, SHARDS_FORMAT
from mgm.data.shards.members import parse_member
from mgm.data.shards.shard_file import (
    PackedFile,
    PackedShard,
    ShardJob,
    cannot_be_read,
    find_shard,
    write_json,
    write_shard,
)
from mgm.errors import DataError, VideoError
from mgm.files.atomic import make_folder, remove_parts
from mgm.files.lock import locked
from mgm.video.container.locator import is_url
from mgm.workers.map_files import TIMEOUT_SECONDS
from mgm.workers.pool import WorkerPool

MEBI = 2**20
_TIMES = range(-(2**63), 2**63)
"""Nanoseconds that an index may contain."""


@dataclass(slots=True)
class PackReport:
    """Result of `pack_set`.

    Attributes:
        shards: paths of the shards. skipped: number of them that existed already.
        videos: number of videos in the shards. bytes: size of the tar files.
        failed: path -> error, of the videos that were left out.
        incidents: one line for each process that died and was replaced.
    """

    shards: list[Path] = field(default_factory=list)
    skipped: int = 0
    videos: int = 0
    bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    incidents: list[str] = field(default_factory=list)


def pack_set(
    videos: VideoSet,
    out: str | Path,
    *,
    shard_size: int = 1024,
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    progress: Callable[[str], None] | None = None,
) -> PackReport:
    """Write a set as tar shards: `KEY.mp4` (bytes unchanged), `KEY.json`, and `KEY.mgmv` if there is a motion sidecar.

    Each shard appears when it is complete, its index after it, and the set's `shards.json` last. A second call after an
    interruption skips the shards that exist. Samples are shuffled once, so that a stream of the shards mixes all classes. Videos
    that cannot be read are left out and reported. The files are the same bytes for any number of processes.

    Args:
        videos: as from `load_set`.
        shard_size: MiB of video per shard.
        processes: number of shards to write at a time. With more than one, call it under `if __name__ == "__main__":`. A process
            that dies is replaced, and its shard is written again; a video on which two die is left out.
        timeout_seconds: time without progress after which a video is left out; not with one process.
        progress: called with the path of each video; with several processes, when its shard is complete.

    Raises:
        DataError: `out` contains shards of another set, the set is packed already, or processes die between videos.
        FileError: `out` cannot be written, or another process packs into it.
    """
    if shard_size < 1:
        raise DataError("shard size", f"{shard_size} MiB", "1 or more", "1024 is usual", reason="invalid_value")
    folder = Path(out)
    report = PackReport()
    divided = enumerate(_divided(_files_of(videos, report), shard_size * MEBI))
    jobs = [ShardJob(folder / f"shard-{number:06d}.tar", files) for number, files in divided]
    if not jobs:
        raise _nothing_packed(videos, report)
    make_folder(folder)
    with locked(folder, advice="wait for it to end, or choose another folder"):
        for job, shard in _written(jobs, processes, timeout_seconds, report, progress):
            report.shards.append(job.path)
            report.videos += shard.videos
            report.bytes += shard.bytes
            report.failed |= shard.failed
        if not report.videos:
            raise _nothing_packed(videos, report)
        content = {
            "format": SHARDS_FORMAT,
            "classes": list(videos.classes),
            "split": videos.split_rule,
            "videos": report.videos,
            "shards": [shard.name for shard in report.shards],
        }
        write_json(folder / SHARDS_FILE, content)
    return report


def _nothing_packed(videos: VideoSet, report: PackReport) -> DataError:
    first = next(iter(report.failed.values()), None)
    return DataError(
        videos.root,
        "no video could be packed" if first else "no videos",
        "at least one",
        f"first error: {first}" if first else "",
        reason="missing_value" if first is None else "unreadable",
    )


def _written(
    jobs: list[ShardJob],
    processes: int,
    timeout_seconds: float,
    report: PackReport,
    progress: Callable[[str], None] | None,
) -> list[tuple[ShardJob, PackedShard]]:
    """All shards in their order, those that were missing written. For a process that holds the folder's lock."""
    done = {job.path: shard for job in jobs if (shard := find_shard(job)) is not None}
    report.skipped = len(done)
    todo = [job for job in jobs if job.path not in done]
    if min(processes, len(todo)) > 1:
        written = _write_in_processes(todo, min(processes, len(todo)), timeout_seconds, report, progress)
    else:
        written = ((job, write_shard(job, progress=progress)) for job in todo)
    try:
        with closing(written):
            done |= {job.path: shard for job, shard in written}
    finally:  # processes that were ended could not remove theirs: gigabytes each, on a disk that may be full
        remove_parts(jobs[0].path.parent, below=False)
    return [(job, done[job.path]) for job in jobs]


def _write_in_processes(
    jobs: list[ShardJob],
    processes: int,
    timeout_seconds: float,
    report: PackReport,
    progress: Callable[[str], None] | None,
) -> Generator[tuple[ShardJob, PackedShard], None, None]:
    """Write several shards at a time."""

    def name(number: int) -> str:
        """The path of a file by its number, for messages."""
        return next(str(file.path) for job in jobs for file in job.files if file.number == number)

    pool: WorkerPool[ShardJob, PackedShard] = WorkerPool(
        write_shard,
        workers=processes,
        timeout_seconds=timeout_seconds,
        name=name,
        start_method="spawn",  # the caller may hold threads, which a fork would copy in an undefined state
    )
    with pool:
        for job, shard in pool.as_completed(jobs):
            for file in job.files:
                if progress is not None:
                    progress(str(file.path))
            yield job, shard
        report.incidents = pool.incidents


def _files_of(videos: VideoSet, report: PackReport) -> list[PackedFile]:
    """The files of a set, each once, with all of its annotations; shuffled. Missing ones go into the report."""
    annotations: dict[str, list[dict[str, Any]]] = {}
    items = [("train", item) for item in videos.train] + [("test", item) for item in videos.test]
    for number, (split, item) in enumerate(items):
        annotations.setdefault(item.path, []).append(_annotation(number, split, item, videos.classes))
    prefix = common_folder(list(annotations))
    files = []
    for number, (path, of_file) in enumerate(annotations.items()):
        if parse_member(path) is not None or is_url(path):
            raise DataError(videos.root, f"already packed: {path}", "files to pack", reason="exists")
        try:
            state = Path(path).stat()
        except (OSError, ValueError) as error:
            report.failed[path] = cannot_be_read(path, error).line
            continue
        if state.st_mtime_ns not in _TIMES:
            report.failed[path] = VideoError(
                path,
                "the time of its last change is centuries away; left out",
                advice="'touch' it",
                reason="invalid_value",
            ).line
            continue
        files.append(PackedFile(number, Path(path), path[prefix:], state.st_size, state.st_mtime_ns, of_file))
    random.Random(0).shuffle(files)
    return files


def _annotation(number: int, split: str, item: VideoItem, classes: Sequence[str]) -> dict[str, Any]:
    name = None if item.label is None or not classes else classes[item.label]
    return {"number": number, "split": split, "label": item.label, "class": name, "start": item.start, "end": item.end}


def _divided(files: list[PackedFile], max_bytes: int) -> Iterator[list[PackedFile]]:
    """Divide the files into shards of at most `max_bytes`; a larger file is a shard of its own."""
    shard: list[PackedFile] = []
    size = 0
    for file in files:
        if shard and size + file.size > max_bytes:
            yield shard
            shard, size = [], 0
        shard.append(file)
        size += file.size
    if shard:
        yield shard
