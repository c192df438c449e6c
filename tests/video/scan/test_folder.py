import importlib
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.video.scan.find import find_videos, search_videos
from mgm.video.scan.folder import scan_file, scan_to_manifest, scan_videos
from mgm.video.scan.manifest import read_manifest
from mgm.video.scan.record import VideoRecord
from mgm.video.scan.summary import ScanSummary
from tests.errors import check_message, raises
from tests.files.closed import close
from tests.video.broken import REASONS, make_broken
from tests.video.clips import encode_moving, remux


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ordinary: Path) -> Path:
    """All that is broken, three intact videos, a folder with a video's name and a file that is none."""
    root = tmp_path_factory.mktemp("scan")
    make_broken(root)
    (root / "deep").mkdir()
    shutil.copy(ordinary, root / "deep" / "good.MP4")
    remux(ordinary, root / "turned.mp4", rotation=90)
    encode_moving(root / "vp9.webm", frames=5, codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    (root / "folder.mp4").mkdir()
    (root / "notes.txt").write_text("not looked at")
    return root


def test_everything_is_reported_and_counted(folder: Path):
    seen: list[VideoRecord] = []
    report = scan_videos(folder, progress=seen.append)
    assert list(report.records) == seen == list(report)
    names = [Path(record.path).name for record in report]
    assert sorted(names) == sorted([*REASONS, "good.MP4", "turned.mp4", "vp9.webm"])
    assert len(report) == len(REASONS) + 3
    assert {Path(r.path).name for r in report.readable} == {"good.MP4", "turned.mp4", "vp9.webm"}
    assert {Path(r.path).name for r in report.with_motion} == {"good.MP4", "turned.mp4"}
    assert {Path(r.path).name for r in report.problems} == {*REASONS, "vp9.webm"}
    for record in report.problems:
        name = Path(record.path).name
        assert record.problem is not None
        assert record.problem.startswith(f"{record.path}: ")
        assert "\n" not in record.problem
        assert record.status == REASONS.get(name, "no_vectors")
        assert record.bytes == Path(record.path).stat().st_size
        assert record.readable == (name == "vp9.webm")


def test_what_a_record_says(folder: Path):
    good, turned, vp9 = (scan_videos(folder / name).records[0] for name in ("deep/good.MP4", "turned.mp4", "vp9.webm"))
    assert good.problem is None
    assert (good.codec, good.width, good.height, good.fps, good.rotation) == ("h264", 96, 64, 25, 0)
    assert (good.frames, good.gop, good.b_frames) == (24, 8, True)
    assert good.seconds == pytest.approx(24 / 25)
    assert good.vectors == pytest.approx(21 / 24)
    assert turned.rotation == 90
    assert (vp9.codec, vp9.frames, vp9.vectors, vp9.has_motion) == ("vp9", 5, 0, False)


def test_paths_given_twice_are_scanned_once(folder: Path):
    good = folder / "deep" / "good.MP4"
    assert find_videos([good, folder / "deep", good]) == [good]


def test_folders_that_may_not_be_read(linked: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("b/closed", "open"):
        (linked / name).mkdir()
        shutil.copy(ordinary, linked / name / "4.mp4")
    closed = linked / "b" / "closed"
    close(closed, monkeypatch)
    found = search_videos([linked, linked / "b"])
    assert found.closed == (closed,)
    check_message("find-closed", found.closed_note)
    assert linked / "open" / "4.mp4" in found.videos
    assert search_videos([closed]).videos == ()
    with raises(VideoError, "unreadable", subject=closed):
        find_videos([closed])
    report = scan_videos(linked)
    assert [Path(r.path) for r in report] == [*find_videos([linked]), closed]
    (problem,) = (record.problem for record in report if record.path == str(closed))
    assert str(problem).startswith(f"{closed}: ")
    assert report.records[-1] == VideoRecord(path=str(closed), bytes=0, status="unreadable", problem=problem)
    manifest = linked.parent / "m.jsonl"
    scan_to_manifest(manifest, linked)
    assert tuple(read_manifest(manifest)) == report.records
    monkeypatch.undo()
    scan_to_manifest(manifest, linked)  # permitted meanwhile
    assert {Path(r.path).name: r.frames for r in read_manifest(manifest) if r.readable} == {"4.mp4": 24}
    assert str(closed) not in {r.path for r in read_manifest(manifest)}


def test_nothing_to_scan_is_an_error(tmp_path: Path):
    with raises(VideoError, "not_found", message="scan-no-video"):
        scan_videos(tmp_path)
    with raises(VideoError, "not_found", message="scan-no-such-path"):
        scan_videos(tmp_path / "missing")


def test_processes_give_the_same_report_and_manifest(folder: Path, tmp_path: Path):
    report = scan_videos(folder)
    counted: list[tuple[int, int]] = []
    scan_to_manifest(
        tmp_path / "m.jsonl", folder, processes=2, progress=lambda done, total: counted.append((done, total))
    )
    assert tuple(read_manifest(tmp_path / "m.jsonl")) == report.records
    assert counted == [(done, len(report)) for done in range(len(report) + 1)]


def test_paths_stay_as_they_were_given(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    scan_to_manifest(tmp_path / "m.csv", "deep", "turned.mp4")
    assert [record.path for record in read_manifest(tmp_path / "m.csv")] == ["deep/good.MP4", "turned.mp4"]


def test_the_summary_counts_what_the_report_holds(folder: Path):
    report = scan_videos(folder)
    summary = ScanSummary(limit=3)
    for record in report:
        summary.add(record)
    assert (summary.files, summary.readable) == (len(report), len(report.readable))
    assert summary.with_motion == len(report.with_motion)
    assert sum(group.files for group in summary.sizes.values()) == len(report)
    assert summary.sizes["h264", "96x64", "ok"].files == 2
    assert summary.classes["h264", "144p", "ok"].frames == 48
    assert summary.sizes["-", "-", "not_video"].files == 2
    assert sum(count for count, _ in summary.problems.values()) == len(report.problems)
    broken = [record for record in report if not record.readable]
    assert summary.broken == broken[:3]
    assert [Path(record.path).name for record in summary.others] == ["vp9.webm"]


def dies_on_three(path: Path) -> VideoRecord:
    if path.stem == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    return scan_file(path)


def test_a_file_that_kills_its_worker_is_named(tmp_path: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch):
    """As a crash in the decoder would, or the kernel when memory runs out."""
    for i in range(9):
        shutil.copy(ordinary, tmp_path / f"{i}.mp4")
    monkeypatch.setattr(importlib.import_module("mgm.video.scan.folder"), "scan_file", dies_on_three)
    report = scan_videos(tmp_path, processes=2)
    assert [record.frames for record in report] == [24, 24, 24, None, 24, 24, 24, 24, 24]
    assert str(report.records[3].problem).startswith(f"{tmp_path / '3.mp4'}: ")
    assert report.records[3].status == "crashed"
    assert not report.records[3].readable


def hangs_on_three(path: Path) -> VideoRecord:
    if path.stem == "3":
        (path.parent / "pipe").read_bytes()  # waits in the kernel for a writer that never comes
    return scan_file(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_file_that_hangs_costs_one_record(tmp_path: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch, processes):
    for i in range(9):
        shutil.copy(ordinary, tmp_path / f"{i}.mp4")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(importlib.import_module("mgm.video.scan.folder"), "scan_file", hangs_on_three)
    report = scan_videos(tmp_path, processes=processes, timeout_seconds=5)
    assert [record.frames for record in report] == [24, 24, 24, None, 24, 24, 24, 24, 24]
    assert report.records[3].status == "crashed"
    check_message("scan-hangs", str(report.records[3].problem))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (record,) = scan_videos(tmp_path)
    assert (record.status, record.readable) == ("not_video", False)


def test_workers_killed_from_outside_cost_no_record(tmp_path: Path, ordinary: Path):
    for i in range(12):
        shutil.copy(ordinary, tmp_path / f"{i:02d}.mp4")
    killed: list[int | None] = []

    def kill(record: VideoRecord) -> None:
        if not killed:
            for worker in multiprocessing.active_children():
                killed.append(worker.pid)
                worker.kill()

    report = scan_videos(tmp_path, processes=2, progress=kill)
    assert killed
    assert [record.frames for record in report] == [24] * 12


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_ray_gives_the_same_records(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str):
    """On a local Ray of two workers."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(folder.parent)
    expected = {record.path: record for record in scan_videos(folder)}
    assert {record.path: record for record in scan_videos(folder.name, ray=True, processes=2)} == expected
    scan_to_manifest(tmp_path / f"m.{suffix}", folder.name, ray=True, processes=2)
    assert {record.path for record in read_manifest(tmp_path / f"m.{suffix}")} == set(expected)
