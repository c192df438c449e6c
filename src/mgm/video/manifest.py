"""A manifest: one record per video, as JSON lines, CSV or parquet, brought up to date in steps that survive kill -9."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args, get_type_hints

from mgm.errors import VideoError
from mgm.video.journal import Journal, read_journal, read_record, replacing
from mgm.video.workers import over_files

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
RETRIED = frozenset({"unreadable", "crashed"})
"""What another run may find otherwise although the file is unchanged: permissions, the network, memory."""

SUFFIXES = (".jsonl", ".csv", ".parquet")
ROW_GROUP = 2000


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


def read_manifest(path: str | Path) -> Iterator[VideoRecord]:
    """Yield the records of a manifest one by one, whatever its length. Columns that others have added are left out.

    Raises:
        VideoError: no such file or no permission, a suffix other than .jsonl, .csv and .parquet, or no manifest.
    """
    path = Path(path)
    check_suffix(path)
    if not _exists(path):
        raise VideoError(f"{path}: no such file; make it with 'mgm scan VIDEOS --out {path}'")
    for row in _rows(path):
        if row.get("status") not in get_args(Status):
            raise VideoError(
                f"{path}: {row['path']}: status is {row.get('status')!r}, expected one of {', '.join(get_args(Status))}; "
                f"bring it up to date with 'mgm scan VIDEOS --out {path}'"
            )
        yield _record(row)


def write_manifest(path: str | Path, records: Iterable[VideoRecord]) -> None:
    """Write records to a manifest as they come. The file appears under its name when it is whole.

    Raises:
        VideoError: another suffix than .jsonl, .csv and .parquet, a folder that cannot be written, a full disk, or another
            process writes it.
    """
    path = Path(path)
    check_suffix(path)
    _write(path, map(_row, records))


def update_manifest(
    path: str | Path,
    files: Sequence[Path],
    audit: Callable[[Path], VideoRecord],
    *,
    died: Callable[[Path], VideoRecord],
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make the manifest of `files`, one row each in their order. Rows whose file has kept its size and time are kept.

    Records are kept in `<path>.journal` as they are made; an interrupted run, kill -9 included, is continued by the same call.
    Files that could not be opened, or crashed their process, are tried again.

    Args:
        audit: a module's function (it travels to other processes).
        died: makes the record of a file that ended its process.
        progress: called with (files done, all files), first with those that were known.

    Raises:
        VideoError: as `write_manifest`; `path` is another kind of file, or cannot be read.
    """
    path = Path(path)
    check_suffix(path)
    if _exists(path):
        next(_rows(path), None)  # before anything is written beside it
    wanted = {_name(str(file)): file for file in files}
    journal = path.with_name(f"{path.name}.journal")
    try:
        with Journal(journal, _busy(path)) as written:
            done = _known(path, journal, written, wanted)
            count = len(done)
            if progress is not None:
                progress(count, len(wanted))
            left = (file for name, file in wanted.items() if name not in done)
            for _, record in over_files(audit, left, processes=processes, died=died):
                written.append(_row(record))
                count += 1
                if progress is not None:
                    progress(count, len(wanted))
            # Of two lines on a file the later counts.
            places = {row.get("path"): place for place, row in read_journal(journal)}
            _write(path, (read_record(journal, places[name]) for name in wanted))
            written.remove()
    except OSError as error:  # closing the journal once more tries to write what a full disk refused
        raise _unwritable(journal, error) from error


def _known(manifest: Path, journal: Path, written: Journal, wanted: dict[str, Path]) -> set[str]:
    """The files whose record is in the journal, after those of the manifest that are still true were added to it."""
    latest = {row.get("path", ""): _current(row, wanted) for _, row in read_journal(journal)}
    done = {name for name, current in latest.items() if current}
    if _exists(manifest):
        for row in _rows(manifest):
            if row["path"] not in done and _current(row, wanted):
                written.append({name: row[name] for name in COLUMNS})
                done.add(row["path"])
    return done


def _current(row: Row, wanted: dict[str, Path]) -> bool:
    """Whether a row still says what an audit would."""
    file = wanted.get(row.get("path", ""))
    if file is None or not row.keys() >= COLUMNS.keys() or row["status"] in RETRIED:
        return False
    try:
        found = file.stat()
    except OSError:
        return False
    return (row["bytes"], row["modified"]) == (found.st_size, found.st_mtime)


def check_suffix(path: Path) -> None:
    """Raises VideoError for a suffix that no manifest has, and where the package that writes it is missing."""
    if path.suffix not in SUFFIXES:
        raise VideoError(f"{path}: the suffix is {path.suffix!r}, expected one of {', '.join(SUFFIXES)}; rename it")
    if _exists(path) and path.is_dir():
        raise VideoError(f"{path}: is a folder, expected the name of a file; choose another name")
    if path.suffix == ".parquet":
        _parquet()


def _row(record: VideoRecord) -> Row:
    row = {name: _text(value) if isinstance(value, str) else value for name, value in asdict(record).items()}
    row["path"] = _name(record.path)
    if record.problem is not None and record.problem.startswith(record.path):
        row["problem"] = row["path"] + _text(record.problem[len(record.path) :])
    return row


def _text(value: str) -> str:
    r"""Bytes of a file's name that are no UTF-8 become `\xNN`: no format of a manifest has room for them."""
    return os.fsencode(value).decode("utf-8", "backslashreplace")


_LIKE_A_BYTE = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")


def _name(path: str) -> str:
    r"""`_text` of a path, with `\x5c` for a backslash that would look like one of its escapes: no two files share a name."""
    return _text(path if os.sep == "\\" else _LIKE_A_BYTE.sub(r"\\x5c", path))


def _record(row: Row) -> VideoRecord:
    return VideoRecord(**{name: row[name] for name in COLUMNS if name in row})


def _write(path: Path, rows: Iterable[Row]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with replacing(path, part, _busy(path)) as file:
            _WRITERS[path.suffix](file, rows)
    except OSError as error:
        raise _unwritable(path, error) from error


def _busy(path: Path) -> str:
    return f"{path}: another scan is writing it; wait for it, or choose another name"


def _unwritable(path: Path, error: OSError) -> VideoError:
    return VideoError(
        f"{path}: cannot be written ({error.strerror}); make room or check the folder, and run it again: what was found is kept"
    )


def _write_jsonl(file: BinaryIO, rows: Iterable[Row]) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _write_csv(file: BinaryIO, rows: Iterable[Row]) -> None:
    file.write(",".join(COLUMNS).encode() + b"\n")
    for row in rows:
        file.write(",".join(_cell(row[name]) for name in COLUMNS).encode() + b"\n")


def _cell(value: bool | int | float | str | None) -> str:
    """Text always in quotes: csv.writer leaves them out around a carriage return, which no reader takes then."""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value).lower()


def _write_parquet(file: BinaryIO, rows: Iterable[Row]) -> None:
    arrow, parquet = _parquet()
    types = {bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    schema = arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    rows = iter(rows)
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, ROW_GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema))


_WRITERS: dict[str, Callable[[BinaryIO, Iterable[Row]], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}


def _rows(path: Path) -> Iterator[Row]:
    """Raises VideoError where it is another kind of file, or cannot be read."""
    read = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}[path.suffix]
    number = 0
    try:
        for row in read(path):
            if not (isinstance(row, dict) and isinstance(row.get("path"), str) and isinstance(row.get("bytes"), int)):
                raise ValueError("without path and bytes")
            yield row
            number += 1
    except (ValueError, csv.Error, OSError) as error:  # what JSON, CSV and pyarrow's readers complain with
        if isinstance(error, OSError) and error.errno is not None:
            raise _unreadable(path, error) from error
        raise VideoError(
            f"{path}: row {number + 1} is no row of a manifest ({error}), expected what 'mgm scan --out' writes; "
            "choose another name, or delete it"
        ) from error


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unreadable(path, error) from error
    return True


def _unreadable(path: Path, error: OSError) -> VideoError:
    return VideoError(
        f"{path}: cannot be read ({error.strerror}), expected a manifest; check its permissions, or choose another name"
    )


def _read_jsonl(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _read_csv(path: Path) -> Iterator[Any]:
    parse: dict[type, Callable[[str], Any]] = {bool: "true".__eq__, int: int, float: float, str: str}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            yield {name: parse[COLUMNS[name]](text) if text else None for name, text in row.items() if name in COLUMNS}


def _read_parquet(path: Path) -> Iterator[Any]:
    _, parquet = _parquet()
    with path.open("rb") as raw, parquet.ParquetFile(raw) as file:
        for batch in file.iter_batches(ROW_GROUP):
            yield from batch.to_pylist()


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise VideoError(
            "a manifest in parquet needs the package pyarrow: pip install 'motion-guided-masking[parquet]', or '.[parquet]' in a "
            "checkout"
        ) from error
    return pyarrow, pyarrow.parquet
