"""Scan the videos of a set in tar shards, as `mgm.video.scan` scans files."""

from __future__ import annotations

from pathlib import Path

from mgm.data.shards.index import load_shards
from mgm.data.shards.members import ShardMember, open_member, parse_member
from mgm.errors import VideoError
from mgm.files.path_column import PathColumn, PathList
from mgm.video.scan.folder import ScannedFiles, crashed, inspect_guarded
from mgm.video.scan.inspect import with_problem
from mgm.video.scan.manifest import FileState
from mgm.video.scan.record import VideoRecord


def scanned_shards(root: Path) -> ScannedFiles:
    """The videos of a set that `mgm pack` has written, each once. Their paths are those of the set's items.

    Raises:
        DataError: the set does not exist, or its index is damaged.
    """
    paths = PathColumn(str(Path(path)) for path in load_shards(root).items.paths.without_repeats())
    return ScannedFiles(PathList(paths), _scan_member, _crashed, _state)


def _scan_member(path: Path) -> VideoRecord:
    member, record = _member(path), _new_record(path)
    try:
        with open_member(member) as file:
            return inspect_guarded(record, file)
    except VideoError as error:
        return with_problem(record, error)


def _crashed(path: Path, error: VideoError) -> VideoRecord:
    return crashed(_new_record(path), error)


def _state(path: str) -> FileState:
    """The size of the video, and the time of the shard."""
    member = _member(path)
    return FileState(member.video.size, Path(member.tar).stat().st_mtime)


def _new_record(path: Path) -> VideoRecord:
    try:
        size, modified = _state(str(path))
    except OSError:
        return VideoRecord(path=str(path), bytes=0, status="unreadable")
    return VideoRecord(path=str(path), bytes=size, modified=modified, status="unreadable")


def _member(path: str | Path) -> ShardMember:
    found = parse_member(str(path))
    assert found is not None  # `load_shards` made it
    return found
