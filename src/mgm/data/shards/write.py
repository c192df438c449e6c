"""Many small files into a few large ones: tar shards in the layout of WebDataset, with an index beside each."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mgm.data.items import VideoItem, VideoSet, common_folder
from mgm.data.shards.index import FORMAT, SET, index_name
from mgm.data.shards.members import parse_member
from mgm.errors import DataError, VideoError
from mgm.files.atomic import atomic_write
from mgm.video.container.locator import is_url
from mgm.video.container.metadata import probe
from mgm.video.motion.cache import open_sidecar, sidecar_path

MEBI = 2**20
HEADER = 512
"""Bytes of a tar member's header, whose names here are short."""


@dataclass(slots=True)
class PackReport:
    """What `pack` did.

    Attributes:
        shards: paths of the shards. skipped: how many of them were there already.
        videos: how many videos they hold, and `bytes` of tar files.
        failed: path -> why, of the videos that were left out.
    """

    shards: list[Path] = field(default_factory=list)
    skipped: int = 0
    videos: int = 0
    bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Source:
    """A file to pack, and what is said of it."""

    key: str
    path: Path
    name: str
    size: int
    modified: int
    annotations: list[dict[str, Any]]

    @property
    def identity(self) -> list[Any]:
        return [self.key, self.name, self.size, self.modified, self.annotations]


def pack(
    videos: VideoSet,
    out: str | Path,
    *,
    shard_size: int = 1024,
    progress: Callable[[str], None] | None = None,
) -> PackReport:
    """Write a set as tar shards: `KEY.mp4` (bytes as they are), `KEY.json`, and `KEY.mgmv` where a motion sidecar lies beside it.

    Each shard appears when it is whole, its index after it, the set's `shards.json` last. Run again after an interruption, it skips
    the shards that are there. Samples are shuffled once, so that whoever streams the shards sees all classes mixed. Videos that
    cannot be read are left out and named.

    Args:
        videos: of `mgm.data.annotations.load_set`.
        shard_size: MiB of video after which a shard is full.
        progress: called with the path of each video.

    Raises:
        DataError: `out` holds shards of another set, or the set is packed already.
        VideoError: `out` cannot be written.
    """
    if shard_size < 1:
        raise DataError(f"shard size: {shard_size} MiB, expected 1 or more; 1024 is usual")
    folder = Path(out)
    report = PackReport()
    for number, sources in enumerate(_divided(_sources(videos, report), shard_size * MEBI)):
        shard = folder / f"shard-{number:06d}.tar"
        index = _existing(shard, sources)
        if index is None:
            index = _write_shard(shard, sources, progress)
        else:
            report.skipped += 1
        report.shards.append(shard)
        report.videos += len(index["samples"])
        report.bytes += shard.stat().st_size
        report.failed |= index["failed"]
    if not report.videos:
        first = next(iter(report.failed.values()), "the set is empty")
        raise DataError(f"{videos.root}: no video could be packed, expected at least one; the first: {first}")
    known = {
        "format": FORMAT,
        "classes": list(videos.classes),
        "split": videos.split,
        "videos": report.videos,
        "shards": [shard.name for shard in report.shards],
    }
    _write_json(folder / SET, known)
    return report


def _sources(videos: VideoSet, report: PackReport) -> list[_Source]:
    """The files of a set, each once, with all that is said of it; shuffled."""
    notes: dict[str, list[dict[str, Any]]] = {}
    sides = [("train", item) for item in videos.train] + [("test", item) for item in videos.test]
    for number, (side, item) in enumerate(sides):
        notes.setdefault(item.path, []).append(_note(number, side, item, videos.classes))
    above = common_folder(list(notes))
    found = []
    for number, (path, said) in enumerate(notes.items()):
        if parse_member(path) is not None or is_url(path):
            raise DataError(f"{videos.root}: found {path}, expected files to pack; it is packed already")
        try:
            state = Path(path).stat()
        except OSError as error:
            report.failed[path] = f"{path}: cannot be read ({error.strerror}); left out"
            continue
        found.append(_Source(f"{number:08d}", Path(path), path[above:], state.st_size, state.st_mtime_ns, said))
    random.Random(0).shuffle(found)
    return found


def _note(number: int, side: str, item: VideoItem, classes: Sequence[str]) -> dict[str, Any]:
    name = None if item.label is None or not classes else classes[item.label]
    return {"number": number, "split": side, "label": item.label, "class": name, "start": item.start, "end": item.end}


def _divided(sources: list[_Source], most: int) -> Iterator[list[_Source]]:
    shard: list[_Source] = []
    size = 0
    for source in sources:
        if shard and size + source.size > most:
            yield shard
            shard, size = [], 0
        shard.append(source)
        size += source.size
    if shard:
        yield shard


def _existing(shard: Path, sources: list[_Source]) -> dict[str, Any] | None:
    """The index of a shard that is there, whole; None where it is to be written."""
    try:
        index: dict[str, Any] = json.loads(shard.with_name(index_name(shard.name)).read_text(encoding="utf-8"))
        there = index["bytes"] == shard.stat().st_size
    except (OSError, ValueError, KeyError):
        return None
    failed = set(index["failed"])  # these may have changed: they are tried again
    before = [told for told, source in zip(index["sources"], sources, strict=False) if str(source.path) not in failed]
    now = [source.identity for source in sources if str(source.path) not in failed]
    if len(index["sources"]) != len(sources) or before != now:
        raise DataError(
            f"{shard}: holds other videos than this set would put there, or older states of them; give another folder, or "
            "remove this one"
        )
    return index if there and not index["failed"] else None


def _write_shard(shard: Path, sources: list[_Source], progress: Callable[[str], None] | None) -> dict[str, Any]:
    samples, failed = [], {}
    with atomic_write(shard) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for source in sources:
            begun = tar.offset
            try:
                samples.append(_add(tar, file, source))
            except VideoError as error:
                failed[str(source.path)] = str(error)
                _forget(tar, file, begun)
            if progress is not None:
                progress(str(source.path))
    index = {
        "format": FORMAT,
        "bytes": shard.stat().st_size,
        "samples": samples,
        "failed": failed,
        "sources": [source.identity for source in sources],
    }
    _write_json(shard.with_name(index_name(shard.name)), index)
    return index


def _add(tar: tarfile.TarFile, file: BinaryIO, source: _Source) -> dict[str, Any]:
    """Add the members of one video. Returns its line of the index."""
    info = probe(source.path)
    parts: list[tuple[str, str, _Content | bytes]] = []
    told = {"name": source.name, "info": asdict(info), "annotations": source.annotations}
    content = _Content(source)
    with content.file:
        parts.append(("video", source.path.suffix.lower() or ".video", content))
        parts.append(("json", ".json", json.dumps(told).encode()))
        if len(source.annotations) == 1 and source.annotations[0]["label"] is not None:
            parts.append(("label", ".cls", str(source.annotations[0]["label"]).encode()))
        if (motion := _sidecar(source.path)) is not None:
            parts.append(("motion", sidecar_path(source.path).suffix, motion))
        members = {what: _member(tar, file, source, suffix, data) for what, suffix, data in parts}
        content.check()
    return {"key": source.key, **told, "modified": source.modified, "members": members}


def _sidecar(video: Path) -> bytes | None:
    """The bytes of the motion that is kept beside a video; None where there is none that is true of it."""
    if open_sidecar(video) is None:
        return None
    try:
        return sidecar_path(video).read_bytes()
    except OSError:  # it was taken away meanwhile
        return None


def _forget(tar: tarfile.TarFile, file: BinaryIO, begun: int) -> None:
    """Take back what was written of a video that cannot be read to its end."""
    file.seek(begun)
    file.truncate()
    tar.offset = begun


class _Content:
    """The bytes of a video for `tarfile`, which would take one that others write to for a fault of the shard.

    Raises:
        VideoError: it cannot be read, or is not any more what it was when the shards were divided.
    """

    def __init__(self, source: _Source) -> None:
        self._source = source
        try:
            self.file = source.path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        try:
            data = self.file.read(size)
        except OSError as error:
            raise self._unreadable(error) from error
        if len(data) < size:
            raise self._changed()
        return data

    def check(self) -> None:
        """Raise where the file was written to since its size and time were looked up."""
        state = os.fstat(self.file.fileno())
        if (state.st_size, state.st_mtime_ns) != (self._source.size, self._source.modified):
            raise self._changed()

    def _changed(self) -> VideoError:
        size = os.fstat(self.file.fileno()).st_size
        return VideoError(
            f"{self._source.path}: changed while it was packed ({self._source.size} bytes, then {size}), expected a file that "
            "nobody writes to; left out: run it again when it is complete"
        )

    def _unreadable(self, error: OSError) -> VideoError:
        return VideoError(f"{self._source.path}: cannot be read ({error.strerror}); left out")


def _member(
    tar: tarfile.TarFile, file: BinaryIO, source: _Source, suffix: str, content: _Content | bytes
) -> tuple[int, int]:
    """Add one member; where its bytes are."""
    header = tarfile.TarInfo(source.key + suffix)
    header.size = len(content) if isinstance(content, bytes) else source.size
    header.mtime = source.modified // 10**9
    offset = file.tell() + HEADER
    tar.addfile(header, io.BytesIO(content) if isinstance(content, bytes) else content)  # type: ignore[arg-type]  # it only reads
    return offset, header.size


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content).encode())
