"""Videos inside tar shards: a name that says which bytes they are, and reading just those, here or over the network."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, quote, urlencode

from mgm.errors import VideoError
from mgm.video import VideoReader
from mgm.video.container.locator import is_url
from mgm.video.container.metadata import VideoInfo
from mgm.video.motion.cache import sidecar_from_bytes

WHOLE = 32 * 2**20
"""Bytes up to which a video is read in one go: one request over a network. Of a larger one only what a clip needs is read."""

TRIES, PAUSE = 3, 0.5
"""How often a request that failed is made, and seconds before the second time, doubled before each further one."""

_MEMBER = re.compile(r"\.tar#offset=\d+&size=\d+&name=[^#]*&info=[\dx]+$")

Span = tuple[int, int]
"""(offset in the tar file, number of bytes)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One video of a shard.

    Attributes:
        tar: path or URL of the shard.
        name: of the file that was packed, below the folder of its set.
        video, motion: where its bytes are, and those of its motion sidecar, if it has one.
        modified: when the file was last changed, in ns: by it the sidecar knows its video.
        info: what is known of the video.
    """

    tar: str
    name: str
    video: Span
    info: VideoInfo
    motion: Span | None = None
    modified: int = 0

    def __str__(self) -> str:
        """The path by which a data set names it; `parse_member` reads it."""
        told: dict[str, str | int] = {"offset": self.video[0], "size": self.video[1], "name": self.name}
        if self.motion is not None:
            told |= {"motion": f"{self.motion[0]}+{self.motion[1]}", "modified": self.modified}
        info = self.info
        told["info"] = f"{info.frames}x{info.height}x{info.width}x{int(info.motion)}x{info.step}"
        return f"{self.tar}#{urlencode(told, safe='/+', quote_via=quote)}"


def parse_member(path: str) -> Member | None:
    """The video of a shard that a path names; None for any other path."""
    if _MEMBER.search(path) is None:
        return None
    tar, _, rest = path.rpartition("#")
    told = dict(parse_qsl(rest.replace("+", "%2B"), keep_blank_values=True))
    frames, height, width, motion, step = map(int, told["info"].split("x"))
    span = None
    if "motion" in told:
        offset, size = told["motion"].split("+")
        span = (int(offset), int(size))
    return Member(
        tar,
        told["name"],
        (int(told["offset"]), int(told["size"])),
        VideoInfo(frames, height, width, bool(motion), step),
        span,
        int(told["modified"]) if span else 0,
    )


def member_name(path: str) -> str:
    """How a path is shown to people: shard and name for the video of a shard, any other path as it is."""
    member = parse_member(path)
    return path if member is None else f"{member.tar}: {member.name}"


@contextmanager
def opened(path: str) -> Iterator[VideoReader]:
    """A reader of the video that the path of a set names: a file, or a member of a shard with the motion sidecar that it may have.

    Raises:
        VideoError: the shard cannot be read.
    """
    member = parse_member(path)
    if member is None:
        with VideoReader(path) as reader:
            yield reader
        return
    name = f"{member.tar}: {member.name}"
    sidecar = None
    if member.motion is not None:
        stored = read_span(member.tar, member.motion, name)
        sidecar = sidecar_from_bytes(stored, name=name, size=member.video[1], modified=member.modified)
    with _file(member, name) as file, VideoReader(file, sidecar=sidecar) as reader:
        yield reader


def read_span(tar: str, span: Span, name: str) -> bytes:
    """Bytes of a shard.

    Raises:
        VideoError: they are not there, or the server gives others.
    """
    offset, size = span
    for attempt in range(TRIES):
        try:
            data = _read(tar, offset, size)
        except Exception as error:  # every file system of fsspec has errors of its own
            if attempt == TRIES - 1 or not is_url(tar) or isinstance(error, FileNotFoundError | ImportError):
                raise VideoError(
                    f"{name}: the shard cannot be read ({type(error).__name__}: {error}); check it, and the connection"
                ) from error
            time.sleep(PAUSE * 2**attempt)
        else:
            break
    if len(data) != size:
        why = "its server does not serve parts of files (HTTP Range)" if len(data) > size else "the shard is truncated"
        raise VideoError(
            f"{name}: found {len(data)} bytes, expected {size}: {why}; copy the shard again, or serve it otherwise"
        )
    return data


def _read(tar: str, offset: int, size: int) -> bytes:
    if not is_url(tar):
        with Path(tar).open("rb") as file:
            file.seek(offset)
            return file.read(size)
    from fsspec.core import url_to_fs

    files, path = url_to_fs(tar)
    data: bytes = files.cat_file(path, start=offset, end=offset + size)
    return data


class _Part(io.RawIOBase):
    """A stretch of a file as a file of its own; `name` is how errors call it."""

    def __init__(self, file: BinaryIO, span: Span, name: str) -> None:
        self._file, self._at, self.name = file, 0, name
        self._offset, self._size = span

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence], 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._size - self._at)
        if size <= 0:
            return 0
        self._file.seek(self._offset + self._at)
        data = self._file.read(size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Bytes(io.BytesIO):
    """Bytes with a name that errors call them by."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _file(member: Member, name: str) -> BinaryIO:
    if member.video[1] <= WHOLE:
        return _Bytes(read_span(member.tar, member.video, name), name)
    try:
        if is_url(member.tar):
            from fsspec.core import url_to_fs

            files, path = url_to_fs(member.tar)
            file = files.open(path, "rb")
        else:
            file = open(member.tar, "rb")  # noqa: SIM115, PTH123  # closed with the part
    except Exception as error:
        raise VideoError(f"{name}: the shard cannot be opened ({error}); check it, and the connection") from error
    return cast(BinaryIO, io.BufferedReader(_Part(file, member.video, name), 1 << 16))
