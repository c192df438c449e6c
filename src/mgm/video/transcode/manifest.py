"""The manifest of a folder of transcoded videos: the source, the settings and the problem of each."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import av.error

from mgm.errors import FileError
from mgm.files.atomic import atomic_write
from mgm.files.journal import read_journal
from mgm.files.json_text import read_json
from mgm.files.regular import open_regular
from mgm.video.container.formats import open_container
from mgm.video.container.metadata import read_profile
from mgm.video.scan.find import FoundVideos
from mgm.video.scan.record import valid_text

MANIFEST = "manifest.jsonl"
JOURNAL = "manifest.journal"


@dataclass(frozen=True, slots=True)
class PreparedVideo:
    """One source and its result; one line of the manifest. Fields of the result are None without a result.

    A source that failed may have an earlier result that is kept: all fields but `status` and `problem` then describe that result.

    Attributes:
        root: the folder of sources, absolute.
        source: path below it.
        target: path below the folder of results, which contains the manifest.
        status: "done" or "failed".
        problem: one line: found, expected, advice; None if it is done.
        profile: its settings, as `describe_profile` writes them.
        mtime_ns: time of the source's last change in nanoseconds since 1970; None if it could not be read.
        bytes_in, bytes_out: sizes of the files.
        codec_in, codec_out: FFmpeg's names.
        frames: number of frames, of both files.
        height, width: of the result in pixels, upright.
        interlaced: whether any frame of the source is.
    """

    root: str
    source: str
    target: str
    status: Literal["done", "failed"]
    problem: str | None
    profile: str
    mtime_ns: int | None
    bytes_in: int | None
    bytes_out: int | None = None
    codec_in: str | None = None
    codec_out: str | None = None
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    interlaced: bool | None = None


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """The records of a run of `prepare_videos`.

    Attributes:
        records: of all sources of the run, in the order of their paths.
        skipped: number of sources that an earlier run had done.
        found: the sources, with what was left out.
        orphans: results in the folder whose source is gone, as paths below it. They are kept.
    """

    records: tuple[PreparedVideo, ...]
    skipped: int
    found: FoundVideos
    orphans: tuple[str, ...] = ()

    def __repr__(self) -> str:
        orphans = len(self.orphans)
        return f"PrepareReport({len(self)} videos: {len(self.failed)} failed, {self.skipped} done before; {orphans} orphans)"

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[PreparedVideo]:
        return iter(self.records)

    @property
    def done(self) -> tuple[PreparedVideo, ...]:
        """Sources with a result, those of earlier runs included."""
        return tuple(r for r in self.records if r.status == "done")

    @property
    def failed(self) -> tuple[PreparedVideo, ...]:
        """Sources that failed."""
        return tuple(r for r in self.records if r.status == "failed")

    @property
    def bytes_in(self) -> int:
        """Size of the sources that are done, in bytes."""
        return sum(r.bytes_in or 0 for r in self.done)

    @property
    def bytes_out(self) -> int:
        """Size of their results, in bytes."""
        return sum(r.bytes_out or 0 for r in self.done)


def target_names(sources: Iterable[Path]) -> list[Path]:
    """The relative path of the result for each relative path of a source; all differ, and none is the folder of another.

    A function of the names alone: the same sources always get the same names.
    """
    sources = list(sources)
    folders = {folder for source in sources for folder in source.parents}
    names = [source.with_suffix(".mp4") for source in sources]
    while True:
        claimed = Counter(names)
        clashing = [
            number
            for number, (source, name) in enumerate(zip(sources, names, strict=True))
            if (claimed[name] > 1 or name in folders) and name != _with_suffix_kept(source)
        ]
        if not clashing:
            return names
        for number in clashing:
            names[number] = _with_suffix_kept(sources[number])


def _with_suffix_kept(source: Path) -> Path:
    return source.with_name(source.name + ".mp4")


def read_prepared(dst: Path) -> dict[str, PreparedVideo]:
    """The records of a folder's manifest by source, brought up to date by the journal of an interrupted run.

    Raises:
        FileError: one of the two files was not written by `prepare_videos`, or cannot be read.
    """
    known: dict[str, PreparedVideo] = {}
    for path, rows in ((dst / MANIFEST, _rows(dst / MANIFEST)), (dst / JOURNAL, _journal_rows(dst / JOURNAL))):
        try:
            for number, row in enumerate(rows, 1):
                if not _is_record(row):
                    raise FileError(
                        path,
                        f"line {number} is not a record written by this version of 'mgm prepare'",
                        advice="move the file away, or choose another folder",
                        reason="malformed",
                    )
                known[row["source"]] = PreparedVideo(**row)
        except OSError as error:
            expected = "a file that 'mgm prepare' writes"
            raise FileError.cannot_read(path, error, expected, advice="choose another folder") from error
    return known


def _rows(path: Path) -> Iterator[Any]:
    # To the last byte, unlike a journal: this file is only replaced as a whole, so a torn one is not ours.
    if not path.exists():
        return
    with open_regular(path) as file:
        for line in file:
            try:
                yield read_json(line)
            except ValueError:
                yield None


def _journal_rows(path: Path) -> Iterator[Any]:
    return (row for _, row in read_journal(path))


def _is_record(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == PreparedVideo.__dataclass_fields__.keys()
        and all(isinstance(row[name], str) for name in ("root", "source", "target", "status", "profile"))
    )


def is_ours(target: Path) -> bool:
    """Whether a file is a result of `transcode_video`."""
    try:
        if not target.is_file():  # opening a pipe would wait forever
            return False
        with open_container(str(target)) as container:
            return read_profile(container.metadata) is not None
    except (av.error.FFmpegError, OSError):
        return False


def move_renamed(dst: Path, known: Iterable[PreparedVideo], names: dict[str, str]) -> list[PreparedVideo]:
    """Rename results whose names changed, because another source with their name has come or gone.

    Args:
        dst: the folder of results.
        known: their records.
        names: source to target, as it should be.

    Returns:
        The new records of the results that were renamed. A result that cannot be renamed stays.
    """
    moves = {r.source: r for r in known if names.get(r.source, r.target) != r.target}
    moved: list[PreparedVideo] = []
    while True:
        taken = {record.target for record in moves.values()}
        free = [source for source in moves if names[source] not in taken]
        if not free:
            return moved
        for source in free:
            record = moves.pop(source)
            if _move(dst, record.target, names[source]):
                moved.append(replace(record, target=names[source]))


def _move(dst: Path, old: str, new: str) -> bool:
    if not (dst / old).is_file():
        return True
    if not (dst / old).resolve().is_relative_to(dst.resolve()) or not is_ours(dst / old):
        return False
    if os.path.lexists(dst / new) and not is_ours(dst / new):
        return False
    try:
        (dst / old).replace(dst / new)
    except OSError:
        return False
    return True


def find_orphans(dst: Path, records: Iterable[PreparedVideo]) -> tuple[str, ...]:
    """Results below a folder that no record names, sorted; without those in folders that have their own manifest."""
    targets = {record.target for record in records}
    found: list[str] = []
    for folder, folders, files in os.walk(dst):
        if MANIFEST in files and Path(folder) != dst:
            folders.clear()
            continue
        for file in files:
            path = Path(folder, file)
            name = valid_text(path.relative_to(dst).as_posix())
            if path.suffix == ".mp4" and name not in targets and is_ours(path):
                found.append(name)
    return tuple(sorted(found))


def write_prepared(path: Path, records: Iterable[PreparedVideo]) -> None:
    """Write one JSON line for each record."""
    with atomic_write(path, advice="free some space and run it again: finished videos are kept") as file:
        for record in records:
            file.write(json.dumps(asdict(record), ensure_ascii=False).encode() + b"\n")
