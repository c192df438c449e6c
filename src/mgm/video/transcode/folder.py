"""Transcode a folder of videos of any kind for fast reading: in parallel, resumable, with a record of each video."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from mgm.errors import FileError, MgmError, VideoError
from mgm.files.atomic import make_folder, remove_parts
from mgm.files.journal import Journal
from mgm.files.lock import locked
from mgm.video.scan.find import FoundVideos, search_videos
from mgm.video.scan.record import valid_text
from mgm.video.transcode.choice import choose_encoder
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.manifest import (
    JOURNAL,
    MANIFEST,
    PreparedVideo,
    PrepareReport,
    find_orphans,
    is_ours,
    move_renamed,
    read_prepared,
    target_names,
    write_prepared,
)
from mgm.video.transcode.profiles import Profile, describe_profile, make_profile
from mgm.workers.map_files import TIMEOUT_SECONDS, map_files

_NO_FILE = (None, None)


def prepare_videos(
    src: str | Path,
    dst: str | Path,
    profile: str = "motion",
    *,
    stride: int | None = None,
    short_side: int | None = None,
    gop: int | None = None,
    crf: int | None = None,
    encoder: str = "software",
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    ray: bool = False,
    progress: Callable[[PreparedVideo], None] | None = None,
) -> PrepareReport:
    """Transcode every video below `src` into the same layout below `dst` (`a/b.webm` to `a/b.mp4`), listed in `dst/manifest.jsonl`.

    Sources that would share a name keep their suffixes: `a.avi` and `a.mp4` become `a.avi.mp4` and `a.mp4.mp4`. A video that fails
    becomes a record with its problem and stops nothing. Running again after any interruption finishes the work, in software with
    the same files byte for byte; results of the same source (size and time of modification) with the same profile and encoder are
    skipped. An earlier result is removed only if its source has changed and is damaged; after a missing or unreadable source, a
    full disk or a process that dies it is kept. Results whose source is gone are kept and named in the report.

    Args:
        src: a folder, or one video. `dst` holds the results of one folder: once it does, `src` may also be a video or folder in
            that folder, whose records are added to the others.
        dst: a folder outside `src`; made if missing. Files in it that this function did not make are never replaced.
        profile, stride, short_side, gop, crf: see `mgm.video.transcode.profiles`; None: the profile's own.
        encoder: a name of `mgm.video.transcode.encoders.ENCODERS`, or "auto": the first of hardware that keeps the profile on this
            machine, else "software". With Ray it is chosen here, for all machines.
        processes: number of videos to encode at a time. With more than one, call it under `if __name__ == "__main__":`.
        timeout_seconds: time without a new frame after which a video is abandoned; not with Ray.
        ray: one task of Ray for each video, on the cluster of RAY_ADDRESS (all of whose machines see `src` and `dst` under the same
            names), or in `processes` processes of this machine.
        progress: called with each record as it is made, in no particular order.

    Raises:
        VideoError: no video in `src`, a setting that the profile cannot have, or an encoder that fails here.
        FileError: `dst` is inside `src`, cannot be written, holds results of another folder or a manifest of another kind, or is in
            use by another run.
    """
    chosen = make_profile(profile, stride=stride, short_side=short_side, gop=gop, crf=crf)
    chosen = replace(chosen, encoder=choose_encoder(encoder, chosen).name)
    src, dst = Path(src), Path(dst)
    if ray:  # tasks run in folders of their own
        src, dst = src.absolute(), dst.absolute()
    found = search_videos([src])
    found.require()
    if src.is_dir() and dst.resolve().is_relative_to(src.resolve()):
        raise FileError(
            dst, f"is inside the sources {src}", "a folder outside them", "choose another", reason="conflict"
        )
    make_folder(dst)
    with locked(dst, advice="wait for it to end, or choose another folder"):
        plan = _plan(src, found, dst, chosen)
        remove_parts(dst)
        pairs = partial(
            map_files, _prepare_one, processes=processes, on_death=_died, timeout_seconds=timeout_seconds, ray=ray
        )
        try:
            return _run(plan, dst, pairs, progress or (lambda record: None))
        finally:  # processes that were ended could not remove theirs
            remove_parts(dst)


def prepare_command(source: str | Path, *options: str) -> str:
    """The shell command that transcodes a folder into `FOLDER-prepared` beside it, or a single video into `prepared`, since files
    beside a video are part of its set. Every advice to prepare gives this command."""
    place, target = Path(source), Path("prepared")
    if place.is_dir():
        unnamed = place.name in ("", "..")  # the working directory, or one above it
        target = place / ".." / place.resolve().name if unnamed else place
        target = target.with_name(f"{target.name}-prepared")
    named = [f"./{path}" if str(path).startswith("-") else str(path) for path in (place, target)]
    return shlex.join(["mgm", "prepare", *named, *options])


@dataclass(frozen=True, slots=True)
class _TranscodeJob:
    source: Path
    target: Path
    root: str
    source_name: str
    target_name: str
    profile: Profile
    old: PreparedVideo | None = None

    def failed(self, error: MgmError) -> PreparedVideo:
        """The record of a failure; removes the earlier result if its source has changed and is damaged."""
        mtime_ns, size = _stamp(self.source)
        record = PreparedVideo(
            root=self.root,
            source=self.source_name,
            target=self.target_name,
            status="failed",
            problem=valid_text(str(error)),
            profile=describe_profile(self.profile),
            mtime_ns=mtime_ns,
            bytes_in=size,
        )
        if not is_ours(self.target):
            return record
        old = self.old
        if old is not None and old.target == self.target_name and self._holds(old):
            changed = (mtime_ns, size) != (old.mtime_ns, old.bytes_in)
            if changed and _is_damage(self.source, error) and _removed(self.target):
                return record
            record = replace(old, status="failed")
        return replace(record, problem=valid_text(str(error.advising("the earlier result is kept"))))

    def finished(self) -> PreparedVideo | None:
        """The record of an earlier run, if its result is the one that this run would make."""
        old = self.old
        if old is None or not self._holds(old) or old.mtime_ns is None:
            return None
        if (old.profile, old.target) != (describe_profile(self.profile), self.target_name):
            return None
        if (old.mtime_ns, old.bytes_in) != _stamp(self.source):
            return None
        return replace(old, status="done", problem=None)

    def _holds(self, old: PreparedVideo) -> bool:
        return old.bytes_out is not None and old.bytes_out == _stamp(self.target)[1]


@dataclass(frozen=True, slots=True)
class _FolderPlan:
    """The jobs, the known records of the folder, the names of its `others` that are not in this run, and all targets by source.

    Sources in a folder that cannot be listed are among the others: their results stay.
    """

    jobs: list[_TranscodeJob]
    known: dict[str, PreparedVideo]
    others: frozenset[str]
    names: dict[str, str]
    found: FoundVideos


def _plan(src: Path, found: FoundVideos, dst: Path, profile: Profile) -> _FolderPlan:
    known = read_prepared(dst)
    base = src if src.is_dir() else src.parent
    root, below = _root(base, dst, known)
    places = {below / source.relative_to(base): source for source in found.videos}
    requested = sorted(places, key=Path.as_posix)
    inside = "" if below == Path() else valid_text(below.as_posix()) + "/"
    wanted = {valid_text(place.as_posix()) for place in requested}
    closed = tuple(valid_text((below / folder.relative_to(base)).as_posix()) + "/" for folder in found.closed)
    outside = {n for n in known if n.startswith(closed) or not (src.is_dir() and n.startswith(inside))}
    others = outside - wanted
    # Names depend on their neighbours, also on those that are not in this run.
    everything = [*requested, *map(Path, sorted(others))]
    targets = dict(zip(everything, target_names(everything), strict=True))
    jobs = []
    for place in requested:
        source, target = places[place], targets[place]
        jobs.append(
            _TranscodeJob(
                source, dst / target, root, valid_text(place.as_posix()), valid_text(target.as_posix()), profile
            )
        )
    originals = {os.path.realpath(source) for source in found.videos}  # circular links are the error of one source
    for job in jobs:
        if os.path.realpath(job.target) in originals:
            raise FileError(
                job.target, "is a source itself", "results in another folder", "choose another folder", reason="exists"
            )
    names = {valid_text(place.as_posix()): valid_text(target.as_posix()) for place, target in targets.items()}
    return _FolderPlan(jobs, known, frozenset(others), names, found)


def _root(base: Path, dst: Path, known: dict[str, PreparedVideo]) -> tuple[str, Path]:
    """The folder whose results `dst` holds, or will hold, and the position of `base` in it."""
    base = base.resolve()
    roots = {record.root for record in known.values()}
    for folder in (base, *base.parents):
        name = valid_text(folder.as_posix())
        if not roots or roots == {name}:
            return name, base.relative_to(folder)
    raise FileError(
        dst,
        f"holds results of {', '.join(sorted(roots))}",
        f"of {base} or a folder above it",
        f"choose another folder; if the same videos have only moved, change 'root' in its {MANIFEST}",
        reason="conflict",
    )


def _run(
    plan: _FolderPlan,
    dst: Path,
    run: Callable[[list[_TranscodeJob]], Iterator[tuple[_TranscodeJob, PreparedVideo]]],
    progress: Callable[[PreparedVideo], None],
) -> PrepareReport:
    known, results = dict(plan.known), dict[str, PreparedVideo]()
    with Journal(dst / JOURNAL) as journal:
        for record in move_renamed(dst, known.values(), plan.names):
            journal.append(asdict(record))
            known[record.source] = record
        jobs = [replace(job, old=known.get(job.source_name)) for job in plan.jobs]
        for job in jobs:
            if (done := job.finished()) is not None:
                results[job.source_name] = done
                progress(done)
        skipped = len(results)
        todo = [job for job in jobs if job.source_name not in results]
        for job, record in run(todo):
            journal.append(asdict(record))
            results[job.source_name] = record
            progress(record)
    listed = {**results, **{name: known[name] for name in plan.others}}
    rows = [listed[name] for name in sorted(listed)]
    write_prepared(dst / MANIFEST, rows)
    (dst / JOURNAL).unlink()
    return PrepareReport(tuple(results[job.source_name] for job in jobs), skipped, plan.found, find_orphans(dst, rows))


def _prepare_one(job: _TranscodeJob) -> PreparedVideo:
    """Transcode one video; an error becomes its record."""
    mtime_ns, size = _stamp(job.source)
    try:
        if _stamp(job.target) != _NO_FILE and not is_ours(job.target):
            found = "exists and was not made by mgm prepare"
            advice = "move it away, or choose another folder"
            return job.failed(FileError(job.target, found, "no such file", advice, reason="exists"))
        made = transcode_video(job.source, job.target, job.profile)
    except MgmError as error:
        return job.failed(error)
    except Exception as error:  # one odd video must not end the work on a million others
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return job.failed(VideoError(job.source, found, "it to encode", "report it with the video", reason="crashed"))
    return PreparedVideo(
        root=job.root,
        source=job.source_name,
        target=job.target_name,
        status="done",
        problem=None,
        profile=describe_profile(job.profile),
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


def _is_damage(source: Path, error: MgmError) -> bool:
    """Whether an error is about the content of the source: not about the disk, the memory, the process or the result."""
    if error.reason in ("crashed", "timed_out") or error.subject != str(source) or _stamp(source) == _NO_FILE:
        return False
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError | MemoryError):
            return False
        cause = cause.__cause__
    return True


def _died(job: _TranscodeJob, error: VideoError) -> PreparedVideo:
    return job.failed(error.about(job.source))


def _removed(target: Path) -> bool:
    try:
        target.unlink()
    except OSError:
        return False
    return True


def _stamp(path: Path) -> tuple[int | None, int | None]:
    """(time of modification in ns, size in bytes); `_NO_FILE` if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return _NO_FILE
    return found.st_mtime_ns, found.st_size
