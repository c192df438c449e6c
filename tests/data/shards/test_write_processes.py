"""Shards that several processes write."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from mgm.data.annotations import VideoItem, VideoSet, load_set
from mgm.data.shards.shard_file import PackedFile, ShardJob, write_shard
from mgm.data.shards.write import PackReport, pack_set
from mgm.errors import FileError, VideoError
from tests.data.shards.reading import assert_same, read
from tests.errors import raises


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, unfinished files included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def broken(files: VideoSet, tmp_path: Path) -> VideoSet:
    """The set with a video that cannot be read."""
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    return VideoSet("x", (*files.train, VideoItem(str(tmp_path / "broken.mp4"), 0)), files.test, files.classes, "")


@pytest.fixture(autouse=True)
def small(files: VideoSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of a few videos."""
    size = sum(Path(item.path).stat().st_size for item in files.items)
    monkeypatch.setattr("mgm.data.shards.write.MEBI", max(size // 6, 1))


def test_the_files_do_not_depend_on_the_processes(broken: VideoSet, tmp_path: Path):
    reports: list[PackReport] = []
    for processes in (1, 2, 3):
        seen: list[str] = []
        folder = tmp_path / str(processes)
        reports.append(pack_set(broken, folder, shard_size=1, processes=processes, progress=seen.append))
        assert sorted(seen) == sorted({item.path for item in broken.items})
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")
    assert len(reports[0].shards) >= 5
    assert list(reports[0].failed) == [str(tmp_path / "broken.mp4")]
    for report in reports[1:]:
        assert [shard.name for shard in report.shards] == [shard.name for shard in reports[0].shards]
        assert (report.videos, report.bytes, report.failed) == (32, reports[0].bytes, reports[0].failed)
        assert report.incidents == []


def test_a_killed_process_is_replaced(files: VideoSet, tmp_path: Path):
    pack_set(files, tmp_path / "undisturbed", shard_size=1)
    killed: list[int] = []

    def kill(path: str) -> None:
        if not killed:
            killed.extend(process.pid or 0 for process in multiprocessing.active_children())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    report = pack_set(files, tmp_path / "out", shard_size=1, processes=2, progress=kill)
    assert killed
    assert report.incidents
    assert all("SIGKILL" in line for line in report.incidents)
    assert report.failed == {}
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_interrupted_processes_are_resumed(files: VideoSet, tmp_path: Path):
    out = tmp_path / "out"

    def stop(path: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_set(files, out, shard_size=1, processes=2, progress=stop)
    whole = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert whole
    assert not (out / "shards.json").exists()
    assert not list(out.glob(".*"))  # what the ended processes were writing
    report = pack_set(files, out, shard_size=1, processes=2)
    assert 1 <= report.skipped <= len(whole)  # of the last one the index may be missing
    assert_same(read(load_set(out)), read(files))


def test_a_video_on_which_processes_die_is_left_out(files: VideoSet, tmp_path: Path):
    """The pool says so when the shard is written again."""
    paths = [Path(item.path) for item in files.train[:3]]
    states = [path.stat() for path in paths]
    packed = [
        PackedFile(number, path, path.name, state.st_size, state.st_mtime_ns, [])
        for number, (path, state) in enumerate(zip(paths, states, strict=True))
    ]

    def begin(number: int) -> None:
        if number == 1:
            raise VideoError("video 1", "its worker process was killed by SIGSEGV, 2 times", reason="crashed")

    shard = write_shard(ShardJob(tmp_path / "shard-000000.tar", packed), begin)
    assert shard.videos == 2
    assert shard.failed == {str(paths[1]): f"{paths[1]}: its worker process was killed by SIGSEGV, 2 times"}


def test_a_folder_that_cannot_be_written_ends_it(files: VideoSet, tmp_path: Path):
    (tmp_path / "out").write_text("a file")
    with raises(FileError, "cannot_write"):
        pack_set(files, tmp_path / "out", shard_size=1, processes=2)
