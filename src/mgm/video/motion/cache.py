"""The motion cache of a video: its fields, stored once, lossless, in a sidecar beside it or in a folder of sidecars."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mgm.errors import VideoError
from mgm.files.atomic import atomic_write
from mgm.files.regular import open_regular
from mgm.video.container.locator import is_url
from mgm.video.container.picture_size import OneSize
from mgm.video.container.stream import OpenVideo, no_frame, no_vectors, open_video
from mgm.video.motion.cache_format import pack_fields, zstandard_package
from mgm.video.motion.field import VectorField
from mgm.video.motion.names import Reading
from mgm.video.motion.sidecar import (
    BLOCK_FRAMES,
    CACHE_VERSION,
    HEAD,
    MAGIC,
    TAIL,
    DamagedSidecarError,
    FrameTable,
    Identity,
    Sidecar,
    StoredSource,
    UnusableSidecarError,
    damaged_index,
    pack_index,
    parse_sidecar,
)
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion

COMPRESSION_LEVEL = 9
"""zstandard's. Measured on nine real clips: level 3 makes files 1.05 to 1.2 times as large; level 19 saves a tenth to a sixth, and
takes several times as long as decoding the video."""

_EDGE_BYTES = 65536


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
    _check_storable(video_path, level)
    path = sidecar_path(video_path, folder, source=source)
    compressor = zstandard_package().ZstdCompressor(level=level, write_checksum=True)
    # Before opening the video: if it is replaced meanwhile, its identity then differs.
    identity = _identity(Path(video_path)) if Path(video_path).is_file() else {}
    codec = source == "codec"  # else pixels are needed
    with open_video(video_path, vectors=codec, skip_loop_filter=codec) as video:
        if codec and not video.exports_vectors:
            raise no_vectors(video)
        with atomic_write(path) as file:
            file.write(HEAD.pack(MAGIC, CACHE_VERSION))
            table, offsets = _write_blocks(file, _codec_motion(video) if frames is None else frames(video), compressor)
            if not table.pts_seconds:
                raise no_frame(video.name)
            context = video.stream.codec_context
            index = pack_index(table, offsets, (context.height, context.width), identity, source)
            packed = compressor.compress(index)
            file.write(packed)
            file.write(TAIL.pack(offsets[-1], len(packed), MAGIC))
            if _changes(Path(video_path), identity):
                raise VideoError(
                    video_path,
                    "changed while its motion was read",
                    "a finished file",
                    "try again later",
                    reason="mismatch",
                )
    return path


def _check_storable(video_path: str | Path, level: int) -> None:
    """Raise VideoError for a level of compression that zstandard lacks, or a video beside which nothing can be written."""
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


def _write_blocks(file: BinaryIO, frames: Iterator[FrameMotion], compressor: Any) -> tuple[FrameTable, list[int]]:
    """Write fields in compressed blocks; returns the times of their frames, and where each block begins and the last one ends."""
    offsets: list[int] = []
    table = FrameTable()
    for block in _blocks(frames):
        offsets.append(file.tell())
        fields = [frame.field for frame in block]
        stacked = VectorField(np.stack([f.vectors for f in fields]), np.stack([f.valid for f in fields]))
        file.write(compressor.compress(pack_fields(stacked)))
        table.extend(block)
    return table, [*offsets, file.tell()]


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
        sidecar, identity = parse_sidecar(Path(name), data)
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
        raise UnusableSidecarError.cannot_read(path, error) from error
    except ValueError as error:  # mmap refuses an empty file
        raise UnusableSidecarError(path, "the file is empty", reason="empty") from error
    sidecar, identity = parse_sidecar(path, data)
    try:
        changes = _changes(video, identity)
    except KeyError as error:
        raise damaged_index(path) from error
    if changes:
        raise UnusableSidecarError(
            path, f"belongs to another state of the video (changed: {', '.join(changes)})", reason="mismatch"
        )
    if sidecar.source != source:
        raise UnusableSidecarError(path, f"holds the motion of {sidecar.source}", source, reason="mismatch")
    return sidecar


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


def _changes(video: Path, identity: Identity) -> list[str]:
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
