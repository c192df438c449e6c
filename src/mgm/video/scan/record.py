"""What is known of one video, and as a row of a manifest."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

Status = Literal[
    "ok",
    "no_vectors",
    "intra_only",
    "interlaced",
    "truncated",
    "damaged",
    "empty",
    "not_video",
    "no_video_stream",
    "unreadable",
    "crashed",
]
READABLE = frozenset({"ok", "no_vectors", "intra_only", "interlaced"})


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """What `scan` found of one file. What the file does not tell is None; a broken file has what came before the damage.

    Attributes:
        path: the file, as it was given. In a manifest, bytes of its name that are no UTF-8 are written `\\xNN`; a backslash that
            would then read as such a byte is written `\\x5c`.
        bytes: its size.
        modified: when it was last changed, seconds since 1970.
        status: "ok"; "no_vectors": its codec exports none; "intra_only": its codec exports them, but no frame has any;
            "interlaced": H.264 in fields, whose vectors are partly half as high as the motion;
            "truncated": it ends too early; "damaged": its stream is broken; "empty": 0 bytes; "not_video"; "no_video_stream": sound
            or nothing; "unreadable": it cannot be opened, or is a folder that cannot be listed; "crashed": it ended the process
            that read it, or the reader failed on it.
        where: seconds on the stream's clock at which a damaged file breaks, or up to which frames of a truncated one came out.
        container, codec, profile, pixel_format: by FFmpeg's names.
        width, height: of the coded frame in pixels, before rotation.
        rotation: in degrees, as the container declares it.
        interlaced: whether any frame is two fields.
        fps: the mean rate that the container declares or FFmpeg estimates.
        variable_rate: whether presentation intervals differ by more than 2 ms and more than rounding to the container's clock.
        frames: counted by decoding, not believed from the header. Where the file breaks, the decoder may have held a few more.
        declared_frames: what the header says.
        seconds: last minus first presentation time plus one frame.
        gop: longest distance between two key frames, in frames.
        key_frames: frames at which decoding can start.
        b_frames, b_run: whether any frame is a B-frame, and the most of them in a row.
        references: the most reference pictures that the stream allows itself. H.264: `max_num_ref_frames`; MPEG-1/2/4 and their
            kin: 0 to 2 by their kinds of frames; None for other codecs.
        vectors: share of frames of which motion vectors tell, their own or those of the reference picture that encloses them; 0
            for codecs that export none. The zeros that decoders of the MPEG-4 family export for B-frames are no vectors.
        motion: mean length of the motion in pixels of the coded frame per frame, over all cells where vectors measure it.
        motion_source: what `motion="auto"` reads: "codec" where there are vectors, else "flow".
        problem: one line: what was found, what was expected, what to do; None for a file without a problem.
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
        """Whether the file decodes to its end."""
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
    """As it is written, all of it valid text."""
    row = {name: _text(value) if isinstance(value, str) else value for name, value in asdict(record).items()}
    row["path"] = path_name(record.path)
    if record.problem is not None and record.problem.startswith(record.path):
        row["problem"] = row["path"] + _text(record.problem[len(record.path) :])
    return row


def _text(value: str) -> str:
    r"""Bytes of a file's name that are no UTF-8 become `\xNN`: no format of a manifest has room for them."""
    return os.fsencode(value).decode("utf-8", "backslashreplace")


_LIKE_A_BYTE = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")


def path_name(path: str) -> str:
    r"""`_text` of a path, with `\x5c` for a backslash that would look like one of its escapes: no two files share a name."""
    return _text(path if os.sep == "\\" else _LIKE_A_BYTE.sub(r"\\x5c", path))


def from_row(row: Row) -> VideoRecord:
    """What a row says, and nothing of columns that others have added."""
    return VideoRecord(**{name: row[name] for name in COLUMNS if name in row})
