"""A scan of a set in shards finds what a scan of its files finds."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.data.shards.members import parse_member
from mgm.data.shards.scan import scanned_shards
from mgm.errors import DataError
from mgm.video.scan.folder import scan_file
from mgm.video.scan.manifest import read_manifest
from tests.commands.in_process import here
from tests.errors import raises


@pytest.fixture
def copied(packed, tmp_path):
    """The set in shards, for tests that damage it."""
    return Path(shutil.copytree(packed[0], tmp_path / "shards"))


def test_records_are_those_of_the_files(files, packed):
    expected = [scan_file(item.path) for item in files.items]
    found = scanned_shards(packed[0]).into_memory()
    assert len(found) == len(expected)
    for record in found:
        (of_file,) = (one for one in expected if one.path.endswith(f"/{parse_member(record.path).name}"))
        assert replace(record, path=of_file.path, modified=of_file.modified) == of_file
        assert record.status == "ok"
        assert record.modified == Path(parse_member(record.path).tar).stat().st_mtime


def test_only_changed_shards_are_read_again(copied, tmp_path):
    manifest = tmp_path / "m.csv"
    counted = []

    def scan():
        counted.clear()
        scanned_shards(copied).into_manifest(manifest, progress=lambda done, total: counted.append((done, total)))
        return list(read_manifest(manifest))

    count = len(load_set(copied).items)
    first = scan()
    assert counted[0] == (0, count)
    assert scan() == first
    assert counted == [(count, count)]
    changed = parse_member(first[0].path).tar
    os.utime(changed, (1, 1))
    again = scan()
    assert counted[0] == (count - sum(parse_member(record.path).tar == changed for record in first), count)
    assert [record.path for record in again] == [record.path for record in first]


def test_broken_videos_and_lost_shards_are_named(copied, tmp_path):
    paths = load_set(copied).items.paths
    broken = parse_member(paths[0])
    with Path(broken.tar).open("r+b") as file:
        file.seek(broken.video.offset)
        file.write(bytes(broken.video.size))
    lost = next(member.tar for path in paths if (member := parse_member(path)).tar != broken.tar)
    Path(lost).unlink()
    records = {record.path: record for record in scanned_shards(copied).into_memory()}
    assert records[str(broken)].status == "not_video"
    assert (records[str(broken)].problem or "").startswith(f"{broken.title}: ")
    assert {record.status for record in records.values() if parse_member(record.path).tar == lost} == {"unreadable"}
    others = [record for record in records.values() if parse_member(record.path).tar not in (lost, broken.tar)]
    assert others
    assert all(record.status == "ok" for record in others)


def test_the_command(copied, tmp_path):
    manifest = tmp_path / "m.csv"
    count = len(load_set(copied).items)
    for options in ((), ("--out", manifest)):
        done = here("scan", copied, *options)
        assert done.returncode == 0
        assert f"{count} files: {count} readable, {count} with motion vectors, 0 broken" in done.stdout
    with raises(DataError, "unsupported", message="manifest-of-shards", subject=manifest):
        load_set(manifest)  # labels are not in it
    beside = here("scan", copied, tmp_path)
    assert beside.returncode == 1
    assert "a set in shards beside 1 other" in beside.stderr
