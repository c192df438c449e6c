"""A cache of motion beside a video: every frame's field, lossless, read in blocks without touching the video's stream.

    head | block 0 | block 1 | ... | index | tail

A block holds 32 frames as one zstandard frame with its checksum; the index holds what is known of all frames and where the blocks
are; the tail says where the index is, so that a file is written in one go and a truncated one shows.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.files.atomic import atomic_write
from mgm.version import VERSION as MGM_VERSION
from mgm.video.container.locator import is_url
from mgm.video.container.stream import no_frame, no_vectors, open_video
from mgm.video.motion.cache_format import (
    UnreadableError,
    decompress,
    most_packed,
    pack,
    shuffled,
    unpack,
    unshuffled,
    zstandard_package,
)
from mgm.video.motion.field import Reading, VectorField, grid_shape
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion

CACHE_VERSION = 2
"""Goes up when the layout changes, or when the same stream gives other fields than before."""

BLOCK = 32
"""Frames compressed together: a clip of 16 x 4 frames needs two or three blocks."""

LEVEL = 9
"""zstandard's. Measured on nine real clips: level 3 makes files 1.05 to 1.2 times as large; level 19 takes off a tenth to a sixth,
and several times as long as decoding the video."""

_MAGIC = b"MGMV"
_HEAD = struct.Struct("<4sHxx")
_TAIL = struct.Struct("<QQ4s4x")
_EDGE = 65536
_MOST_INDEX = 1 << 28


class DamagedSidecarError(VideoError):
    """A block of a sidecar does not hold what was written into it. Read the motion from the video instead."""


class _UnusableError(Exception):
    """Why there is no sidecar to use."""


@dataclass(frozen=True, slots=True, eq=False)
class Sidecar:
    """The fields of a whole video, as `iter_frame_motion` yields them with the reading "clean", bit for bit.

    Attributes:
        path: the sidecar's file, which stays mapped into memory as long as this object lives; or what errors call its bytes.
        extent: (height, width) of the coded frame in pixels; fields are not turned upright.
        pts: float64 (frames,), seconds, NaN where nothing tells it.
        kinds: a letter per frame: "I", "P" or "B".
        key: bool (frames,), decoding can start there.
    """

    path: Path
    extent: tuple[int, int]
    pts: npt.NDArray[np.float64]
    kinds: str
    key: npt.NDArray[np.bool_]
    _bytes: mmap.mmap | bytes = dataclasses.field(repr=False)
    _offsets: npt.NDArray[np.int64] = dataclasses.field(repr=False)

    @property
    def frames(self) -> int:
        """Frames of the video."""
        return len(self.pts)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of 8-px cells."""
        return grid_shape(*self.extent)

    def read(self, first: int, last: int) -> VectorField:
        """The displacements since the previous frame, (n, gh, gw), of frames `first` to `last`, both included; gaps not filled.

        Only the blocks that contain them are decompressed.

        Raises:
            VideoError: there are no such frames.
            DamagedSidecarError: a block is damaged.
        """
        if not 0 <= first <= last < self.frames:
            raise VideoError(
                f"{self.path}: frames {first} to {last} asked for, expected a range within 0 to {self.frames - 1}"
            )
        field = VectorField.empty((last - first + 1, *self.grid))
        for block in range(first // BLOCK, last // BLOCK + 1):
            start = block * BLOCK
            begin, end = max(first, start), min(last + 1, start + BLOCK)
            stored = self._block(block)
            field.vectors[begin - first : end - first] = stored.vectors[begin - start : end - start]
            field.valid[begin - first : end - first] = stored.valid[begin - start : end - start]
        return field

    def _block(self, block: int) -> VectorField:
        shape = (min(BLOCK, self.frames - block * BLOCK), *self.grid)
        data = self._bytes[self._offsets[block] : self._offsets[block + 1]]
        try:
            return unpack(decompress(data, most_packed(shape)), shape)
        except (UnreadableError, ValueError, IndexError, struct.error) as error:
            raise DamagedSidecarError(
                f"{self.path}: block {block} is damaged ({error}); delete the file and build it again"
            ) from None


def sidecar_path(video_path: str | Path, folder: str | Path | None = None) -> Path:
    """Where the sidecar of a video is: beside it as `NAME.EXT.mgmv`, or in `folder` as `NAME.EXT.HASH.mgmv`.

    It is no hidden file: it takes room, and whoever owns the folder should see what does. The hash is of the video's absolute
    path, since class folders often number their files alike; a folder of sidecars therefore serves videos that stay where they are.
    """
    video = Path(video_path)
    if folder is None:
        return video.with_name(f"{video.name}.mgmv")
    place = blake2b(os.path.realpath(video).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return Path(folder) / f"{video.name}.{place}.mgmv"


def build_sidecar(video_path: str | Path, folder: str | Path | None = None, *, level: int = LEVEL) -> Path:
    """Read the motion of a whole video once and keep it; returns the sidecar's path.

    Memory stays flat whatever the length: 32 frames are held, and about ten bytes per frame. The file appears when it is whole and
    replaces an old one, so several processes may build it at once.

    Args:
        folder: see `sidecar_path`; made if missing.
        level: zstandard's, 1 (fast) to 19 (small).

    Raises:
        VideoError: unreadable video, a codec without exported vectors, a folder that cannot be written, no package zstandard.
    """
    if not 1 <= level <= 19:
        raise VideoError(f"{video_path}: compression level {level}, expected 1 to 19; {LEVEL} is usual")
    if is_url(video_path):
        raise VideoError(f"{video_path}: a sidecar is kept of files, expected a path; copy the video here first")
    path = sidecar_path(video_path, folder)
    compressor = zstandard_package().ZstdCompressor(level=level, write_checksum=True)
    # Before it is opened: a video that is replaced meanwhile then does not fit.
    identity = _identity(Path(video_path)) if Path(video_path).is_file() else {}
    with open_video(video_path, vectors=True, skip_loop_filter=True) as video:
        if not video.exports_vectors:
            raise no_vectors(video)
        with atomic_write(path) as file:
            file.write(_HEAD.pack(_MAGIC, CACHE_VERSION))
            index = _Index()
            for block in _blocks(iter_frame_motion(video), video.name):
                index.offsets.append(file.tell())
                packed = pack(
                    VectorField(np.stack([f.field.vectors for f in block]), np.stack([f.field.valid for f in block]))
                )
                file.write(compressor.compress(packed))
                index.add(block)
            index.offsets.append(file.tell())
            context = video.stream.codec_context
            packed = compressor.compress(index.pack((context.height, context.width), identity, video.name))
            file.write(packed)
            file.write(_TAIL.pack(index.offsets[-1], len(packed), _MAGIC))
            if _changes(Path(video_path), identity):
                raise VideoError(
                    f"{video_path}: changed while its motion was read, expected a finished file; try again later"
                )
    return path


def open_sidecar(video_path: str | Path, folder: str | Path | None = None) -> Sidecar | None:
    """The sidecar of a video; None where there is none to use: `sidecar_problem` then says why. Never raises for a bad cache.

    A sidecar belongs to one state of its video: size, time of modification, and a hash of the first and last 64 KiB. Size and time
    catch a video rewritten in place; the hash one replaced by a tool that keeps times, since containers have their tables of
    packets at the beginning or end, and no two encodings have the same. A hash of everything would cost more than the motion.
    """
    try:
        return _open(Path(video_path), folder)
    except _UnusableError:
        return None


def sidecar_from_bytes(data: bytes, *, name: str, size: int, modified: int) -> Sidecar | None:
    """The sidecar that bytes from elsewhere hold; None where it cannot be used.

    Args:
        name: how errors call it.
        size, modified: bytes of the video that it must belong to, and when that was last changed, in ns.
    """
    try:
        sidecar, known = _parsed(Path(name), data)
    except _UnusableError:
        return None
    same = (known.get("size"), known.get("modified")) == (size, modified)
    return sidecar if same else None


def sidecar_problem(video_path: str | Path, folder: str | Path | None = None, *, blocks: bool = False) -> str | None:
    """Why `open_sidecar` gives None, in one line; None where all is well.

    Args:
        blocks: check every block as well, which reads the whole sidecar.
    """
    try:
        sidecar = _open(Path(video_path), folder)
        if blocks:
            for block in range(len(sidecar._offsets) - 1):
                sidecar._block(block)
    except (_UnusableError, DamagedSidecarError) as error:
        return str(error)
    return None


def iter_cached_motion(
    video_path: str | Path, *, reading: Reading = "clean", folder: str | Path | None = None
) -> Iterator[FrameMotion]:
    """Yield the field of every frame of a video in display order: from its sidecar where there is a good one, else from the stream.

    Raises:
        VideoError: unreadable or damaged video.
    """
    sidecar = open_sidecar(video_path, folder) if reading == "clean" else None
    done = 0
    while sidecar is not None and done < sidecar.frames:
        try:
            stored = sidecar.read(done, min(done + BLOCK, sidecar.frames) - 1)
        except DamagedSidecarError:  # the stream has the rest
            sidecar = None
            break
        for i in range(len(stored)):
            yield FrameMotion(done, float(sidecar.pts[done]), sidecar.kinds[done], bool(sidecar.key[done]), stored[i])
            done += 1
    if sidecar is None:
        with open_video(video_path, vectors=True, skip_loop_filter=True) as video:
            yield from islice(iter_frame_motion(video, reading=reading), done, None)


def _open(video: Path, folder: str | Path | None) -> Sidecar:
    path = sidecar_path(video, folder)
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # mmap refuses an empty file by ValueError
        reason = getattr(error, "strerror", None) or "the file is empty"
        raise _UnusableError(f"{path}: cannot be read ({reason})") from None
    sidecar, known = _parsed(path, data)
    try:
        changed = _changes(video, known)
    except KeyError as error:
        raise _UnusableError(f"{path}: its index is damaged ({error})") from None
    if changed:
        raise _UnusableError(f"{path}: of another state of the video (changed: {', '.join(changed)})")
    return sidecar


def _parsed(path: Path, data: mmap.mmap | bytes) -> tuple[Sidecar, Mapping[str, int | str]]:
    """The sidecar, and by what it knows its video."""
    try:
        zstandard_package()
    except VideoError as error:
        raise _UnusableError(str(error)) from None
    if len(data) < _HEAD.size + _TAIL.size or data[: len(_MAGIC)] != _MAGIC:
        raise _UnusableError(f"{path}: no sidecar of motion")
    version = _HEAD.unpack_from(data)[1]
    if version != CACHE_VERSION:
        raise _UnusableError(f"{path}: of version {version}, expected {CACHE_VERSION}")
    start, size, magic = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    if magic != _MAGIC or start + size + _TAIL.size != len(data):
        raise _UnusableError(f"{path}: truncated or damaged")
    try:
        packed = decompress(data[start : start + size], _MOST_INDEX)
        known, offsets, pts, kinds, key = _unpack_index(packed)
        extent = (int(known["extent"][0]), int(known["extent"][1]))
        identity: Mapping[str, int | str] = dict(known["video"])
    except (UnreadableError, ValueError, KeyError, TypeError, IndexError) as error:
        raise _UnusableError(f"{path}: its index is damaged ({error})") from None
    return Sidecar(path, extent, pts, kinds, key, data, offsets), identity


def _identity(video: Path) -> dict[str, int | str]:
    state = video.stat()
    with video.open("rb") as file:
        content = file.read(_EDGE)
        file.seek(max(state.st_size - _EDGE, 0))
        content += file.read(_EDGE)
    return {
        "size": state.st_size,
        "modified": state.st_mtime_ns,
        "content": blake2b(content, digest_size=16).hexdigest(),
    }


def _changes(video: Path, identity: Mapping[str, int | str]) -> list[str]:
    """What of a video is not as it was."""
    try:
        return [name for name, value in _identity(video).items() if identity[name] != value]
    except OSError as error:
        return [error.strerror or "unreadable"]


def _blocks(fields: Iterator[FrameMotion], name: str) -> Iterator[list[FrameMotion]]:
    block: list[FrameMotion] = []
    grid: tuple[int, ...] | None = None
    for each in fields:
        grid = grid or each.field.valid.shape
        if each.field.valid.shape != grid:
            raise VideoError(
                f"{name}: the size changes at frame {each.index} from {grid} to {each.field.valid.shape} cells, "
                "expected one size; re-encode it"
            )
        block.append(each)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


@dataclass(slots=True)
class _Index:
    """What is known of all frames, gathered as they pass."""

    offsets: list[int] = dataclasses.field(default_factory=list)
    pts: list[float] = dataclasses.field(default_factory=list)
    kinds: list[str] = dataclasses.field(default_factory=list)
    key: list[bool] = dataclasses.field(default_factory=list)

    def add(self, block: list[FrameMotion]) -> None:
        """Note the frames of a block."""
        self.pts += [f.pts for f in block]
        self.kinds += [f.kind for f in block]
        self.key += [f.key for f in block]

    def pack(self, extent: tuple[int, int], identity: dict[str, int | str], name: str) -> bytes:
        """What stands behind the blocks, before compression."""
        if not self.pts:
            raise no_frame(name)
        known = {"mgm": MGM_VERSION, "frames": len(self.pts), "extent": extent, "video": identity}
        parts = [json.dumps(known).encode() + b"\n", np.array(self.offsets, "<i8").tobytes()]
        parts += [shuffled(np.array(self.pts, "<f8")), "".join(self.kinds).encode(), np.packbits(self.key).tobytes()]
        return b"".join(parts)


def _unpack_index(
    data: bytes,
) -> tuple[Mapping[str, Any], npt.NDArray[np.int64], npt.NDArray[np.float64], str, npt.NDArray[np.bool_]]:
    """(what is known, offsets of the blocks, pts, kinds, key) of `_Index.pack`."""
    place = data.index(b"\n") + 1
    known = json.loads(data[:place])
    frames = int(known["frames"])
    offsets = np.frombuffer(data, "<i8", -(-frames // BLOCK) + 1, place)
    place += offsets.nbytes
    pts = unshuffled(data[place : place + 8 * frames], np.dtype("<f8"))
    place += pts.nbytes
    kinds = data[place : place + frames].decode()
    key = np.unpackbits(np.frombuffer(data, np.uint8, offset=place + frames), count=frames).astype(np.bool_)
    return known, offsets, pts, kinds, key
