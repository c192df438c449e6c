"""Records that outlive the process that wrote them."""

import subprocess
import sys
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.files.journal import Journal, open_alone, read_journal, read_record


def test_what_was_written_is_read_back(tmp_path: Path):
    path = tmp_path / "a.journal"
    records = [{"path": "a b/ü.mp4", "frames": 3}, {"path": "c", "problem": None}]
    for record in records:  # opened again each time
        with Journal(path) as journal:
            journal.append(record)
    assert [record for _, record in read_journal(path)] == records
    assert [read_record(path, offset) for offset, _ in read_journal(path)] == records
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
        journal.append({"number": 3})
    assert [record["number"] for _, record in read_journal(path)] == [1, 3]


def test_errors_say_what_to_do(tmp_path: Path):
    with pytest.raises(
        VideoError, match=r"a\.journal: cannot be written \(No such file or directory\); check the folder"
    ):
        Journal(tmp_path / "missing" / "a.journal")
    path = tmp_path / "b.journal"
    path.write_text('{"a": 1}\nno record\n{"a": 2}\n')
    with pytest.raises(VideoError, match=r"found b'no record.*' in line 2, expected a JSON record; delete the file"):
        list(read_journal(path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_a_clear_error(tmp_path: Path):
    with Journal(tmp_path / "a.journal") as journal:
        journal.append({"a": 1})
        journal._file.close()
        journal._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
        with pytest.raises(VideoError, match=r"a\.journal: cannot be written \(No space left on device\); make room"):
            journal.append({"a": 2})
    assert [record for _, record in read_journal(tmp_path / "a.journal")] == [{"a": 1}]


locks = pytest.mark.skipif(sys.platform == "win32", reason="no locks there")


@locks
def test_one_writer_at_a_time(tmp_path: Path):
    path = tmp_path / "a.journal"
    with Journal(path) as journal:
        journal.append({"a": 1})
        with path.open("ab") as torn:
            torn.write(b'{"half')
        with pytest.raises(VideoError, match=r"a\.journal: another run is writing it; wait for it to end"):
            Journal(path)
        with pytest.raises(VideoError, match=r"^mine$"):
            Journal(path, "mine")
        assert path.read_bytes().endswith(b'{"half'), "who is refused must not cut off what the other writes"
    with Journal(path) as journal:
        journal.remove()
    assert not path.exists()
    Journal(path).__exit__(None, None, None)


@locks
def test_the_lock_ends_with_a_killed_process(tmp_path: Path):
    path = tmp_path / "a.journal"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom mgm.files.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\njournal.append({'a': 1})\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    with Journal(path) as journal:
        journal.append({"a": 2})
    assert [record["a"] for _, record in read_journal(path)] == [1, 2]


@locks
def test_a_file_that_its_owner_removed_meanwhile_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between opening and locking, the owner may end: what is locked must be what has the name."""
    import fcntl

    path, lock, calls = tmp_path / "a.journal", fcntl.flock, []

    def late(file: object, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            path.unlink()
        elif len(calls) == 2:
            path.rename(tmp_path / "renamed")
            path.touch()
        lock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", late)
    with open_alone(path, "busy") as file:
        file.write(b"here")
    assert path.read_bytes() == b"here"
    assert len(calls) == 3


@locks
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import fcntl

    def unsupported(file: object, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with Journal(tmp_path / "a.journal") as journal:
        journal.append({"a": 1})
    assert [record for _, record in read_journal(tmp_path / "a.journal")] == [{"a": 1}]
