"""A manifest: one record per video, brought up to date in steps that survive kill -9."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from mgm.errors import VideoError
from mgm.files.atomic import atomic_write
from mgm.files.journal import Journal, read_journal, read_record
from mgm.files.lock import locked
from mgm.video.scan.record import COLUMNS, Row, Status, VideoRecord, from_row, path_name, to_row
from mgm.video.scan.rows import WRITERS, check_suffix, exists, read_rows
from mgm.workers.isolated import TIMEOUT_SECONDS, run_isolated

RETRIED = frozenset({"unreadable", "crashed"})
"""What another run may find otherwise although the file is unchanged: permissions, the network, memory."""


def read_manifest(path: str | Path) -> Iterator[VideoRecord]:
    """Yield the records of a manifest one by one, whatever its length. Columns that others have added are left out.

    Raises:
        VideoError: no such file or no permission, a suffix other than .jsonl, .csv and .parquet, or no manifest.
    """
    path = Path(path)
    check_suffix(path)
    if not exists(path):
        raise VideoError(f"{path}: no such file; make it with 'mgm scan VIDEOS --out {path}'")
    for row in read_rows(path):
        if row.get("status") not in get_args(Status):
            raise VideoError(
                f"{path}: {row['path']}: status is {row.get('status')!r}, expected one of {', '.join(get_args(Status))}; "
                f"bring it up to date with 'mgm scan VIDEOS --out {path}'"
            )
        yield from_row(row)


def write_manifest(path: str | Path, records: Iterable[VideoRecord]) -> None:
    """Write records to a manifest as they come. The file appears under its name when it is whole.

    Raises:
        VideoError: another suffix than .jsonl, .csv and .parquet, a folder that cannot be written, a full disk, or another
            process writes it.
    """
    path = Path(path)
    check_suffix(path)
    with locked(path):
        _write(path, map(to_row, records))


def update_manifest(
    path: str | Path,
    files: Sequence[Path],
    inspect: Callable[[Path], VideoRecord],
    *,
    on_death: Callable[[Path, VideoError], VideoRecord],
    processes: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make the manifest of `files`, one row each in their order. Rows whose file has kept its size and time are kept.

    Records are kept in `<path>.journal` as they are made; an interrupted run, kill -9 included, is continued by the same call.
    Files that could not be opened, or crashed their process, are tried again.

    Args:
        inspect, on_death, processes, timeout_seconds: see `run_isolated`.
        progress: called with (files done, all files), first with those that were known.

    Raises:
        VideoError: as `write_manifest`; `path` is another kind of file, or cannot be read.
    """
    path = Path(path)
    check_suffix(path)
    if exists(path):
        next(read_rows(path), None)  # before anything is written beside it
    wanted = {path_name(str(file)): file for file in files}
    journal = path.with_name(f"{path.name}.journal")
    with locked(path), Journal(journal) as written:
        done = _known(path, journal, written, wanted)
        count = len(done)
        if progress is not None:
            progress(count, len(wanted))
        left = (file for name, file in wanted.items() if name not in done)
        for _, record in run_isolated(
            inspect, left, processes=processes, on_death=on_death, timeout_seconds=timeout_seconds
        ):
            written.append(to_row(record))
            count += 1
            if progress is not None:
                progress(count, len(wanted))
        # Of two lines about one file, the later one counts.
        places = {row.get("path"): place for place, row in read_journal(journal)}
        _write(path, (read_record(journal, places[name]) for name in wanted))
        written.remove()


def _known(manifest: Path, journal: Path, written: Journal, wanted: dict[str, Path]) -> set[str]:
    """The files whose record is in the journal, after those of the manifest that are still true were added to it."""
    latest = {row.get("path", ""): _current(row, wanted) for _, row in read_journal(journal)}
    done = {name for name, current in latest.items() if current}
    if exists(manifest):
        for row in read_rows(manifest):
            if row["path"] not in done and _current(row, wanted):
                written.append({name: row[name] for name in COLUMNS})
                done.add(row["path"])
    return done


def _current(row: Row, wanted: dict[str, Path]) -> bool:
    """Whether a row is what an inspection of the file would return."""
    file = wanted.get(row.get("path", ""))
    if file is None or not row.keys() >= COLUMNS.keys() or row["status"] in RETRIED:
        return False
    try:
        found = file.stat()
    except OSError:
        return False
    return (row["bytes"], row["modified"]) == (found.st_size, found.st_mtime)


def _write(path: Path, rows: Iterable[Row]) -> None:
    with atomic_write(
        path, advice="free some space or check the folder, and run it again: finished records are kept"
    ) as file:
        WRITERS[path.suffix](file, rows)
