"""What `prepare` leaves beside the videos: which became which, in a manifest."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mgm.errors import VideoError
from mgm.video.journal import read_journal
from mgm.video.transcode import PART

MANIFEST = "manifest.jsonl"
JOURNAL = "manifest.journal"
_PART_NAME = re.compile(rf"\..+\.(mp4|jsonl)\.\d+{re.escape(PART)}")


@dataclass(frozen=True, slots=True)
class PreparedVideo:
    """What became of one source; one line of the manifest. Fields of the result are None where it failed.

    Attributes:
        source: path below the folder of sources.
        target: path below the folder of results, where the manifest lies.
        status: "done" or "failed".
        problem: one line: what was found, what was expected, what to do; None where it is done.
        profile: how it was encoded, as `describe` says it.
        mtime_ns: when the source was last modified, in nanoseconds since 1970; None where it could not be asked.
        bytes_in, bytes_out: sizes of the files.
        codec_in, codec_out: FFmpeg's names.
        frames: of both files.
        height, width: of the result in pixels, upright.
        interlaced: whether the source was, at least in part.
    """

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
    """The records of all sources, in the order of their paths; `skipped` of them were done by an earlier run."""

    records: tuple[PreparedVideo, ...]
    skipped: int

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
        """Sources without one."""
        return tuple(r for r in self.records if r.status == "failed")

    @property
    def bytes_in(self) -> int:
        """Size of the sources that are done."""
        return sum(r.bytes_in or 0 for r in self.done)

    @property
    def bytes_out(self) -> int:
        """Size of their results."""
        return sum(r.bytes_out or 0 for r in self.done)


def target_names(sources: Iterable[Path]) -> list[Path]:
    """For each relative path of a source the relative path of its result; no two are the same, and none is another's folder.

    Raises nothing, looks at no file: the same sources always get the same names.
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


def read_records(path: Path) -> dict[str, PreparedVideo]:
    """The records of a manifest or its journal by source, the last one of each; those of another version are left out."""
    fields = set(PreparedVideo.__dataclass_fields__)
    return {r["source"]: PreparedVideo(**r) for _, r in read_journal(path) if set(r) == fields}


def write_manifest(path: Path, records: Iterable[PreparedVideo]) -> None:
    """Write one JSON line for each record: the whole file under its name, or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            for record in records:
                file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise VideoError(
            f"{path}: cannot be written ({error.strerror}); make room and run it again, what is done is kept"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def remove_parts(dst: Path) -> None:
    """Remove what killed runs left unfinished. Only while nobody else writes there."""
    for path in dst.rglob(f".*{PART}"):
        if _PART_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
