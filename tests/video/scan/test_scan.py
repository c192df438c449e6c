import importlib
import multiprocessing
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.video.scan.manifest import read_manifest
from mgm.video.scan.record import VideoRecord
from mgm.video.scan.scan import ScanSummary, find_videos, scan, scan_file, scan_to, short_side
from tests.video.broken import BROKEN, make_broken
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
    report = scan(folder, progress=seen.append)
    assert list(report.records) == seen == list(report)
    names = [Path(record.path).name for record in report]
    assert sorted(names) == sorted([*BROKEN, "good.MP4", "turned.mp4", "vp9.webm"])
    assert len(report) == len(BROKEN) + 3
    assert {Path(r.path).name for r in report.readable} == {"good.MP4", "turned.mp4", "vp9.webm"}
    assert {Path(r.path).name for r in report.with_motion} == {"good.MP4", "turned.mp4"}
    assert {Path(r.path).name for r in report.problems} == {*BROKEN, "vp9.webm"}
    for record in report.problems:
        name = Path(record.path).name
        assert record.problem is not None
        assert record.problem.startswith(f"{record.path}: ")
        assert "\n" not in record.problem
        assert re.search(BROKEN.get(name, "VP9 carries no exported motion vectors"), record.problem)
        assert record.bytes == Path(record.path).stat().st_size
        assert record.readable == (name == "vp9.webm")


def test_what_a_record_says(folder: Path):
    good, turned, vp9 = (scan(folder / name).records[0] for name in ("deep/good.MP4", "turned.mp4", "vp9.webm"))
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


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Folders reached through links alone, twice, through themselves and from outside."""
    root, outside = tmp_path / "set", tmp_path / "outside"
    for folder in (root / "b", outside / "inner"):
        folder.mkdir(parents=True)
    for file in (root / "b" / "1.mp4", outside / "2.mp4", outside / "inner" / "3.mp4"):
        file.touch()
    (root / "link").symlink_to(outside)
    (root / "again").symlink_to(root / "b")
    (root / "b" / "up").symlink_to(root)
    (outside / "back").symlink_to(root / "b")
    (root / "itself").symlink_to(root / "itself")
    (root / "dangling.mp4").symlink_to(root / "nowhere")
    return root


def test_links_to_folders_are_followed_once(linked: Path):
    found = find_videos([linked])
    assert [str(p.relative_to(linked)) for p in found] == [
        "b/1.mp4",  # not again/1.mp4, link/back/1.mp4, b/up/b/1.mp4
        "dangling.mp4",
        "link/2.mp4",
        "link/inner/3.mp4",
    ]
    assert find_videos([linked / "again"])[0] == linked / "again" / "1.mp4"


def test_folders_that_may_not_be_read(linked: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("b/closed", "open"):
        (linked / name).mkdir()
        shutil.copy(ordinary, linked / name / "4.mp4")
    closed, listed = linked / "b" / "closed", os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told: list[Path] = []
    found = find_videos([linked, linked / "b"], unreadable=told.append)
    assert told == [closed]
    assert found == find_videos([linked, linked / "b"])
    assert linked / "open" / "4.mp4" in found
    assert find_videos([closed], unreadable=told.append) == []
    with pytest.raises(VideoError, match=r"no video found .*; .*closed cannot be read: check its permissions"):
        find_videos([closed])
    problem = f"{closed}: a folder that cannot be read (Permission denied), expected to list it; check its permissions"
    expected = VideoRecord(path=str(closed), bytes=0, status="unreadable", problem=problem)
    report = scan(linked)
    assert [Path(r.path) for r in report] == [*find_videos([linked]), closed]
    assert report.records[-1] == expected
    manifest = linked.parent / "m.jsonl"
    scan_to(manifest, linked)
    assert tuple(read_manifest(manifest)) == report.records
    monkeypatch.undo()
    scan_to(manifest, linked)  # permitted meanwhile
    assert {Path(r.path).name: r.frames for r in read_manifest(manifest) if r.readable} == {"4.mp4": 24}
    assert str(closed) not in {r.path for r in read_manifest(manifest)}


def test_a_path_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, **options: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(VideoError, match=r"a\.mp4: cannot be opened \(Permission denied\); check its permissions"):
        find_videos([tmp_path / "a.mp4"])


def test_nothing_to_scan_is_an_error(tmp_path: Path):
    with pytest.raises(VideoError, match="no video found"):
        scan(tmp_path)
    with pytest.raises(VideoError, match="missing: no such file or folder; check the path"):
        scan(tmp_path / "missing")


def test_processes_give_the_same_report_and_manifest(folder: Path, tmp_path: Path):
    report = scan(folder)
    counted: list[tuple[int, int]] = []
    scan_to(tmp_path / "m.jsonl", folder, processes=2, progress=lambda done, total: counted.append((done, total)))
    assert tuple(read_manifest(tmp_path / "m.jsonl")) == report.records
    assert counted == [(done, len(report)) for done in range(len(report) + 1)]


def test_paths_stay_as_they_were_given(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    scan_to(tmp_path / "m.csv", "deep", "turned.mp4")
    assert [record.path for record in read_manifest(tmp_path / "m.csv")] == ["deep/good.MP4", "turned.mp4"]


def test_the_summary_counts_what_the_report_holds(folder: Path):
    report = scan(folder)
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


@pytest.mark.parametrize(
    ("size", "name"),
    [((340, 256), "360p"), ((240, 320), "240p"), ((1920, 1080), "1080p"), ((64, 9), "144p"), ((8000, 5000), "5000p")],
)
def test_size_classes(size: tuple[int, int], name: str):
    assert short_side(*size) == name


def dies_on_three(path: Path) -> VideoRecord:
    if path.stem == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    return scan_file(path)


def test_a_file_that_kills_its_worker_is_named(tmp_path: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch):
    """As a crash in the decoder would, or the kernel when memory runs out."""
    for i in range(9):
        shutil.copy(ordinary, tmp_path / f"{i}.mp4")
    monkeypatch.setattr(importlib.import_module("mgm.video.scan.scan"), "scan_file", dies_on_three)
    report = scan(tmp_path, processes=2)
    assert [record.frames for record in report] == [24, 24, 24, None, 24, 24, 24, 24, 24]
    assert str(report.records[3].problem).startswith(f"{tmp_path / '3.mp4'}: ")
    assert report.records[3].status == "crashed"
    assert not report.records[3].readable


def hangs_on_three(path: Path) -> VideoRecord:
    if path.stem == "3":
        (path.parent / "pipe").read_bytes()  # waits in the kernel for a writer that never comes
    return scan_file(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_file_that_hangs_costs_one_record(tmp_path: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch):
    for i in range(9):
        shutil.copy(ordinary, tmp_path / f"{i}.mp4")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(importlib.import_module("mgm.video.scan.scan"), "scan_file", hangs_on_three)
    report = scan(tmp_path, processes=2, timeout_seconds=2)
    assert [record.frames for record in report] == [24, 24, 24, None, 24, 24, 24, 24, 24]
    assert report.records[3].status == "crashed"
    assert "2 s" in str(report.records[3].problem)


def test_workers_killed_from_outside_cost_no_record(tmp_path: Path, ordinary: Path):
    for i in range(12):
        shutil.copy(ordinary, tmp_path / f"{i:02d}.mp4")
    killed: list[int | None] = []

    def kill(record: VideoRecord) -> None:
        if not killed:
            for worker in multiprocessing.active_children():
                killed.append(worker.pid)
                worker.kill()

    report = scan(tmp_path, processes=2, progress=kill)
    assert killed
    assert [record.frames for record in report] == [24] * 12
