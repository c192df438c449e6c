"""Packs a set of many small files into a few tar shards in the layout of WebDataset, with an index beside each."""

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
from mgm.data.shards.index import SHARDS_FILE, SHARDS_FORMAT, index_name
from mgm.data.shards.members import ByteRange, parse_member
from mgm.errors import DataError, VideoError
from mgm.files.atomic import atomic_write
from mgm.video.container.locator import is_url
from mgm.video.container.metadata import read_video_info
from mgm.video.motion.cache import open_sidecar, sidecar_path

MEBI = 2**20
_TAR_HEADER = 512
"""Bytes of the header before a tar member; names here are short enough for one."""


@dataclass(slots=True)
class PackReport:
    """Result of `pack_set`.

    Attributes:
        shards: paths of the shards. skipped: number of them that existed already.
        videos: number of videos in the shards. bytes: size of the tar files.
        failed: path -> error, of the videos that were left out.
    """

    shards: list[Path] = field(default_factory=list)
    skipped: int = 0
    videos: int = 0
    bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _PackedFile:
    """A file to pack, with its annotations."""

    key: str
    path: Path
    name: str
    size: int
    modified: int
    annotations: list[dict[str, Any]]

    @property
    def identity(self) -> list[Any]:
        """Values that must not have changed for a shard to be kept."""
        return [self.key, self.name, self.size, self.modified, self.annotations]


def pack_set(
    videos: VideoSet,
    out: str | Path,
    *,
    shard_size: int = 1024,
    progress: Callable[[str], None] | None = None,
) -> PackReport:
    """Write a set as tar shards: `KEY.mp4` (bytes unchanged), `KEY.json`, and `KEY.mgmv` if there is a motion sidecar.

    Each shard appears when it is complete, its index after it, and the set's `shards.json` last. A second call after an
    interruption skips the shards that exist. Samples are shuffled once, so that a stream of the shards mixes all classes. Videos
    that cannot be read are left out and reported.

    Args:
        videos: as from `load_set`.
        shard_size: MiB of video per shard.
        progress: called with the path of each video.

    Raises:
        DataError: `out` contains shards of another set, or the set is packed already.
        FileError: `out` cannot be written.
    """
    if shard_size < 1:
        raise DataError("shard size", f"{shard_size} MiB", "1 or more", "1024 is usual", reason="invalid_value")
    folder = Path(out)
    report = PackReport()
    for number, files in enumerate(_divided(_files_of(videos, report), shard_size * MEBI)):
        shard = folder / f"shard-{number:06d}.tar"
        index = _read_existing(shard, files)
        if index is None:
            index = _write_shard(shard, files, progress)
        else:
            report.skipped += 1
        report.shards.append(shard)
        report.videos += len(index["samples"])
        report.bytes += shard.stat().st_size
        report.failed |= index["failed"]
    if not report.videos:
        first = next(iter(report.failed.values()), None)
        raise DataError(
            videos.root,
            "no video could be packed" if first else "no videos",
            "at least one",
            f"first error: {first}" if first else "",
            reason="missing_value" if first is None else "unreadable",
        )
    content = {
        "format": SHARDS_FORMAT,
        "classes": list(videos.classes),
        "split": videos.split_rule,
        "videos": report.videos,
        "shards": [shard.name for shard in report.shards],
    }
    _write_json(folder / SHARDS_FILE, content)
    return report


def _files_of(videos: VideoSet, report: PackReport) -> list[_PackedFile]:
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
        except OSError as error:
            report.failed[path] = _cannot_be_read(path, error).line
            continue
        files.append(_PackedFile(f"{number:08d}", Path(path), path[prefix:], state.st_size, state.st_mtime_ns, of_file))
    random.Random(0).shuffle(files)
    return files


def _annotation(number: int, split: str, item: VideoItem, classes: Sequence[str]) -> dict[str, Any]:
    name = None if item.label is None or not classes else classes[item.label]
    return {"number": number, "split": split, "label": item.label, "class": name, "start": item.start, "end": item.end}


def _divided(files: list[_PackedFile], max_bytes: int) -> Iterator[list[_PackedFile]]:
    """Divide the files into shards of at most `max_bytes`; a larger file is a shard of its own."""
    shard: list[_PackedFile] = []
    size = 0
    for file in files:
        if shard and size + file.size > max_bytes:
            yield shard
            shard, size = [], 0
        shard.append(file)
        size += file.size
    if shard:
        yield shard


def _read_existing(shard: Path, files: list[_PackedFile]) -> dict[str, Any] | None:
    """The index of a shard that exists and is complete; None if it must be written.

    Raises:
        DataError: the shard contains other videos.
    """
    try:
        index: dict[str, Any] = json.loads(shard.with_name(index_name(shard.name)).read_text(encoding="utf-8"))
        complete = index["bytes"] == shard.stat().st_size
    except (OSError, ValueError, KeyError):
        return None
    failed = set(index["failed"])  # these may have changed: they are tried again
    before = [old for old, file in zip(index["sources"], files, strict=False) if str(file.path) not in failed]
    now = [file.identity for file in files if str(file.path) not in failed]
    if len(index["sources"]) != len(files) or before != now:
        raise DataError(
            shard,
            "exists with other videos, or with older versions of them",
            advice="choose another folder, or remove this one",
            reason="exists",
        )
    return index if complete and not index["failed"] else None


def _write_shard(shard: Path, files: list[_PackedFile], progress: Callable[[str], None] | None) -> dict[str, Any]:
    """Write one shard and its index. Returns the index."""
    samples, failed = [], {}
    with atomic_write(shard) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            start = tar.offset
            try:
                samples.append(_add_video(tar, out, file))
            except VideoError as error:
                failed[str(file.path)] = error.line
                _truncate(tar, out, start)
            if progress is not None:
                progress(str(file.path))
    index = {
        "format": SHARDS_FORMAT,
        "bytes": shard.stat().st_size,
        "samples": samples,
        "failed": failed,
        "sources": [file.identity for file in files],
    }
    _write_json(shard.with_name(index_name(shard.name)), index)
    return index


def _add_video(tar: tarfile.TarFile, out: BinaryIO, file: _PackedFile) -> dict[str, Any]:
    """Add the members of one video. Returns its entry of the index."""
    info = read_video_info(file.path)
    description = {"name": file.name, "info": asdict(info), "annotations": file.annotations}
    content = _VideoBytes(file)
    members: dict[str, ByteRange] = {}
    with content.file:
        members["video"] = _add_member(tar, out, file, file.path.suffix.lower() or ".video", content)
        members["json"] = _add_member(tar, out, file, ".json", json.dumps(description).encode())
        if len(file.annotations) == 1 and file.annotations[0]["label"] is not None:
            label = str(file.annotations[0]["label"]).encode()
            members["label"] = _add_member(tar, out, file, ".cls", label)
        if (motion := _read_sidecar(file.path)) is not None:
            members["motion"] = _add_member(tar, out, file, sidecar_path(file.path).suffix, motion)
        content.check()
    return {"key": file.key, **description, "modified": file.modified, "members": members}


def _read_sidecar(video: Path) -> bytes | None:
    """The bytes of a video's motion sidecar; None without a valid one."""
    if open_sidecar(video) is None:
        return None
    try:
        return sidecar_path(video).read_bytes()
    except OSError:  # removed meanwhile
        return None


def _truncate(tar: tarfile.TarFile, out: BinaryIO, start: int) -> None:
    """Remove the members of a video that could not be read to its end."""
    out.seek(start)
    out.truncate()
    tar.offset = start


class _VideoBytes:
    """The bytes of a video, as a file for `tarfile`. A video that changes meanwhile is an error of the video, not of the shard.

    Raises:
        VideoError: the video cannot be read, or changed since the shards were divided.
    """

    def __init__(self, file: _PackedFile) -> None:
        self._expected = file
        try:
            self.file = file.path.open("rb")
        except OSError as error:
            raise _cannot_be_read(file.path, error) from error

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        try:
            data = self.file.read(size)
        except OSError as error:
            raise _cannot_be_read(self._expected.path, error) from error
        if len(data) < size:
            raise self._changed()
        return data

    def check(self) -> None:
        """Raise if the file was written to since its size and time were looked up."""
        state = os.fstat(self.file.fileno())
        if (state.st_size, state.st_mtime_ns) != (self._expected.size, self._expected.modified):
            raise self._changed()

    def _changed(self) -> VideoError:
        size = os.fstat(self.file.fileno()).st_size
        return VideoError(
            self._expected.path,
            f"changed while it was packed ({self._expected.size} bytes, then {size}); left out",
            advice="pack the set again when the file is complete",
            reason="conflict",
        )


def _cannot_be_read(path: str | Path, error: OSError) -> VideoError:
    return VideoError(path, f"cannot be read ({error.strerror}); left out", reason="unreadable")


def _add_member(
    tar: tarfile.TarFile, out: BinaryIO, file: _PackedFile, suffix: str, content: _VideoBytes | bytes
) -> ByteRange:
    """Add one member. Returns the range of its bytes in the shard."""
    header = tarfile.TarInfo(file.key + suffix)
    header.size = len(content) if isinstance(content, bytes) else file.size
    header.mtime = file.modified // 10**9
    offset = out.tell() + _TAR_HEADER
    tar.addfile(header, io.BytesIO(content) if isinstance(content, bytes) else content)  # type: ignore[arg-type]  # it only reads
    return ByteRange(offset, header.size)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content).encode())
