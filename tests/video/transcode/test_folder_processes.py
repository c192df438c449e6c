"""Preparing a folder: processes that die, hang or are killed, and other machines, change no result."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mgm.video.transcode.folder as prepare_module
from mgm.errors import FileError
from mgm.video.transcode.folder import prepare_videos
from mgm.video.transcode.manifest import PreparedVideo
from tests.errors import check_message, raises
from tests.video.transcode.results import SMALL, contents


def dies_on_x(job: prepare_module._TranscodeJob) -> PreparedVideo:
    if job.source.stem == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    return prepare_module._prepare_one(job)


def test_a_process_that_dies_costs_one_file(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare_module, "_prepare_one", dies_on_x)
    report = prepare_videos(videos / "a", tmp_path, processes=2, **SMALL)
    assert [r.status for r in report] == ["failed", "done"]
    assert str(report.failed[0].problem).startswith(f"{videos}/a/x.mp4: ")


def hangs_on_x(job: prepare_module._TranscodeJob) -> PreparedVideo:
    if job.source.stem == "x":
        (job.target.parent / "pipe").read_bytes()  # waits in the kernel for a writer that never comes
    return prepare_module._prepare_one(job)


@pytest.mark.slow  # it waits for ten seconds; a scan of a file that hangs, by the same pool, is tested always
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_video_that_hangs_costs_one_file(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(prepare_module, "_prepare_one", hangs_on_x)
    report = prepare_videos(videos / "a", tmp_path, processes=2, timeout_seconds=10, **SMALL)
    assert [r.status for r in report] == ["failed", "done"]
    check_message("prepare-hangs", str(report.failed[0].problem))


def test_what_nobody_foresaw_is_a_record_too(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(*arguments: object) -> None:
        raise MemoryError("two\nlines")

    monkeypatch.setattr(prepare_module, "transcode_video", fails)
    report = prepare_videos(videos / "a", tmp_path, **SMALL)
    assert [r.status for r in report] == ["failed", "failed"]
    for record in report:
        assert f"{videos / record.source}".endswith(record.source)
        assert "MemoryError: two lines" in str(record.problem)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
@pytest.mark.parametrize(
    ("processes", "kills"), [pytest.param(1, 3, id="one"), pytest.param(2, 8, id="two", marks=pytest.mark.slow)]
)
def test_killed_at_any_moment_the_next_run_finishes(
    videos: Path, tmp_path: Path, undisturbed: dict[str, bytes], processes: int, kills: int
):
    code = (
        "import sys\n"
        "from mgm.video.transcode.folder import prepare_videos\n"
        "if __name__ == '__main__':\n"
        "    prepare_videos(sys.argv[1], sys.argv[2], short_side=32, crf=35, processes=int(sys.argv[3]),\n"
        "            progress=lambda record: print(record.source, flush=True))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    out = tmp_path / "out"
    rng = np.random.default_rng(0)
    for _ in range(kills):
        running = subprocess.Popen([sys.executable, script, videos, out, str(processes)], stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()  # it is at work, however slow the machine starts
        time.sleep(rng.uniform(0, 0.25))
        running.kill()
        running.wait()
        running.stdout.close()
    prepare_videos(videos, out, processes=processes, **SMALL)
    assert contents(out) == undisturbed


def sleeps(job: prepare_module._TranscodeJob) -> PreparedVideo:
    job.target.with_suffix(".pid").write_text(str(os.getpid()))
    time.sleep(60)
    raise AssertionError("it was not ended")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_a_worker_ends_with_the_command(videos: Path, tmp_path: Path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "import mgm.video.transcode.folder as module\n"
        "from tests.video.transcode.test_folder_processes import sleeps\n"
        "if __name__ == '__main__':\n"
        "    module._prepare_one = sleeps\n"
        "    module.prepare_videos(sys.argv[1], sys.argv[2], processes=2)\n"
    )
    out = tmp_path / "out"
    place = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])}
    running = subprocess.Popen([sys.executable, script, videos / "a", out], env=place)
    until(lambda: len(list(out.glob("*.pid"))) == 2)
    workers = [int(path.read_text()) for path in out.glob("*.pid")]
    running.kill()
    running.wait()
    until(lambda: not any(is_alive(worker) for worker in workers))


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen within 20 s")


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_killed_run_left_is_removed_and_nothing_else(
    videos: Path, tmp_path: Path, undisturbed: dict[str, bytes]
):
    (tmp_path / "b" / "gone").mkdir(parents=True)
    left = (f".mgm-{'0' * 16}.{'0' * 8}-{os.getpid()}-1.part", f"b/gone/.mgm-{'1' * 16}.{'0' * 8}-1-23.part")
    kept = (".notes.part", "x.mp4.123.part", ".x.mp4.part", ".mgm-notes.1.part")
    for name in (*left, *kept):
        (tmp_path / name).write_bytes(b"")
    prepare_videos(videos, tmp_path, **SMALL)
    assert contents(tmp_path) == {**undisturbed, **dict.fromkeys(kept, b"")}


def test_ray_says_what_to_install(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with raises(FileError, "missing_package", message="transcode-needs-ray"):
        prepare_videos(videos, tmp_path, ray=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_files(
    videos: Path, tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
):
    """On a local Ray of two workers."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    report = prepare_videos(videos, tmp_path / "out", ray=True, processes=2, **SMALL)
    assert len(report.failed) == 2
    assert contents(tmp_path / "out") == undisturbed
