import json
import re
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mgm.commands.prepare import prepare
from mgm.data import load_set, pack_set
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import DataError, VideoError
from mgm.video.transcode.encoders import ENCODERS
from tests.errors import raises
from tests.files.closed import close
from tests.video.transcode.substitutes import substitute

APP = typer.Typer()
APP.command()(prepare)
SETTINGS = ["--short-side", "32", "--processes", "1"]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_translation(folder / "a.mp4", velocity=(2, 0), frames=8, size=(64, 64))
    make_translation(folder / "b.webm", velocity=(2, 0), frames=8, size=(64, 64), codec="libvpx-vp9")
    return folder


def mgm_prepare(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(APP, [*map(str, arguments), *SETTINGS])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_summary_counts_done_and_skipped(videos: Path, tmp_path: Path):
    code, output = mgm_prepare(videos, tmp_path / "out")
    assert code == 0
    assert re.search(r"2 files: 2 done, 0 skipped \(already there\), 0 failed; \S+ \w+ before, \S+ \w+ after", output)
    code, output = mgm_prepare(videos, tmp_path / "out")
    assert code == 0
    assert "2 files: 0 done, 2 skipped (already there), 0 failed" in output


@pytest.mark.parametrize("named", ["", "shards.json", "shard-000000.tar"])
def test_shards_are_an_error_that_names_the_order(videos: Path, tmp_path: Path, named: str):
    pack_set(load_set(videos), tmp_path / "shards")
    with raises(DataError, reason="unsupported", subject=tmp_path / "shards" / named):
        prepare(tmp_path / "shards" / named, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_file_is_no_files(videos: Path, tmp_path: Path):
    assert "\n1 file: 1 done, 0 skipped" in "\n" + mgm_prepare(videos / "a.mp4", tmp_path / "out")[1]


def test_results_without_a_source_are_a_line(videos: Path, tmp_path: Path):
    for name in ("c", "d", "e"):
        shutil.copy(videos / "a.mp4", videos / f"{name}.mp4")
    assert "no source" not in mgm_prepare(videos, tmp_path / "out")[1]
    (videos / "b.webm").unlink()
    assert re.search(r"\n1 file in DST .*: b\.mp4\n", mgm_prepare(videos, tmp_path / "out")[1])
    for name in ("c", "d", "e"):
        (videos / f"{name}.mp4").unlink()
    code, output = mgm_prepare(videos, tmp_path / "out")
    assert code == 0
    assert re.search(r"\n4 files in DST .*: b\.mp4, c\.mp4, d\.mp4, \.\.\.\n", output)


def test_failures_are_one_line_each_and_the_exit_status(videos: Path, tmp_path: Path):
    (videos / "text.mp4").write_text("hello")
    (videos / "empty.mp4").touch()
    code, output = mgm_prepare(videos, tmp_path / "out")
    assert code == 1
    assert "4 files: 2 done, 0 skipped (already there), 2 failed" in output
    (line,) = [line for line in output.splitlines() if "text.mp4" in line]
    assert line.startswith(f"{videos}/text.mp4: ")
    assert any(line.startswith(f"{videos}/empty.mp4: ") for line in output.splitlines())


def test_options_reach_the_manifest(videos: Path, tmp_path: Path):
    options = ["--profile", "strided", "--stride", "2", "--gop", "8", "--crf", "30"]
    assert mgm_prepare(videos, tmp_path / "out", *options)[0] == 0
    lines = (tmp_path / "out" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["profile"] for line in lines} == {
        "mgm profile=strided stride=2 gop=8 crf=30 short_side=32 preset=medium version=1"
    }


def test_the_encoder_that_auto_finds_is_said(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in set(ENCODERS) - {"software"}:
        substitute(monkeypatch, name=name, codec=f"no_{name}")
    code, output = mgm_prepare(videos, tmp_path / "out", "--encoder", "auto")
    assert code == 0
    assert "encoder: libx264; not in this FFmpeg: no_nvenc, " in output
    substitute(monkeypatch, name="amf")
    assert (
        "encoder: libx264; not in this FFmpeg: no_nvenc, no_qsv\n"
        in mgm_prepare(videos, tmp_path / "out", "--encoder", "auto")[1]
    )
    lines = (tmp_path / "out" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)["profile"].endswith(" encoder=amf version=1") for line in lines)
    assert "encoder: " not in mgm_prepare(videos, tmp_path / "out")[1]
    with raises(VideoError, "unsupported", subject="encoder qsv"):
        prepare(videos, tmp_path / "out", encoder="qsv")


def test_what_is_left_out_is_said(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (videos / "notes.txt").touch()
    (videos / "closed").mkdir()
    shutil.copy(videos / "a.mp4", videos / "closed" / "c.mp4")
    assert mgm_prepare(videos, tmp_path / "out")[0] == 0
    close(videos / "closed", monkeypatch)
    code, output = mgm_prepare(videos, tmp_path / "out")
    assert code == 1
    assert f"1 folder, such as {videos / 'closed'}; " in output
    assert "1 .txt" in output
    assert "no source" not in output
    rows = (tmp_path / "out" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["source"] for row in rows] == ["a.mp4", "b.webm", "closed/c.mp4"]
    assert (tmp_path / "out" / "closed" / "c.mp4").stat().st_size
