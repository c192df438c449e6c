"""Reads single videos of tar shards, from disk or over the network, by a path that contains their byte range."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import parse_qsl, quote, urlencode

from mgm.errors import VideoError
from mgm.video import VideoReader
from mgm.video.container.locator import is_url
from mgm.video.container.metadata import VideoInfo
from mgm.video.motion.cache import sidecar_from_bytes

MAX_WHOLE_BYTES = 32 * 2**20
"""Up to this size a video is read at once, over a network with one request. Of a larger one only the parts for a clip are read."""

_MAX_ATTEMPTS = 3
"""Attempts to read from a server."""
RETRY_SECONDS = 0.5
"""Seconds before the second attempt, doubled before each further one."""

_MEMBER = re.compile(
    r"\.tar#offset=\d{1,18}&size=\d{1,18}&name=[^#&]*(?:&motion=\d{1,18}\+\d{1,18}&modified=-?\d{1,19})?"
    r"&info=\d{1,9}x\d{1,9}x\d{1,9}x[01]x\d{1,9}$",
    re.ASCII,
)
"""Every field as `ShardMember` writes it: a list of others may contain anything."""


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
        fields: dict[str, str | int] = {"offset": self.video.offset, "size": self.video.size, "name": self.name}
        if self.motion is not None:
            fields |= {"motion": f"{self.motion.offset}+{self.motion.size}", "modified": self.modified}
        info = self.info
        fields["info"] = f"{info.frames}x{info.height}x{info.width}x{int(info.motion)}x{info.step}"
        return f"{self.tar}#{urlencode(fields, safe='/+', quote_via=quote)}"

    @property
    def title(self) -> str:
        """Shard and name, for people."""
        return f"{self.tar}: {self.name}"


def parse_member(path: str) -> ShardMember | None:
    """Parse the path of a shard's video; None for any other path."""
    if _MEMBER.search(path) is None:
        return None
    tar, _, rest = path.rpartition("#")
    fields = dict(parse_qsl(rest.replace("+", "%2B"), keep_blank_values=True))
    frames, height, width, has_motion, step = map(int, fields["info"].split("x"))
    motion = ByteRange(*map(int, fields["motion"].split("+"))) if "motion" in fields else None
    return ShardMember(
        tar,
        fields["name"],
        ByteRange(int(fields["offset"]), int(fields["size"])),
        VideoInfo(frames, height, width, bool(has_motion), step),
        motion,
        int(fields["modified"]) if motion else 0,
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
    with _open_member(member) as file, VideoReader(file, sidecar=sidecar) as reader:
        yield reader


def read_range(tar: str, part: ByteRange, title: str) -> bytes:
    """Read a part of a shard. Requests that fail are repeated `_MAX_ATTEMPTS` - 1 times.

    Args:
        title: name of the video, for errors.

    Raises:
        VideoError: the shard cannot be read or is too short, or the server ignores ranges.
    """
    for attempt in range(_MAX_ATTEMPTS):
        try:
            data = _request(tar, part)
        except Exception as error:  # every file system of fsspec has its own errors
            if attempt == _MAX_ATTEMPTS - 1 or not is_url(tar) or isinstance(error, FileNotFoundError | ImportError):
                raise _unreadable(title, error) from error
            time.sleep(RETRY_SECONDS * 2**attempt)
        else:
            break
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


def _request(tar: str, part: ByteRange) -> bytes:
    if not is_url(tar):
        with Path(tar).open("rb") as file:
            file.seek(part.offset)
            return file.read(part.size)
    from fsspec.core import url_to_fs

    files, path = url_to_fs(tar)
    data: bytes = files.cat_file(path, start=part.offset, end=part.offset + part.size)
    return data


def _unreadable(title: str, error: Exception) -> VideoError:
    """The error of a shard that cannot be opened or read."""
    return VideoError(
        title,
        f"shard cannot be read ({type(error).__name__}: {error})",
        advice="check the shard and the connection",
        reason="unreadable",
    )


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


def _open_member(member: ShardMember) -> BinaryIO:
    if member.video.size <= MAX_WHOLE_BYTES:
        return _NamedBytes(read_range(member.tar, member.video, member.title), member.title)
    try:
        if is_url(member.tar):
            from fsspec.core import url_to_fs

            files, path = url_to_fs(member.tar)
            file = files.open(path, "rb")
        else:
            file = open(member.tar, "rb")  # noqa: SIM115, PTH123  # closed with the part
    except Exception as error:
        raise _unreadable(member.title, error) from error
    return cast(BinaryIO, io.BufferedReader(_PartOfFile(file, member.video, member.title), 1 << 16))
