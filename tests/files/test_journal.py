"""Records that outlive the process that wrote them."""

import subprocess
import sys
from pathlib import Path

import pytest

from mgm.errors import FileError
from mgm.files.journal import Journal, read_journal, read_records
from tests.errors import raises


def test_what_was_written_is_read_back(tmp_path: Path):
    path = tmp_path / "a.journal"
    records = [{"path": "a b/ü.mp4", "frames": 3}, {"path": "c", "problem": None}]
    offsets = []
    for record in records:  # opened again each time
        with Journal(path) as journal:
            offsets.append(journal.append(record))
    assert list(read_journal(path)) == list(zip(offsets, records, strict=True))
    assert list(read_records(path, reversed(offsets))) == records[::-1]
    assert list(read_journal(tmp_path / "none")) == []


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_a_line_torn_by_kill_9_is_cut_off(tmp_path: Path, keep: int):
    path = tmp_path / "a.journal"
    with Journal(path) as journal:
        journal.append({"number": 1})
        journal.append({"number": 2, "text": "x" * 200_000})
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    path.write_bytes(data[: first + keep * 3000])
    assert [record for _, record in read_journal(path)] == [{"number": 1}]
    with Journal(path) as journal:
        assert list(read_records(path, [journal.append({"number": 3})])) == [{"number": 3}]
    assert [record["number"] for _, record in read_journal(path)] == [1, 3]


def test_errors(tmp_path: Path):
    with raises(FileError, "cannot_write", subject=tmp_path / "missing" / "a.journal"):
        Journal(tmp_path / "missing" / "a.journal")
    path = tmp_path / "b.journal"
    path.write_text('{"a": 1}\nno record\n{"a": 2}\n')
    with raises(FileError, "malformed", subject=path, message="journal-not-a-record"):
        list(read_journal(path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_a_clear_error(tmp_path: Path):
    with Journal(tmp_path / "a.journal") as journal:
        journal.append({"a": 1})
        journal._file.close()
        journal._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
        with raises(FileError, "cannot_write", subject=tmp_path / "a.journal"):
            journal.append({"a": 2})
    assert [record for _, record in read_journal(tmp_path / "a.journal")] == [{"a": 1}]


def test_a_removed_journal_is_gone(tmp_path: Path):
    with Journal(tmp_path / "a.journal") as journal:
        journal.append({"a": 1})
        journal.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_records_outlive_a_killed_process(tmp_path: Path):
    path = tmp_path / "a.journal"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom mgm.files.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\njournal.append({'a': 1})\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    with Journal(path) as journal:
        journal.append({"a": 2})
    assert [record["a"] for _, record in read_journal(path)] == [1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="open files stay in their place")
@pytest.mark.parametrize("replaced", [True, False])
def test_a_journal_that_is_moved_away_takes_no_more_records(tmp_path: Path, monkeypatch, replaced: bool):
    """Another run would not find them."""
    monkeypatch.setattr("mgm.files.journal._CHECK_SECONDS", 0)
    path = tmp_path / "a.journal"
    with Journal(path) as journal:
        journal.append({"number": 1})
        path.rename(tmp_path / "b.journal")
        if replaced:
            path.touch()
        with raises(FileError, "cannot_write", subject=path):
            journal.append({"number": 2})
    assert [record for _, record in read_journal(tmp_path / "b.journal")] == [{"number": 1}]
