"""One tar shard in the layout of WebDataset, with its index beside it."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mgm.data.shards.index import SHARDS_FORMAT, index_name
from mgm.data.shards.members import ByteRange
from mgm.errors import DataError, VideoError
from mgm.files.atomic import atomic_write
from mgm.files.json_text import read_json
from mgm.files.regular import open_regular
from mgm.video.container.metadata import read_video_info
from mgm.video.motion.cache import open_sidecar, sidecar_path
from mgm.workers.process import BeginItem, out_of_memory, report_progress

_TAR_HEADER = 512
"""Bytes of the header before a tar member; names here are short enough for one."""
_DESCRIPTION_SUFFIX, _LABEL_SUFFIX = ".json", ".cls"
_OTHER_SUFFIXES = (_DESCRIPTION_SUFFIX, _LABEL_SUFFIX, sidecar_path("video").suffix)
_ORDINARY_SUFFIX = re.compile(r"\.[0-9a-z]{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file to pack.

    Attributes:
        number: of the file in the set; its samples have it as their key.
        path, size, modified: where it is, its bytes, and the time of its last change in nanoseconds.
        name: below the folder of the set.
        annotations: the entries of the set that it holds.
    """

    number: int
    path: Path
    name: str
    size: int
    modified: int
    annotations: list[dict[str, Any]]

    @property
    def key(self) -> str:
        """The name of its members, without their suffixes."""
        return f"{self.number:08d}"

    @property
    def suffix(self) -> str:
        """That of the member with the bytes of the video: its own, unless another member has it, or it makes the name long."""
        own = self.path.suffix.lower()
        return own if _ORDINARY_SUFFIX.fullmatch(own) and own not in _OTHER_SUFFIXES else ".video"

    @property
    def identity(self) -> list[Any]:
        """Values that must not have changed for a shard to be kept."""
        return [self.key, self.name, self.size, self.modified, self.annotations]


@dataclass(frozen=True, slots=True)
class ShardJob:
    """A shard to write.

    Attributes:
        path: of the tar file.
        files: that it will contain, in their order.
    """

    path: Path
    files: list[PackedFile]


@dataclass(frozen=True, slots=True)
class PackedShard:
    """A shard that exists.

    Attributes:
        videos: number of them.
        bytes: size of the tar file.
        failed: path -> error, of the videos that were left out.
    """

    videos: int
    bytes: int
    failed: dict[str, str]


def find_shard(job: ShardJob) -> PackedShard | None:
    """A shard that exists and is complete; None if it must be written.

    Raises:
        DataError: it contains other videos.
    """
    try:
        with open_regular(job.path.with_name(index_name(job.path.name))) as file:
            index = read_json(file.read())
        complete = index["bytes"] == job.path.stat().st_size
        failed = set(index["failed"])  # these may have changed: they are tried again
        sources, videos = list(index["sources"]), len(index["samples"])
    except (OSError, ValueError, KeyError, TypeError):  # of an interrupted run, or no index of a shard
        return None
    before = [old for old, file in zip(sources, job.files, strict=False) if str(file.path) not in failed]
    now = [file.identity for file in job.files if str(file.path) not in failed]
    if len(sources) != len(job.files) or before != now:
        raise DataError(
            job.path,
            "exists with other videos, or with older versions of them",
            advice="choose another folder, or remove this one",
            reason="exists",
        )
    return PackedShard(videos, index["bytes"], {}) if complete and not failed else None


def write_shard(
    job: ShardJob, begin: BeginItem = lambda number: None, *, progress: Callable[[str], None] | None = None
) -> PackedShard:
    """Write a shard and its index. A video that cannot be read is left out.

    Args:
        begin: called with the number of each file before it is read; raises VideoError to leave it out.
        progress: called with the path of each file after it.

    Raises:
        FileError: the shard cannot be written.
    """
    samples, failed = [], {}
    with atomic_write(job.path) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in job.files:
            start = tar.offset
            try:
                begin(file.number)
                samples.append(_add_video(tar, out, file))
            except VideoError as error:
                failed[str(file.path)] = error.about(file.path).line
                _truncate(tar, out, start)
            except MemoryError:
                failed[str(file.path)] = out_of_memory(str(file.path)).line
                _truncate(tar, out, start)
            if progress is not None:
                progress(str(file.path))
    size = job.path.stat().st_size
    index = {
        "format": SHARDS_FORMAT,
        "bytes": size,
        "samples": samples,
        "failed": failed,
        "sources": [file.identity for file in job.files],
    }
    write_json(job.path.with_name(index_name(job.path.name)), index)
    return PackedShard(len(samples), size, failed)


def _add_video(tar: tarfile.TarFile, out: BinaryIO, file: PackedFile) -> dict[str, Any]:
    """Add the members of one video. Returns its entry of the index."""
    info = read_video_info(file.path)
    description = {"name": file.name, "info": asdict(info), "annotations": file.annotations}
    content = _VideoBytes(file)
    members: dict[str, ByteRange] = {}
    with content.file:
        members["video"] = _add_member(tar, out, file, file.suffix, content)
        members["json"] = _add_member(tar, out, file, _DESCRIPTION_SUFFIX, json.dumps(description).encode())
        if len(file.annotations) == 1 and file.annotations[0]["label"] is not None:
            label = str(file.annotations[0]["label"]).encode()
            members["label"] = _add_member(tar, out, file, _LABEL_SUFFIX, label)
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

    def __init__(self, file: PackedFile) -> None:
        self._expected = file
        try:
            self.file = open_regular(file.path)
        except OSError as error:
            raise cannot_be_read(file.path, error) from error

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        report_progress()
        try:
            data = self.file.read(size)
        except OSError as error:
            raise cannot_be_read(self._expected.path, error) from error
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


def cannot_be_read(path: str | Path, error: OSError | ValueError) -> VideoError:
    """The error of a file that is left out; ValueError: of a name that no file can have."""
    return VideoError.cannot_read(path, error, advice="left out")


def _add_member(
    tar: tarfile.TarFile, out: BinaryIO, file: PackedFile, suffix: str, content: _VideoBytes | bytes
) -> ByteRange:
    """Add one member. Returns the range of its bytes in the shard."""
    header = tarfile.TarInfo(file.key + suffix)
    header.size = len(content) if isinstance(content, bytes) else file.size
    header.mtime = file.modified // 10**9
    offset = out.tell() + _TAR_HEADER
    tar.addfile(header, io.BytesIO(content) if isinstance(content, bytes) else content)  # type: ignore[arg-type]  # it only reads
    return ByteRange(offset, header.size)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an index of a shard or of the set."""
    with atomic_write(path) as file:
        file.write(json.dumps(content).encode())
