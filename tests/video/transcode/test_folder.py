"""Preparing a folder: its layout, its manifest, what is done again, and what is never touched."""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import av
import av.error
import pytest

import mgm.video.transcode.folder as prepare_module
from mgm.errors import FileError, VideoError
from mgm.video.container.metadata import read_video_info
from mgm.video.transcode.folder import prepare_command, prepare_videos
from mgm.video.transcode.manifest import PreparedVideo
from mgm.video.transcode.profiles import describe_profile, make_profile
from tests.errors import raises
from tests.video.broken import REASONS, make_broken
from tests.video.clips import encode_moving
from tests.video.transcode.results import SMALL, contents, manifest, stamps


def test_layout_manifest_and_failures(videos: Path, tmp_path: Path, undisturbed: dict[str, bytes]):
    seen: list[PreparedVideo] = []
    report = prepare_videos(videos, tmp_path / "out", progress=seen.append, **SMALL)
    assert contents(tmp_path / "out") == undisturbed
    results = ["a-b/x.mp4", "a/x.mp4", "a/y.mp4", "b/c/x.avi.mp4", "b/c/x.mp4.mp4", "b/z.mp4", "turned.mp4", "vp9.mp4"]
    assert sorted(undisturbed) == sorted(["manifest.jsonl", *results])
    assert [r.target for r in report.done] == results
    assert [r.source for r in report.failed] == ["b/text.mp4", "cut.mp4"]
    assert "text.mp4: " in str(report.failed[0].problem)
    assert "cut.mp4: " in str(report.failed[1].problem)
    assert (len(report), report.skipped, len(seen)) == (10, 0, 10)
    lines = manifest(tmp_path / "out")
    assert [line["source"] for line in lines] == sorted(str(line["source"]) for line in lines)
    for line, record in zip(lines, report, strict=True):
        source = videos / record.source
        assert line["bytes_in"] == source.stat().st_size
        assert line["mtime_ns"] == source.stat().st_mtime_ns
        assert line["profile"] == describe_profile(make_profile("motion", **SMALL))
        if record.status == "done":
            found = read_video_info(tmp_path / "out" / record.target)
            assert (line["frames"], line["height"], line["width"]) == (found.frames, found.height, found.width)
            assert line["bytes_out"] == (tmp_path / "out" / record.target).stat().st_size
            assert (line["codec_out"], line["problem"]) == ("h264", None)
    by_source = {line["source"]: line for line in lines}
    assert (by_source["vp9.webm"]["codec_in"], by_source["vp9.webm"]["frames"]) == ("vp9", 5)
    assert (by_source["turned.mp4"]["height"], by_source["turned.mp4"]["width"]) == (48, 32)
    assert report.bytes_in == sum((videos / r.source).stat().st_size for r in report.done)
    assert report.bytes_out == sum(len(undisturbed[name]) for name in results)


def test_a_second_run_skips_what_is_done(videos: Path, tmp_path: Path, undisturbed: dict[str, bytes]):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(videos, source)
    prepare_videos(source, out, **SMALL)
    before = stamps(out)
    again = prepare_videos(source, out, **SMALL)
    assert (again.skipped, len(again.done), len(again.failed)) == (8, 8, 2)
    assert stamps(out) == before

    os.utime(source / "a" / "x.mp4", ns=(1, 1))
    (out / "a" / "y.mp4").unlink()
    (out / "b" / "z.mp4").write_bytes(b"")
    (source / "cut.mp4").write_bytes((source / "a" / "x.mp4").read_bytes())
    report = prepare_videos(source, out, **SMALL)
    assert report.skipped == 5
    assert f"{out / 'b' / 'z.mp4'}: " in str({r.source: r.problem for r in report}["b/z.MOV"])
    (out / "b" / "z.mp4").unlink()
    assert prepare_videos(source, out, **SMALL).skipped == 8
    after = stamps(out)
    redone = {name for name in after if after[name] != before.get(name)}
    assert redone == {"a/x.mp4", "a/y.mp4", "b/z.mp4", "cut.mp4"}
    assert contents(out)["a/y.mp4"] == undisturbed["a/y.mp4"]

    other = prepare_videos(source, out, "strided", stride=2, **SMALL)
    assert (other.skipped, len(other.done)) == (0, 9)
    assert not {name for name, stamp in stamps(out).items() if stamp == after[name]}


def test_a_source_that_broke_loses_its_old_result(tmp_path: Path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    encode_moving(source / "a.mp4", frames=4)
    encode_moving(source / "b.mp4", frames=4)
    prepare_videos(source, out, **SMALL)
    (source / "a.mp4").write_bytes(b"")
    report = prepare_videos(source, out, **SMALL)
    assert [r.status for r in report] == ["failed", "done"]
    assert sorted(p.name for p in out.iterdir()) == ["b.mp4", "manifest.jsonl"]


def test_a_new_neighbour_renames_and_leaves_no_stray(tmp_path: Path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    encode_moving(source / "a.mp4", frames=4)
    prepare_videos(source, out, **SMALL)
    encode_moving(source / "a.mkv", frames=4)
    before = (out / "a.mp4").stat()
    assert prepare_videos(source, out, **SMALL).skipped == 1
    after = (out / "a.mp4.mp4").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)  # it was read, not written
    assert sorted(p.name for p in out.iterdir()) == ["a.mkv.mp4", "a.mp4.mp4", "manifest.jsonl"]
    (source / "a.mkv").unlink()
    prepare_videos(source, out, **SMALL)
    assert sorted(p.name for p in out.iterdir()) == ["a.mkv.mp4", "a.mp4", "manifest.jsonl"]
    assert [line["source"] for line in manifest(out)] == ["a.mp4"]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two sources and their results."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    encode_moving(source / "a.mp4", frames=4)
    encode_moving(source / "b.mp4", frames=5)
    prepare_videos(source, out, **SMALL)
    return source, out


def test_two_folders_of_sources_do_not_share_results(two: tuple[Path, Path], tmp_path: Path):
    source, out = two
    (tmp_path / "val").mkdir()
    encode_moving(tmp_path / "val" / "a.mp4", frames=7)
    before = contents(out)
    for other in (tmp_path / "val", tmp_path / "val" / "a.mp4"):
        with raises(FileError, "conflict", subject=out):
            prepare_videos(other, out, **SMALL)
    assert contents(out) == before
    (out / "manifest.jsonl").rename(out / "manifest.journal")  # as a killed run leaves it
    with raises(FileError, "conflict", subject=out):
        prepare_videos(tmp_path / "val", out, **SMALL)
    (tmp_path / "link").symlink_to(source)
    assert prepare_videos(tmp_path / "link", out, **SMALL).skipped == 2
    assert contents(out) == before


def test_a_part_of_the_sources_joins_the_manifest(videos: Path, tmp_path: Path, undisturbed: dict[str, bytes]):
    prepare_videos(videos, tmp_path, **SMALL)
    (tmp_path / "a" / "y.mp4").unlink()
    (tmp_path / "b" / "c" / "x.avi.mp4").unlink()
    one = prepare_videos(videos / "a" / "y.mkv", tmp_path, **SMALL)
    assert ([r.source for r in one], one.skipped, one.orphans) == (["a/y.mkv"], 0, ())
    some = prepare_videos(videos / "b" / "c", tmp_path, **SMALL)
    assert ([r.source for r in some], some.skipped) == (["b/c/x.avi", "b/c/x.mp4"], 1)
    assert contents(tmp_path) == undisturbed


def test_files_one_by_one_end_like_their_folder(two: tuple[Path, Path], tmp_path: Path):
    source, out = two
    encode_moving(source / "a.mkv", frames=4)
    prepare_videos(source, tmp_path / "whole", **SMALL)
    shutil.rmtree(out)
    for name in ("a.mp4", "b.mp4", "a.mkv"):
        assert len(prepare_videos(source / name, out, **SMALL)) == 1
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("manifest.jsonl", b'{"path": "a.mp4", "bytes": 3}\n'),
        ("manifest.jsonl", b"[1]"),
        ("manifest.jsonl", b"notes without an end"),
        ("manifest.jsonl", b"\xff\n"),
        ("manifest.journal", b'{"path": "a.mp4", "bytes": 3}\n'),
        ("manifest.journal", b"\xff\n"),
    ],
)
def test_a_manifest_of_others_is_not_replaced(videos: Path, tmp_path: Path, name: str, before: bytes):
    (tmp_path / name).write_bytes(before)
    with raises(FileError, "malformed", subject=tmp_path / name):
        prepare_videos(videos / "a", tmp_path, **SMALL)
    assert contents(tmp_path) == {name: before}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest.journal"])
def test_a_pipe_in_the_place_of_a_manifest_blocks_nothing(videos: Path, tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    with raises(FileError, "unreadable", subject=tmp_path / name):
        prepare_videos(videos / "a", tmp_path, **SMALL)


def test_results_without_a_source_are_named_and_kept(two: tuple[Path, Path]):
    source, out = two
    with av.open(str(out / "of_others.mp4"), "w") as container:
        container.metadata["comment"] = "no UTF-8"
        stream = container.add_stream("libx264", rate=25)
        container.mux(stream.encode(av.VideoFrame(64, 48)))
        container.mux(stream.encode(None))
    written = (out / "of_others.mp4").read_bytes()
    assert written.count(b"no UTF-8") == 1
    (out / "of_others.mp4").write_bytes(written.replace(b"no UTF-8", b"\xff" * 8))
    prepare_videos(source / "a.mp4", out / "nested", **SMALL)
    assert prepare_videos(source, out, **SMALL).orphans == ()
    (source / "b.mp4").unlink()
    assert prepare_videos(source, out, **SMALL).orphans == ("b.mp4",)
    assert (out / "b.mp4").exists()
    assert [line["source"] for line in manifest(out)] == ["a.mp4"]


def dies_on_a(job: prepare_module._TranscodeJob) -> PreparedVideo:
    if job.source.stem == "a":
        os.kill(os.getpid(), signal.SIGKILL)
    return prepare_module._prepare_one(job)


def failing(error: Exception) -> Callable[..., None]:
    def fails(*arguments: object) -> None:
        raise error

    return fails


def with_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("kind", ["missing", "full disk", "read error", "died", "unforeseen", "encoder"])
def test_what_is_not_the_sources_fault_keeps_its_result(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, kind: str
):
    source, out = two
    a, made, row = source / "a.mp4", (out / "a.mp4").read_bytes(), manifest(out)[0]
    given = a.stat()
    if kind == "missing":
        a.rename(source / "elsewhere")
        a.symlink_to(source / "unmounted.mp4")
    else:
        os.utime(a, ns=(1, 1))
    errors: dict[str, Exception] = {
        "full disk": with_cause(
            VideoError(a, "cannot be decoded", reason="damaged"), av.error.OSError(errno.ENOSPC, "full")
        ),
        "read error": with_cause(VideoError(a, "damaged", reason="damaged"), OSError(errno.EIO, "Input/output error")),
        "unforeseen": RuntimeError("what"),
        "encoder": VideoError(out / "a.mp4", "the check of the encoded file found 3 frames", reason="mismatch"),
    }
    with monkeypatch.context() as patch:
        if kind in errors:
            patch.setattr(prepare_module, "transcode_video", failing(errors[kind]))
        if kind == "died":
            patch.setattr(prepare_module, "_prepare_one", dies_on_a)
        report = prepare_videos(source, out, processes=2 if kind == "died" else 1, **SMALL)
    (record,) = report.failed
    assert (record.source, report.orphans) == ("a.mp4", ())
    assert str(record.problem).endswith("; the earlier result is kept")
    assert (out / "a.mp4").read_bytes() == made
    assert manifest(out)[0] == {**row, "status": "failed", "problem": record.problem}

    a.unlink()
    if kind == "missing":
        (source / "elsewhere").rename(a)
        assert prepare_videos(source, out, **SMALL).skipped == 2
        assert manifest(out)[0] == row
    a.write_bytes(b"")
    assert a.stat().st_size != given.st_size
    assert [record.source for record in prepare_videos(source, out, **SMALL).failed] == ["a.mp4"]
    assert not (out / "a.mp4").exists()


def test_damage_that_changes_no_source_keeps_its_result(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    source, out = two
    before = (out / "a.mp4").read_bytes()
    error = VideoError(source / "a.mp4", "damaged", reason="damaged", at=0.1)
    monkeypatch.setattr(prepare_module, "transcode_video", failing(error))
    report = prepare_videos(source / "a.mp4", out, "compat", **SMALL)
    assert [r.profile for r in report.failed] == [describe_profile(make_profile("motion", **SMALL))]
    assert (out / "a.mp4").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="short paths")
def test_the_longest_names(tmp_path: Path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    encode_moving(source / "a.mp4", frames=4)
    (source / "a.mp4").rename(source / ("x" * 251 + ".mp4"))
    shutil.copy(source / ("x" * 251 + ".mp4"), source / ("y" * 252 + ".ts"))
    long, longer = prepare_videos(source, out, **SMALL)
    assert long.status == "done"
    assert str(longer.problem).startswith(f"{out / ('y' * 252)}.mp4: ")


def test_every_kind_of_damage_is_a_record(tmp_path: Path):
    (tmp_path / "in").mkdir()
    make_broken(tmp_path / "in")
    report = prepare_videos(tmp_path / "in", tmp_path / "out", **SMALL)
    assert {r.source for r in report.failed} == set(REASONS)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["manifest.jsonl"]


def test_one_video(videos: Path, tmp_path: Path, undisturbed: dict[str, bytes]):
    report = prepare_videos(videos / "a" / "y.mkv", tmp_path, **SMALL)
    assert [(r.source, r.target) for r in report] == [("y.mkv", "y.mp4")]
    assert (tmp_path / "y.mp4").read_bytes() == undisturbed["a/y.mp4"]


def test_processes_give_the_same_files(videos: Path, tmp_path: Path, undisturbed: dict[str, bytes]):
    prepare_videos(videos, tmp_path, processes=2, **SMALL)
    assert contents(tmp_path) == undisturbed


def test_results_never_lie_among_the_sources(videos: Path, tmp_path: Path):
    for dst in (videos, videos / "a", videos / "new", videos / "a" / ".." / "b"):
        with raises(FileError, "conflict", subject=dst):
            prepare_videos(videos, dst)
    (tmp_path / "link").symlink_to(videos)
    with raises(FileError, "conflict", subject=tmp_path / "link" / "out"):
        prepare_videos(videos, tmp_path / "link" / "out")
    with raises(FileError, "exists", subject=videos / "a" / "x.mp4"):
        prepare_videos(videos / "a" / "x.mp4", videos / "a")
    shutil.copytree(videos / "a", tmp_path / "a" / "a")
    with raises(FileError, "exists", subject=tmp_path / "a" / "a" / "x.mp4"):
        prepare_videos(tmp_path / "a" / "a" / "x.mp4", tmp_path / "a" / "a")
    assert sorted(p.name for p in videos.iterdir()) == sorted(
        ["a", "a-b", "b", "cut.mp4", "notes.txt", "turned.mp4", "vp9.webm"]
    )


def test_bad_arguments(videos: Path, tmp_path: Path):
    with raises(VideoError, "not_found", subject=tmp_path / "missing"):
        prepare_videos(tmp_path / "missing", tmp_path / "out")
    with raises(VideoError, "invalid_value"):
        prepare_videos(videos, tmp_path / "out", "strided", stride=5)
    (tmp_path / "file").touch()
    with raises(FileError, "cannot_write", subject=tmp_path / "file"):
        prepare_videos(videos, tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_files_of_others_are_not_replaced(videos: Path, tmp_path: Path):
    other = encode_moving(tmp_path / "x.mp4", frames=4)
    before = other.read_bytes()
    report = prepare_videos(videos / "a", tmp_path, **SMALL)
    assert [r.status for r in report] == ["failed", "done"]
    assert f"{tmp_path / 'x.mp4'}: " in str(report.failed[0].problem)
    assert other.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders")
def test_two_runs_do_not_work_on_one_folder(videos: Path, tmp_path: Path):
    messages: list[tuple[str, str]] = []

    def second(record: PreparedVideo) -> None:
        try:
            prepare_videos(videos, tmp_path, **SMALL)
        except FileError as error:
            messages.append((error.reason, error.subject))

    prepare_videos(videos / "a", tmp_path, progress=second, **SMALL)
    assert messages == [("locked", str(tmp_path))] * 2


def test_one_command_is_advised_everywhere(tmp_path, monkeypatch):
    for name in ("videos", "my videos", "-odd"):
        (tmp_path / name / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert prepare_command("videos") == "mgm prepare videos videos-prepared"
    assert prepare_command("videos/", "--crf", "20") == "mgm prepare videos videos-prepared --crf 20"
    assert (
        prepare_command(tmp_path / "my videos") == f"mgm prepare '{tmp_path}/my videos' '{tmp_path}/my videos-prepared'"
    )
    assert prepare_command("-odd") == "mgm prepare ./-odd ./-odd-prepared"
    assert prepare_command("videos/a.mp4") == "mgm prepare videos/a.mp4 prepared"
    monkeypatch.chdir("videos")
    assert prepare_command(".") == "mgm prepare . ../videos-prepared"
    assert prepare_command("..") == f"mgm prepare .. ../../{tmp_path.name}-prepared"


def test_links_in_a_circle_cost_themselves_alone(tmp_path: Path):
    (tmp_path / "in").mkdir()
    encode_moving(tmp_path / "in" / "good.mp4", frames=5)
    (tmp_path / "in" / "round.mp4").symlink_to(tmp_path / "in" / "round.mp4")
    report = prepare_videos(tmp_path / "in", tmp_path / "out", **SMALL)
    assert [record.source for record in report.done] == ["good.mp4"]
    (failed,) = report.failed
    assert failed.problem.startswith(f"{tmp_path}/in/round.mp4: ")
