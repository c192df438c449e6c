"""Records that outlive the process that wrote them."""

from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.video.journal import Journal, read_journal, read_record


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
