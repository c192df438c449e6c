"""Reads single videos of tar shards, from disk or over the network, by a path that contains their byte range."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import quote, unquote

from mgm.errors import VideoError
from mgm.video import VideoReader
from mgm.video.container.locator import cannot_open, check_file, is_url
from mgm.video.container.metadata import VideoInfo
from mgm.video.container.remote import open_remote, read_remote
from mgm.video.motion.cache import sidecar_from_bytes

MOST_WHOLE_BYTES = 32 * 2**20
"""Up to this size a video is read at once, over a network with one request. Of a larger one only the parts for a clip are read."""

_MEMBER = re.compile(
    r"(?P<tar>.+\.tar)#offset=(\d{1,18})&size=(\d{1,18})&name=(?P<name>[^#&]+)(?:&motion=(\d{1,18})\+(\d{1,18})&modified=(-?\d{1,19}))?"
    r"&info=([1-9]\d{0,8})x([1-9]\d{0,8})x([1-9]\d{0,8})x([01])x([1-9]\d{0,8})",
    re.ASCII | re.DOTALL,
)


class ByteRange(NamedTuple):
    """A part of a tar file, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ShardMember:
    """One video of a shard.

    Attributes:
        tar: path or URL of the shard.
        name: name of the file that was packed, relative to the folder of its set.
        video: its bytes.
        info: its metadata.
        motion: bytes of its motion sidecar; None without one.
        modified: modification time of the packed file, in ns; the sidecar is valid for this file only.
    """

    tar: str
    name: str
    video: ByteRange
    info: VideoInfo
    motion: ByteRange | None = None
    modified: int = 0

    def __str__(self) -> str:
        """The path of the video in a `VideoSet`; `parse_member` parses it."""
        # Not urlencode: the index of a million videos is read in half the time.
        info, name = self.info, quote(self.name, safe="/+", errors="surrogateescape")
        motion = (
            "" if self.motion is None else f"&motion={self.motion.offset}+{self.motion.size}&modified={self.modified}"
        )
        return (
            f"{self.tar}#offset={self.video.offset}&size={self.video.size}&name={name}{motion}"
            f"&info={info.frames}x{info.height}x{info.width}x{int(info.motion)}x{info.step}"
        )

    @property
    def title(self) -> str:
        """Shard and name, for people."""
        return f"{self.tar}: {self.name}"


def parse_member(path: str) -> ShardMember | None:
    """Parse the path of a shard's video; None for any other path."""
    match = _MEMBER.fullmatch(path)
    if match is None:
        return None
    tar, name = match["tar"], unquote(match["name"], errors="surrogateescape")
    _, offset, size, _, start, length, modified, *info = match.groups()
    frames, height, width, has_motion, step = map(int, info)
    return ShardMember(
        tar,
        name,
        ByteRange(int(offset), int(size)),
        VideoInfo(frames, height, width, bool(has_motion), step),
        ByteRange(int(start), int(length)) if start else None,
        int(modified or 0),
    )


def member_title(path: str) -> str:
    """The path of an item for people: shard and name for a shard's video, any other path unchanged."""
    member = parse_member(path)
    return path if member is None else member.title


@contextmanager
def open_item(path: str) -> Iterator[VideoReader]:
    """Open the video of an item: a file, or a member of a shard with its motion sidecar.

    Raises:
        VideoError: the shard cannot be read.
    """
    member = parse_member(path)
    if member is None:
        with VideoReader(path) as reader:
            yield reader
        return
    sidecar = None
    if member.motion is not None:
        stored = read_range(member.tar, member.motion, member.title)
        sidecar = sidecar_from_bytes(stored, name=member.title, size=member.video.size, modified=member.modified)
    with open_member(member) as file, VideoReader(file, sidecar=sidecar) as reader:
        yield reader


def read_range(tar: str, part: ByteRange, title: str) -> bytes:
    """Read a part of a shard.

    Args:
        title: name of the video, for errors.

    Raises:
        VideoError: the shard cannot be read or is too short, or the server ignores ranges.
    """
    if is_url(tar):
        data = read_remote(tar, title, start=part.offset, end=part.offset + part.size)
    else:
        with _open_local(tar, title) as file:
            file.seek(part.offset)
            data = file.read(min(part.size, os.fstat(file.fileno()).st_size))
    if len(data) > part.size:
        raise VideoError(
            title,
            f"{len(data)} bytes",
            f"{part.size}",
            "its server does not serve parts of files (HTTP Range): copy the shard, or use another server",
            reason="unsupported",
        )
    if len(data) < part.size:
        raise VideoError(
            title, f"shard truncated: {len(data)} bytes", f"{part.size}", "copy the shard again", reason="truncated"
        )
    return data


def _open_local(tar: str, title: str) -> BinaryIO:
    try:
        check_file(tar, "a shard")
        return Path(tar).open("rb")
    except VideoError as error:
        raise error.about(title) from error
    except OSError as error:
        raise cannot_open(title, error, "check the shard") from error


class _PartOfFile(io.RawIOBase):
    """A part of a file as a file of its own; `name` is its name in errors."""

    def __init__(self, file: BinaryIO, part: ByteRange, name: str) -> None:
        self._file, self._at, self.name = file, 0, name
        self._part = part

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._part.size}[whence]
        self._at = max(offset + base, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._part.size - self._at)
        if size <= 0:
            return 0
        self._file.seek(self._part.offset + self._at)
        data = self._file.read(size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _NamedBytes(io.BytesIO):
    """Bytes as a file; `name` is its name in errors."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def open_member(member: ShardMember) -> BinaryIO:
    """The bytes of a member's video, as a file whose name is the member's title.

    Raises:
        VideoError: the shard cannot be read or is too short.
    """
    if member.video.size <= MOST_WHOLE_BYTES:
        return _NamedBytes(read_range(member.tar, member.video, member.title), member.title)
    opened = open_remote if is_url(member.tar) else _open_local
    file = opened(member.tar, member.title)
    return cast(BinaryIO, io.BufferedReader(_PartOfFile(file, member.video, member.title), 1 << 16))
