"""`mgm scan` as a user meets it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from mgm import load_set
from mgm.commands.scan import MOST_ROWS, STATUS_ADVICE, summary_table
from mgm.data.synthetic.known_motion import make_translation
from mgm.video.scan.manifest import read_manifest
from mgm.video.scan.record import Status, VideoRecord
from mgm.video.scan.summary import ScanSummary
from tests.commands.in_process import here


def mgm_scan(*arguments: object, cwd: Path, columns: int = 120) -> subprocess.CompletedProcess[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setenv("COLUMNS", str(columns))
        return here("scan", *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good file, one of VP9, one of key frames alone, two cut off, one text."""
    root = tmp_path_factory.mktemp("command")
    videos = root / "my videos"
    good, size = videos / "good.mp4", (64, 96)
    make_translation(good, velocity=(3, -2), frames=8, size=size)
    make_translation(videos / "vp9.webm", velocity=(3, -2), frames=4, size=size, codec="libvpx-vp9")
    make_translation(videos / "keys.mp4", velocity=(3, -2), frames=4, size=size, options={"g": 1})
    data = good.read_bytes()
    for share in (3, 4):
        (videos / f"cut_{share}.mp4").write_bytes(data[: len(data) * share // 5])
    (videos / "text.mp4").write_text("no video")
    return root


def test_manifest_is_a_set_without_the_broken_files(folder: Path):
    done = mgm_scan("my videos", "--out", "readable.csv", cwd=folder)
    assert "readable.csv is a set without the broken files" in done.stdout.splitlines()
    assert done.stderr.splitlines()[-1] == "next: mgm preview readable.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        items = load_set("readable.csv").train
    assert sorted(Path(item.path).name for item in items) == ["good.mp4", "keys.mp4", "vp9.webm"]


def test_what_is_printed(folder: Path):
    done = mgm_scan("my videos", cwd=folder)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    header = next(line.split() for line in lines if line.startswith("codec"))
    good = next(line.split() for line in lines if " ok " in line)
    assert header[:6] == ["codec", "size", "status", "files", "frames", "length"]
    assert good[:7] == ["h264", "96x64", "ok", "1", "8", "0.3", "s"]
    assert header[6:] == ["fps", "GOP", "B-frames", "vectors", "px/frame", "motion"]
    fps, gop, b_frames, vectors, speed, source = good[7:]
    assert (fps, gop, b_frames, vectors, source) == ("25", "8", "100%", "88%", "codec")
    assert 3.2 < float(speed) < 4
    command = "mgm prepare 'my videos' 'my videos-prepared'"
    assert (
        "no vectors: 1 file (the codec exports no motion vectors), such as my videos/vp9.webm: "
        f"read them with --motion auto, or transcode them (the good files too): {command}" in lines
    )
    assert any(line.startswith("intra only: 1 file (") and line.endswith(command) for line in lines)
    expected = "truncated: 2 files (the file ends too early), such as my videos/cut_3.mp4: copy or download it again"
    assert expected in lines
    assert any(line.startswith("my videos/cut_3.mp4: ") for line in lines)
    assert any(line.startswith("my videos/vp9.webm: ") for line in lines)
    assert lines[-2:] == [
        "6 files: 3 readable, 1 with motion vectors, 3 broken",
        "--out readable.csv writes a set without the broken files",
    ]


def test_eighty_columns_cut_nothing_off(folder: Path):
    lines = mgm_scan("my videos", cwd=folder, columns=80).stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("codec"))
    table = lines[start : lines.index("", start)]
    assert len(table) > 5
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_manifest_is_brought_up_to_date(folder: Path, tmp_path: Path, suffix: str):
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(folder / "my videos" / "good.mp4", videos)
    out = tmp_path / f"m{suffix}"
    done = mgm_scan("videos", "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "1 file: 1 readable, 1 with motion vectors, 0 broken; one row each in"
    )
    shutil.copy(folder / "my videos" / "text.mp4", videos)
    assert mgm_scan("videos", "--out", out, cwd=tmp_path).returncode == 1
    assert {record.path: record.status for record in read_manifest(out)} == {
        "videos/good.mp4": "ok",
        "videos/text.mp4": "not_video",
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == [out.name, "videos"]


def test_twenty_problems_unless_verbose(tmp_path: Path):
    for number in range(25):
        (tmp_path / f"{number:02d}.mp4").write_text("no video")
    done = mgm_scan(".", cwd=tmp_path)
    assert len(re.findall(r"^\d\d\.mp4: ", done.stdout, re.MULTILINE)) == 20
    assert "and 5 more: --verbose lists all" in done.stdout
    done = mgm_scan(".", "--verbose", "--out", "m.jsonl", cwd=tmp_path)
    assert len(re.findall(r"^\d\d\.mp4: ", done.stdout, re.MULTILINE)) == 25
    assert "more:" not in done.stdout
    assert len([json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]) == 25
    assert "and 5 more: see m.jsonl" in mgm_scan(".", "--out", "m.jsonl", cwd=tmp_path).stdout


def test_a_wrong_suffix_is_one_line(tmp_path: Path):
    (tmp_path / "a.mp4").write_text("no video")
    done = mgm_scan(".", "--out", "m.json", cwd=tmp_path)
    assert done.returncode == 1
    (_, line) = done.stderr.splitlines()
    assert line.startswith("mgm: m.json: ")


def test_the_advice_for_what_is_alone_names_no_others(folder: Path):
    lines = mgm_scan("my videos/vp9.webm", cwd=folder).stdout.splitlines()
    command = "transcode them: mgm prepare 'my videos/vp9.webm' prepared"
    assert any(line.startswith("no vectors: 1 file (") and line.endswith(command) for line in lines)
    assert lines[-1] == "1 file: 1 readable, 0 with motion vectors, 0 broken"


@pytest.mark.parametrize("out", [[], ["--out", "m.jsonl"]])
def test_links_that_lead_nowhere_are_reported(tmp_path: Path, out: list[str]):
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    done = mgm_scan(".", *out, cwd=tmp_path)
    assert done.returncode == 1
    assert "unreadable: 1 file (cannot be opened), such as gone.mp4: check its permissions" in done.stdout


def test_every_status_but_ok_has_advice():
    assert set(STATUS_ADVICE) == set(get_args(Status)) - {"ok"}


def test_many_sizes_are_put_together():
    summary = ScanSummary()
    for side in range(200, 200 + 2 * MOST_ROWS, 2):
        summary.add(VideoRecord(path="a", bytes=1, status="ok", codec="h264", width=400, height=side, frames=2))
    assert summary_table(summary).row_count == MOST_ROWS
    summary.add(VideoRecord(path="a", bytes=1, status="ok", codec="h264", width=400, height=100, frames=2))
    table = summary_table(summary)
    assert list(table.columns[1].cells) == ["144p", "240p", "360p"]
    assert list(table.columns[3].cells) == ["1", "21", "9"]


def test_the_last_line_counts_what_is_left_out(folder: Path, tmp_path: Path):
    shutil.copy(folder / "my videos" / "good.mp4", tmp_path)
    for name in ("a.txt", "b.txt", "__MACOSX/._good.mp4", "sub/LICENSE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for out in ([], ["--out", tmp_path / "m.parquet"]):
        done = mgm_scan(".", *out, cwd=tmp_path)
        assert done.returncode == 0
        assert any(line.endswith(": 2 .txt, 1 without a suffix") for line in done.stdout.splitlines())
