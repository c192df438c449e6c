"""A folder of videos of any kind to a folder of training-friendly ones: in parallel, resumable, with a record of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from mgm.errors import VideoError
from mgm.video.journal import Journal
from mgm.video.prepared import (
    JOURNAL,
    MANIFEST,
    PreparedVideo,
    PrepareReport,
    read_records,
    remove_parts,
    target_names,
    write_manifest,
)
from mgm.video.profiles import Profile, describe, make_profile, read_profile
from mgm.video.scan import find_videos
from mgm.video.transcode import transcode
from mgm.video.workers import over_files


def prepare(
    src: str | Path,
    dst: str | Path,
    profile: str = "motion",
    *,
    stride: int | None = None,
    short_side: int | None = None,
    gop: int | None = None,
    crf: int | None = None,
    processes: int = 1,
    ray: bool = False,
    progress: Callable[[PreparedVideo], None] | None = None,
) -> PrepareReport:
    """Transcode every video below `src` into the same layout below `dst` (`a/b.webm` to `a/b.mp4`), listed in `dst/manifest.jsonl`.

    Sources that would share a name keep their suffixes: `a.avi` and `a.mp4` become `a.avi.mp4` and `a.mp4.mp4`. A video that fails
    becomes a record with its problem and stops nothing. Whatever ended an earlier run, running again finishes the work with the
    same files byte for byte; what is done of the same source (size and time of modification) with the same profile is skipped.

    Args:
        src: a folder, or one video.
        dst: a folder outside `src`; made if missing. Files in it that this function did not make are never replaced.
        profile, stride, short_side, gop, crf: see `mgm.video.profiles`; None: the profile's own.
        processes: how many videos to encode at a time. With more than one, call it under `if __name__ == "__main__":`.
        ray: one task of Ray for each video, on the cluster of RAY_ADDRESS (all of whose machines see `src` and `dst` under the same
            names), or in `processes` processes of this machine.
        progress: called with each record as it is made, in no particular order.

    Raises:
        VideoError: no video in `src`, a setting that the profile cannot have, `dst` inside `src`, or another run works on `dst`.
    """
    chosen = make_profile(profile, stride=stride, short_side=short_side, gop=gop, crf=crf)
    src, dst = Path(src), Path(dst)
    if ray:  # tasks run in folders of their own
        src, dst = src.absolute(), dst.absolute()
    jobs = _plan(src, dst, chosen)
    try:
        dst.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VideoError(f"{dst}: cannot be made ({error.strerror}), expected a folder; choose another") from error
    with _alone(dst):
        remove_parts(dst)
        return _run(jobs, dst, processes, ray, progress or (lambda record: None))


@dataclass(frozen=True, slots=True)
class _Job:
    source: Path
    target: Path
    source_name: str
    target_name: str
    profile: Profile

    def failed(self, problem: str) -> PreparedVideo:
        mtime_ns, size = _stamp(self.source)
        return PreparedVideo(
            self.source_name, self.target_name, "failed", _text(problem), describe(self.profile), mtime_ns, size
        )


def _plan(src: Path, dst: Path, profile: Profile) -> list[_Job]:
    root = src if src.is_dir() else src.parent
    if src.is_dir() and dst.resolve().is_relative_to(src.resolve()):
        raise VideoError(f"{dst}: lies inside the sources {src}, expected a folder outside them; choose another")
    sources = sorted(find_videos([src]), key=lambda source: source.relative_to(root).as_posix())
    names = target_names([source.relative_to(root) for source in sources])
    jobs = [
        _Job(source, dst / name, _text(source.relative_to(root).as_posix()), _text(name.as_posix()), profile)
        for source, name in zip(sources, names, strict=True)
    ]
    originals = {source.resolve() for source in sources}
    for job in jobs:
        if job.target.resolve() in originals:
            raise VideoError(f"{job.target}: is a source itself, expected results in another folder; choose another")
    return jobs


def _run(
    jobs: list[_Job], dst: Path, processes: int, ray: bool, progress: Callable[[PreparedVideo], None]
) -> PrepareReport:
    known = {**read_records(dst / MANIFEST), **read_records(dst / JOURNAL)}
    _remove_renamed(jobs, known, dst)
    results: dict[str, PreparedVideo] = {}
    for job in jobs:
        record = known.get(job.source_name)
        if record is not None and _is_done(job, record):
            results[job.source_name] = record
            progress(record)
    skipped = len(results)
    todo = [job for job in jobs if job.source_name not in results]
    with Journal(dst / JOURNAL) as journal:
        pairs = _over_ray(todo, processes) if ray else over_files(_prepare_one, todo, processes=processes, died=_died)
        for job, record in pairs:
            journal.append(asdict(record))
            results[job.source_name] = record
            progress(record)
    remove_parts(dst)
    records = tuple(results[job.source_name] for job in jobs)
    write_manifest(dst / MANIFEST, records)
    (dst / JOURNAL).unlink()
    return PrepareReport(records, skipped)


def _is_done(job: _Job, record: PreparedVideo) -> bool:
    return (
        record.status == "done"
        and record.profile == describe(job.profile)
        and record.target == job.target_name
        and (record.mtime_ns, record.bytes_in) == _stamp(job.source)
        and record.bytes_out == _stamp(job.target)[1]
    )


def _prepare_one(job: _Job) -> PreparedVideo:
    """Transcode one video; whatever goes wrong becomes its record."""
    mtime_ns, size = _stamp(job.source)
    try:
        if job.target.exists() and not _is_ours(job.target):
            return job.failed(
                f"{job.target}: exists and is not of mgm prepare, expected no such file; move it away or choose another folder"
            )
        made = transcode(job.source, job.target, job.profile)
    except VideoError as error:
        _discard(job)
        return job.failed(str(error))
    except Exception as error:  # one odd video must not end the work on a million others
        _discard(job)
        return job.failed(
            f"{job.source}: {type(error).__name__}: {' '.join(str(error).split())}, expected it to encode; report it with the video"
        )
    return PreparedVideo(
        source=job.source_name,
        target=job.target_name,
        status="done",
        problem=None,
        profile=describe(job.profile),
        mtime_ns=mtime_ns,
        bytes_in=size,
        bytes_out=made.bytes_out,
        codec_in=made.codec_in,
        codec_out=made.codec_out,
        frames=made.frames,
        height=made.height,
        width=made.width,
        interlaced=made.interlaced,
    )


def _died(job: _Job) -> PreparedVideo:
    _discard(job)
    return job.failed(
        f"{job.source}: the process that encoded it died (out of memory, or a crash in a decoder), expected it to finish; "
        "use fewer processes, or remove it from the set and report it"
    )


def _over_ray(jobs: list[_Job], processes: int) -> Iterator[tuple[_Job, PreparedVideo]]:
    """The same as `over_files` on a cluster of Ray; this process alone writes the journal."""
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise VideoError(
            "--ray needs the package ray: pip install 'motion-guided-masking[ray]', or '.[ray]' in a checkout"
        ) from error
    started = not ray.is_initialized()
    if started:
        local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": processes, "include_dashboard": False}
        ray.init(log_to_driver=False, **local)
    task = ray.remote(num_cpus=1, max_retries=1)(_prepare_one)
    left = iter(jobs)
    running: dict[Any, _Job] = {}
    try:
        while True:
            # Enough to keep a growing cluster busy, few enough that a million videos do not fill its queue.
            room = 2 * int(ray.cluster_resources().get("CPU", 1)) - len(running)
            for _, job in zip(range(room), left, strict=False):
                running[task.remote(job)] = job
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            job = running.pop(done[0])
            try:
                record = ray.get(done[0])
            except ray.exceptions.RayError:
                record = _died(job)
            yield job, record
    finally:
        if started:
            ray.shutdown()


def _is_ours(target: Path) -> bool:
    try:
        with av.open(str(target)) as container:
            return read_profile(container.metadata) is not None
    except (av.error.FFmpegError, OSError):
        return False


def _discard(job: _Job) -> None:
    """Remove what an earlier run made of another version of the source, or with another profile."""
    if job.target.is_file() and _is_ours(job.target):
        job.target.unlink()


def _remove_renamed(jobs: list[_Job], known: dict[str, PreparedVideo], dst: Path) -> None:
    """Remove results of earlier runs whose source is now called otherwise, because another with its name has come or gone."""
    current = {job.target_name for job in jobs}
    for job in jobs:
        record = known.get(job.source_name)
        if record is not None and record.target not in current:
            old = dst / record.target
            if old.resolve().is_relative_to(dst.resolve()) and old.is_file() and _is_ours(old):
                old.unlink()


@contextmanager
def _alone(dst: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process, however that ends."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(dst, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise VideoError(
                f"{dst}: another 'mgm prepare' works on it; wait for it, or choose another folder"
            ) from error
        except OSError:  # some network file systems know no locks on folders; one run at a time is then up to the user
            yield
            return
        yield
    finally:
        os.close(handle)


def _stamp(path: Path) -> tuple[int | None, int | None]:
    """(time of modification in ns, size in bytes), None where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None, None
    return found.st_mtime_ns, found.st_size


def _text(name: str) -> str:
    """A name as UTF-8 can write it: file systems allow any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
