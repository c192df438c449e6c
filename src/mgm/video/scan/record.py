"""The record of one video, and its row in a manifest."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

Status = Literal[
    "ok",
    "no_vectors",
    "intra_only",
    "interlaced",
    "single_frame",
    "size_changes",
    "unsupported",
    "truncated",
    "damaged",
    "empty",
    "not_video",
    "no_video_stream",
    "unreadable",
    "crashed",
]
READABLE = frozenset({"ok", "no_vectors", "intra_only", "interlaced", "single_frame", "size_changes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """The properties of one file; None for one that the file does not declare. A broken file has those from before its damage.

    Attributes:
        path: the file, as it was given. In a manifest, bytes of its name that are not UTF-8 are written `\\xNN`; a backslash that
            would then read as such a byte is written `\\x5c`.
        bytes: size of the file.
        modified: time of the last change, seconds since 1970.
        status: "ok"; "no_vectors": its codec exports none; "intra_only": its codec exports them, but no frame has any;
            "interlaced": H.264 in fields, whose vectors are partly half as high as the motion; "single_frame": nothing moves;
            "size_changes": only clips of a given `size` can be read of it everywhere; "unsupported": its codec or pixel format
            cannot be read;
            "truncated": it ends too early; "damaged": its stream is broken; "empty": 0 bytes; "not_video"; "no_video_stream": sound
            or nothing; "unreadable": it cannot be opened, or is a folder that cannot be listed; "crashed": the process that read it
            died, made no progress for too long, or failed.
        where: seconds on the stream's clock at which a damaged file breaks, or up to which frames of a truncated one were decoded.
        container, codec, profile, pixel_format: FFmpeg's names.
        width, height: of the first coded frame in pixels, before rotation.
        rotation: counter-clockwise in degrees, as the container declares it; of a mirrored picture, after mirroring left to right.
        interlaced: whether any frame is two fields.
        fps: the mean rate that the container declares or FFmpeg estimates, else that of the presentation times.
        variable_rate: whether presentation intervals differ by more than 2 ms and more than rounding to the container's clock.
        frames: counted by decoding, not taken from the header. The decoder may have held a few more before the damage.
        declared_frames: number in the header.
        seconds: last minus first presentation time plus one frame, for each of the recordings that were joined to the file.
        gop: longest distance between two keyframes, in frames.
        key_frames: frames at which decoding can start.
        b_frames, b_run: whether any frame is a B-frame, and the most of them in a row.
        references: the most reference pictures that the stream declares. H.264: `max_num_ref_frames`; MPEG-1/2/4 and their
            relatives: 0 to 2 by their kinds of frames; None for other codecs.
        vectors: share of frames that motion vectors describe, their own or those of the reference picture that encloses them; 0
            for codecs that export none. The zeros that decoders of the MPEG-4 family export for B-frames are not vectors.
        motion: mean length of the motion in pixels of the coded frame per frame, over all cells with measured vectors.
        motion_source: source of motion under `motion="auto"`: "codec" if there are vectors, else "flow".
        problem: one line: found, expected, advice; None for a file without a problem.
    """

    path: str
    bytes: int
    modified: float | None = None
    status: Status
    where: float | None = None
    container: str | None = None
    codec: str | None = None
    profile: str | None = None
    pixel_format: str | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    interlaced: bool | None = None
    fps: float | None = None
    variable_rate: bool | None = None
    frames: int | None = None
    declared_frames: int | None = None
    seconds: float | None = None
    gop: int | None = None
    key_frames: int | None = None
    b_frames: bool | None = None
    b_run: int | None = None
    references: int | None = None
    vectors: float | None = None
    motion: float | None = None
    motion_source: Literal["codec", "flow"] | None = None
    problem: str | None = None

    @property
    def readable(self) -> bool:
        """Whether the file decodes to its end, and every clip of it can be read with a `size`."""
        return self.status in READABLE

    @property
    def has_motion(self) -> bool:
        """Whether `motion="codec"` works on it."""
        return self.readable and bool(self.vectors)


Row = dict[str, Any]


def _kind(hint: Any) -> type:
    """`float | None` -> float; a Literal of words -> str."""
    return next((kind for kind in (hint, *get_args(hint)) if kind in (bool, int, float, str)), str)


_HINTS = get_type_hints(VideoRecord)
COLUMNS = {column.name: _kind(_HINTS[column.name]) for column in fields(VideoRecord)}
"""Name and type of every column, in order."""


def to_row(record: VideoRecord) -> Row:
    """The row of a record, as valid text: the problem names the path as the column does."""
    values = ((name, getattr(record, name)) for name in COLUMNS)
    return {name: path_name(value) if isinstance(value, str) else value for name, value in values}


def valid_text(value: str) -> str:
    r"""Bytes that are not UTF-8 as `\xNN`, since manifests are text."""
    return os.fsencode(value).decode("utf-8", "backslashreplace")


_LIKE_A_BYTE = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")


def path_name(path: str) -> str:
    r"""A path as valid text, with `\x5c` for a backslash that would look like an escape: no two files share a name."""
    if path.isascii() and "\\" not in path:
        return path
    return valid_text(path if os.sep == "\\" else _LIKE_A_BYTE.sub(r"\\x5c", path))


def from_row(row: Row) -> VideoRecord:
    """The record of a row; columns that others have added are left out."""
    return VideoRecord(**{name: row[name] for name in COLUMNS if name in row})
