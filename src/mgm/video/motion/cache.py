"""The motion cache of a video: a sidecar file with every frame's field, lossless, read in blocks without decoding the video.

    head | block 0 | block 1 | ... | index | tail

A block contains 32 frames as one zstandard frame with its checksum. The index contains the properties of all frames and the
offsets of the blocks. The tail contains the offset of the index, so that a file is written in one pass and truncation is detected.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.files.atomic import atomic_write
from mgm.files.json_text import read_json
from mgm.files.regular import open_regular
from mgm.version import VERSION as MGM_VERSION
from mgm.video.container.locator import is_url
from mgm.video.container.picture_size import OneSize
from mgm.video.container.stream import OpenVideo, no_frame, no_vectors, open_video
from mgm.video.motion.cache_format import (
    CorruptBytesError,
    decompress,
    most_packed,
    pack_fields,
    shuffled,
    unpack_fields,
    unshuffled,
    zstandard_package,
)
from mgm.video.motion.field import Reading, VectorField, grid_shape
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion

CACHE_VERSION = 2
"""Increased when the layout changes, or when the same stream yields other fields than before."""

BLOCK_FRAMES = 32
"""Frames compressed together: a clip of 16 x 4 frames needs two or three blocks."""

COMPRESSION_LEVEL = 9
"""zstandard's. Measured on nine real clips: level 3 makes files 1.05 to 1.2 times as large; level 19 saves a tenth to a sixth, and
takes several times as long as decoding the video."""

_MAGIC = b"MGMV"
_HEAD = struct.Struct("<4sHxx")
_TAIL = struct.Struct("<QQ4s4x")
_EDGE_BYTES = 65536
_LARGEST_INDEX = 1 << 28

StoredSource = Literal["codec", "raft"]
"""Motion that is stored: the codec's with the reading "clean", or RAFT's."""

_Identity = Mapping[str, int | str]
"""Size, time of modification and content hash of a video."""


class DamagedSidecarError(VideoError):
    """A block of a sidecar does not contain what was written into it. Read the motion from the video instead."""


class UnusableSidecarError(VideoError):
    """A sidecar is missing, not readable, or does not belong to its video."""


@dataclass(frozen=True, slots=True, eq=False)
class Sidecar:
    """The fields of a whole video: RAFT's, or those of `iter_frame_motion` with the reading "clean", bit for bit.

    Attributes:
        source: of the motion.
        path: the sidecar's file, mapped into memory as long as this object lives; or the name of its bytes in errors.
        extent: (height, width) of the coded frame in pixels; fields are not turned upright.
        pts_seconds: float64 (frames,), NaN if unknown.
        picture_types: a letter per frame: "I", "P" or "B".
        is_key: bool (frames,), decoding can start there.
    """

    source: StoredSource
    path: Path
    extent: tuple[int, int]
    pts_seconds: npt.NDArray[np.float64]
    picture_types: str
    is_key: npt.NDArray[np.bool_]
    _bytes: mmap.mmap | bytes = dataclasses.field(repr=False)
    _offsets: npt.NDArray[np.int64] = dataclasses.field(repr=False)

    @property
    def num_frames(self) -> int:
        """Frames of the video."""
        return len(self.pts_seconds)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of 8-px cells."""
        return grid_shape(*self.extent)

    def read(self, first: int, last: int) -> VectorField:
        """The displacements since the previous frame, (n, gh, gw), of frames `first` to `last`, both included; gaps not filled.

        Only the blocks that contain them are decompressed.

        Raises:
            VideoError: a frame is out of range.
            DamagedSidecarError: a block is damaged.
        """
        if not 0 <= first <= last < self.num_frames:
            raise VideoError(
                self.path,
                f"found frames {first} to {last}",
                f"a range within 0 to {self.num_frames - 1}",
                reason="invalid_value",
            )
        field = VectorField.empty((last - first + 1, *self.grid))
        for block in range(first // BLOCK_FRAMES, last // BLOCK_FRAMES + 1):
            start = block * BLOCK_FRAMES
            begin, end = max(first, start), min(last + 1, start + BLOCK_FRAMES)
            stored = self._block(block)
            field.vectors[begin - first : end - first] = stored.vectors[begin - start : end - start]
            field.valid[begin - first : end - first] = stored.valid[begin - start : end - start]
        return field

    def check_blocks(self) -> None:
        """Read every block. Raises DamagedSidecarError."""
        for block in range(len(self._offsets) - 1):
            self._block(block)

    def _block(self, block: int) -> VectorField:
        shape = (min(BLOCK_FRAMES, self.num_frames - block * BLOCK_FRAMES), *self.grid)
        data = self._bytes[self._offsets[block] : self._offsets[block + 1]]
        try:
            return unpack_fields(decompress(data, most_packed(shape)), shape)
        except (CorruptBytesError, ValueError, IndexError, struct.error) as error:
            raise DamagedSidecarError(
                self.path, f"block {block} is damaged", advice="delete the file and build it again", reason="damaged"
            ) from error


def sidecar_path(video_path: str | Path, folder: str | Path | None = None, *, source: StoredSource = "codec") -> Path:
    """The path of a video's sidecar: beside it as `NAME.EXT.mgmv`, or in `folder` as `NAME.EXT.HASH.mgmv`; of RAFT `.raft.mgmv`.

    It is not a hidden file, because it takes room that the owner of the folder should see. The hash is that of the video's absolute
    path, since class folders often number their files alike; a folder of sidecars therefore serves videos that stay in place.
    """
    video, suffix = Path(video_path), "mgmv" if source == "codec" else f"{source}.mgmv"
    if folder is None:
        return video.with_name(f"{video.name}.{suffix}")
    digest = blake2b(os.path.realpath(video).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return Path(folder) / f"{video.name}.{digest}.{suffix}"


def build_sidecar(
    video_path: str | Path,
    folder: str | Path | None = None,
    *,
    level: int = COMPRESSION_LEVEL,
    source: StoredSource = "codec",
    frames: Callable[[OpenVideo], Iterator[FrameMotion]] | None = None,
) -> Path:
    """Read the motion of a whole video once and store it; returns the sidecar's path.

    Memory is constant in the length of the video: 32 frames, and about ten bytes per frame. The file appears when it is complete
    and replaces an old one, so several processes may build it at once.

    Args:
        folder: see `sidecar_path`; created if missing.
        level: zstandard's, 1 (fast) to 19 (small).
        source, frames: of other motion than the codec's, and what yields it from an open video; see `mgm.flow.stored.store_raft`.

    Raises:
        VideoError: an unreadable video, a codec without exported vectors, or the package zstandard is missing.
        FileError: the sidecar cannot be written.
    """
    if not 1 <= level <= 19:
        raise VideoError(
            video_path,
            f"found compression level {level}",
            "1 to 19",
            f"{COMPRESSION_LEVEL} is usual",
            reason="invalid_value",
        )
    if is_url(video_path):
        raise VideoError(
            video_path,
            "found a URL",
            "the path of a file, beside which its motion is stored",
            "copy the video to a local disk first",
            reason="unsupported",
        )
    path = sidecar_path(video_path, folder, source=source)
    compressor = zstandard_package().ZstdCompressor(level=level, write_checksum=True)
    # Before opening the video: if it is replaced meanwhile, its identity then differs.
    identity = _identity(Path(video_path)) if Path(video_path).is_file() else {}
    codec = source == "codec"  # else pixels are needed
    with open_video(video_path, vectors=codec, skip_loop_filter=codec) as video:
        if codec and not video.exports_vectors:
            raise no_vectors(video)
        with atomic_write(path) as file:
            file.write(_HEAD.pack(_MAGIC, CACHE_VERSION))
            offsets: list[int] = []
            table = _FrameTable()
            for block in _blocks(_codec_motion(video) if frames is None else frames(video)):
                offsets.append(file.tell())
                fields = [frame.field for frame in block]
                stacked = VectorField(np.stack([f.vectors for f in fields]), np.stack([f.valid for f in fields]))
                file.write(compressor.compress(pack_fields(stacked)))
                table.extend(block)
            offsets.append(file.tell())
            if not table.pts_seconds:
                raise no_frame(video.name)
            context = video.stream.codec_context
            index = _pack_index(table, offsets, (context.height, context.width), identity, source)
            packed = compressor.compress(index)
            file.write(packed)
            file.write(_TAIL.pack(offsets[-1], len(packed), _MAGIC))
            if _changes(Path(video_path), identity):
                raise VideoError(
                    video_path,
                    "changed while its motion was read",
                    "a finished file",
                    "try again later",
                    reason="mismatch",
                )
    return path


def open_sidecar(
    video_path: str | Path, folder: str | Path | None = None, *, source: StoredSource = "codec"
) -> Sidecar | None:
    """The sidecar of a video; None if it is missing or unusable: `sidecar_problem` then returns the reason.

    A sidecar belongs to one state of its video: size, time of modification, and a hash of the first and last 64 KiB. Size and time
    detect a video rewritten in place. The hash detects one replaced by a tool that keeps times: containers have their tables of
    packets at the beginning or end, and no two encodings have the same. A hash of the whole file would cost more than its motion.
    """
    try:
        return _open(Path(video_path), folder, source)
    except UnusableSidecarError:
        return None


def sidecar_from_bytes(data: bytes, *, name: str, size: int, modified: int) -> Sidecar | None:
    """The sidecar in bytes that were read elsewhere; None if it cannot be used.

    Args:
        name: its name in errors.
        size: bytes of the video that it must belong to.
        modified: time of modification of that video in ns.
    """
    try:
        sidecar, identity = _parse(Path(name), data)
    except UnusableSidecarError:
        return None
    same = (identity.get("size"), identity.get("modified")) == (size, modified)
    return sidecar if same else None


def sidecar_problem(
    video_path: str | Path,
    folder: str | Path | None = None,
    *,
    source: StoredSource = "codec",
    blocks: bool = False,
) -> UnusableSidecarError | DamagedSidecarError | None:
    """The reason for which `open_sidecar` returns None; None if the sidecar is usable.

    Args:
        blocks: check every block too, which reads the whole sidecar.
    """
    try:
        sidecar = _open(Path(video_path), folder, source)
        if blocks:
            sidecar.check_blocks()
    except (UnusableSidecarError, DamagedSidecarError) as error:
        return error
    return None


def iter_cached_motion(
    video_path: str | Path, *, reading: Reading = "clean", folder: str | Path | None = None
) -> Iterator[FrameMotion]:
    """Yield the field of every frame of a video in display order: from its sidecar if it has a usable one, else from the stream.

    Raises:
        VideoError: unreadable or damaged video.
    """
    sidecar = open_sidecar(video_path, folder) if reading == "clean" else None
    done = 0
    while sidecar is not None and done < sidecar.num_frames:
        try:
            stored = sidecar.read(done, min(done + BLOCK_FRAMES, sidecar.num_frames) - 1)
        except DamagedSidecarError:  # the remaining frames come from the stream
            sidecar = None
            break
        for position in range(len(stored)):
            yield FrameMotion(
                index=done,
                pts_seconds=float(sidecar.pts_seconds[done]),
                picture_type=sidecar.picture_types[done],
                is_key=bool(sidecar.is_key[done]),
                field=stored[position],
            )
            done += 1
    if sidecar is None:
        with open_video(video_path, vectors=True, skip_loop_filter=True) as video:
            yield from islice(_codec_motion(video, reading), done, None)


def _codec_motion(video: OpenVideo, reading: Reading = "clean") -> Iterator[FrameMotion]:
    return iter_frame_motion(video, reading=reading, observe=OneSize(video.name))


def _open(video: Path, folder: str | Path | None, source: StoredSource) -> Sidecar:
    path = sidecar_path(video, folder, source=source)
    try:
        with open_regular(path) as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise UnusableSidecarError(path, "does not exist", reason="not_found") from error
    except OSError as error:
        raise UnusableSidecarError(path, f"cannot be read ({error.strerror})", reason="unreadable") from error
    except ValueError as error:  # mmap refuses an empty file
        raise UnusableSidecarError(path, "the file is empty", reason="empty") from error
    sidecar, identity = _parse(path, data)
    try:
        changes = _changes(video, identity)
    except KeyError as error:
        raise _damaged_index(path) from error
    if changes:
        raise UnusableSidecarError(
            path, f"belongs to another state of the video (changed: {', '.join(changes)})", reason="mismatch"
        )
    if sidecar.source != source:
        raise UnusableSidecarError(path, f"holds the motion of {sidecar.source}", source, reason="mismatch")
    return sidecar


def _parse(path: Path, data: mmap.mmap | bytes) -> tuple[Sidecar, _Identity]:
    """The sidecar, and the identity of its video."""
    try:
        zstandard_package()
    except VideoError as error:
        raise UnusableSidecarError(path, error.found, advice=error.advice, reason=error.reason) from error
    if len(data) < _HEAD.size + _TAIL.size or data[: len(_MAGIC)] != _MAGIC:
        raise UnusableSidecarError(path, "is not a motion cache", reason="malformed")
    version = _HEAD.unpack_from(data)[1]
    if version != CACHE_VERSION:
        raise UnusableSidecarError(path, f"found version {version}", f"{CACHE_VERSION}", reason="unsupported")
    start, size, magic = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    if magic != _MAGIC or start + size + _TAIL.size != len(data):
        raise UnusableSidecarError(path, "is truncated or damaged", reason="truncated")
    try:
        return _unpack_index(path, data, decompress(data[start : start + size], _LARGEST_INDEX))
    except (CorruptBytesError, ValueError, KeyError, TypeError, IndexError) as error:
        raise _damaged_index(path) from error


def _damaged_index(path: Path) -> UnusableSidecarError:
    return UnusableSidecarError(path, "its index is damaged", reason="damaged")


def _identity(video: Path) -> dict[str, int | str]:
    state = video.stat()
    with video.open("rb") as file:
        content = file.read(_EDGE_BYTES)
        file.seek(max(state.st_size - _EDGE_BYTES, 0))
        content += file.read(_EDGE_BYTES)
    return {
        "size": state.st_size,
        "modified": state.st_mtime_ns,
        "content": blake2b(content, digest_size=16).hexdigest(),
    }


def _changes(video: Path, identity: _Identity) -> list[str]:
    """Properties of a video that differ from `identity`."""
    try:
        return [name for name, value in _identity(video).items() if identity[name] != value]
    except OSError as error:
        return [error.strerror or "unreadable"]


def _blocks(frames: Iterator[FrameMotion]) -> Iterator[list[FrameMotion]]:
    block: list[FrameMotion] = []
    for frame in frames:
        block.append(frame)
        if len(block) == BLOCK_FRAMES:
            yield block
            block = []
    if block:
        yield block


@dataclass(slots=True)
class _FrameTable:
    """Properties of all frames, collected block by block."""

    pts_seconds: list[float] = dataclasses.field(default_factory=list)
    picture_types: list[str] = dataclasses.field(default_factory=list)
    is_key: list[bool] = dataclasses.field(default_factory=list)

    def extend(self, block: list[FrameMotion]) -> None:
        """Add the frames of a block."""
        self.pts_seconds += [frame.pts_seconds for frame in block]
        self.picture_types += [frame.picture_type for frame in block]
        self.is_key += [frame.is_key for frame in block]


def _pack_index(
    frames: _FrameTable, offsets: list[int], extent: tuple[int, int], identity: _Identity, source: StoredSource
) -> bytes:
    """The index before compression: one line of JSON, then arrays."""
    header = {"mgm": MGM_VERSION, "frames": len(frames.pts_seconds), "extent": extent, "video": identity}
    if source != "codec":
        header["source"] = source
    parts = [json.dumps(header).encode() + b"\n", np.array(offsets, "<i8").tobytes()]
    parts += [shuffled(np.array(frames.pts_seconds, "<f8")), "".join(frames.picture_types).encode()]
    parts += [np.packbits(frames.is_key).tobytes()]
    return b"".join(parts)


def _unpack_index(path: Path, data: mmap.mmap | bytes, index: bytes) -> tuple[Sidecar, _Identity]:
    """The sidecar of `data`, and the identity of its video, from the `index` of `_pack_index`."""
    position = index.index(b"\n") + 1
    header = read_json(index[:position])
    frames = int(header["frames"])
    offsets = np.frombuffer(index, "<i8", -(-frames // BLOCK_FRAMES) + 1, position)
    position += offsets.nbytes
    pts_seconds = unshuffled(index[position : position + 8 * frames], np.dtype("<f8"))
    position += pts_seconds.nbytes
    picture_types = index[position : position + frames].decode()
    is_key = np.unpackbits(np.frombuffer(index, np.uint8, offset=position + frames), count=frames).astype(np.bool_)
    extent = (int(header["extent"][0]), int(header["extent"][1]))
    identity: _Identity = dict(header["video"])
    source: StoredSource = "raft" if header.get("source") == "raft" else "codec"
    return Sidecar(source, path, extent, pts_seconds, picture_types, is_key, data, offsets), identity
