"""Manifests: what is written is read back, and whatever interrupts a scan, the same call ends with the same file."""

import csv
import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from mgm.commands.scan import summary_table
from mgm.errors import FileError, Reason
from mgm.files.journal import Journal
from mgm.files.path_column import PathColumn, PathList
from mgm.files.table import SUFFIXES
from mgm.video.scan.folder import scan_file, scan_to_manifest
from mgm.video.scan.manifest import read_manifest, update_manifest, write_manifest
from mgm.video.scan.record import COLUMNS, VideoRecord
from mgm.video.scan.summary import ScanSummary
from tests.errors import raises
from tests.video.scan.records import RECORDS, Reader


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str):
    path = tmp_path / f"m{suffix}"
    write_manifest(path, iter(RECORDS))
    assert list(read_manifest(path)) == RECORDS
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


ODD = ["a\rb", "a\r\nb", "\n", '"', '""\r', "a,b", "\t\v\f\x1b\x7f", "\x85\u2028", " a ", "\\", "'", "é\r"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_with_control_characters_are_read_back(tmp_path: Path, suffix: str):
    records = [
        VideoRecord(path=f"{name}.mp4", bytes=1, status="empty", problem=f"{name}.mp4: {name}; do {name}")
        for name in ODD
    ]
    path = tmp_path / f"m{suffix}"
    write_manifest(path, records)
    assert list(read_manifest(path)) == records
    if suffix == ".csv":
        table = pytest.importorskip("pyarrow.csv")
        options = table.ParseOptions(newlines_in_values=True)
        assert table.read_csv(path, parse_options=options)["path"].to_pylist() == [r.path for r in records]


def test_the_formats_are_what_other_programs_read(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for suffix in SUFFIXES:
        write_manifest(tmp_path / f"m{suffix}", RECORDS)
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [asdict(record) for record in RECORDS]
    table = parquet.read_table(tmp_path / "m.parquet")
    assert table.to_pylist() == lines
    assert [str(kind) for kind in table.schema.types[:4]] == ["string", "int64", "double", "string"]
    with (tmp_path / "m.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [record.path for record in RECORDS]
    assert (rows[2]["b_frames"], rows[2]["variable_rate"], rows[2]["fps"]) == ("false", "true", "")


def test_columns_of_others_are_left_out(tmp_path: Path):
    (tmp_path / "m.csv").write_text("label,path,bytes,status\n7,a.mp4,3,ok\n")
    assert list(read_manifest(tmp_path / "m.csv")) == [VideoRecord(path="a.mp4", bytes=3, status="ok")]


@pytest.mark.parametrize(
    ("name", "content", "reason", "message"),
    [
        ("m.txt", "", "unsupported", "manifest-suffix"),
        ("m.jsonl", '{"a": 1}\n', "malformed", "manifest-row"),
        ("m.jsonl", '{"path": "a", "bytes": 1, "status": "ok"}\n{"pa', "malformed", None),
        ("m.csv", "path,bytes,status\na.mp4,many,ok\n", "malformed", None),
        ("m.csv", "path,bytes,status\na.mp4,1,fine\n", "unknown_name", "manifest-status"),
        ("m.parquet", "nothing", "malformed", None),
        ("m.csv", None, "not_found", "manifest-missing"),
    ],
)
def test_another_kind_of_file_is_an_error(
    tmp_path: Path, name: str, content: str | None, reason: Reason, message: str | None
):
    if content is not None:
        (tmp_path / name).write_text(content)
    with raises(FileError, reason, message=message, subject=tmp_path / name):
        list(read_manifest(tmp_path / name))


def row_with(tmp_path: Path, column: str, value: object) -> Path:
    """A manifest of one file, which has not changed, with a value."""
    file, manifest = tmp_path / "a.mp4", tmp_path / "m.jsonl"
    file.write_bytes(b"x")
    record = VideoRecord(path=str(file), bytes=1, modified=file.stat().st_mtime, status="ok")
    manifest.write_text(json.dumps(asdict(record) | {column: value}) + "\n")
    return manifest


@pytest.mark.parametrize("value", [[], {}, "x", 3, 10**400, float("nan"), "\ud800", True, 2.5], ids=ascii)
@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "path"])
def test_any_value_is_kept_or_refused(tmp_path: Path, column: str, value: object):
    """Others may write a manifest: what no column can hold is an error with its name, never one of the summary or the writer."""
    manifest = row_with(tmp_path, column, value)
    summary, refused = ScanSummary(), None
    try:
        for record in read_manifest(manifest):
            summary.add(record)
    except FileError as error:
        refused = error
    if refused is not None:
        assert refused.reason == "unknown_name" or f"({column} is " in refused.found or "and bytes" in refused.found
    else:
        summary_table(summary)
        assert not isinstance(value, list | dict)
        update_manifest(manifest, [tmp_path / "a.mp4"], scan_file, on_death=Reader())
        assert len(list(read_manifest(manifest))) == 1


def test_a_value_of_another_type(tmp_path: Path):
    manifest = row_with(tmp_path, "frames", ["many"])
    with raises(FileError, "malformed", message="manifest-value", subject=manifest):
        list(read_manifest(manifest))


def test_a_row_of_an_unknown_status_is_read_again(tmp_path: Path):
    manifest = row_with(tmp_path, "status", "fine")
    update_manifest(manifest, [tmp_path / "a.mp4"], scan_file, on_death=Reader())
    assert [record.status for record in read_manifest(manifest)] == ["not_video"]


def test_another_file_of_that_name_is_not_overwritten(tmp_path: Path):
    mine = tmp_path / "labels.csv"
    mine.write_text("video,label\na.mp4,3\n")
    with raises(FileError, "malformed", subject=mine):
        update_manifest(mine, [tmp_path], scan_file, on_death=scan_file)
    assert mine.read_text() == "video,label\na.mp4,3\n"
    assert [p.name for p in tmp_path.iterdir()] == ["labels.csv"]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with raises(FileError, "missing_package", message="manifest-needs-pyarrow"):
        update_manifest(tmp_path / "m.parquet", [tmp_path], scan_file, on_death=scan_file)


@pytest.mark.skipif(sys.platform == "win32", reason="a backslash is no part of a name")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_look_like_escapes_stay_apart(tmp_path: Path, suffix: str):
    raw = [
        b"\xff",
        rb"\xff",
        rb"\x5cxff",
        rb"\x5c\xff",
        b"\\\xff",
        rb"\\xff",
        rb"\x\xff",
        b"\xc3\xa9\r\xff",
        rb"\xfg",
        rb"\n",
    ]
    files = [Path(os.fsdecode(name + b".mp4")) for name in raw]

    def read(path: Path) -> VideoRecord:
        return VideoRecord(path=str(path), bytes=0, status="empty", problem=f"{path}: number {files.index(path)}")

    manifest = tmp_path / f"m{suffix}"
    update_manifest(manifest, files, read, on_death=read)
    rows = list(read_manifest(manifest))
    assert [row.problem for row in rows] == [f"{row.path}: number {number}" for number, row in enumerate(rows)]
    assert len({row.path for row in rows}) == len(raw)
    # Nothing is lost: every escape stands for one byte.
    byte = re.compile(rb"\\x(5c|[89a-f][0-9a-f])")
    names = [byte.sub(lambda found: bytes([int(found[1], 16)]), row.path.encode()) for row in rows]
    assert names == [name + b".mp4" for name in raw]
    assert [row.path for row in rows][-2:] == [r"\xfg.mp4", r"\n.mp4"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_manifest_without_permission(tmp_path: Path, files: list[Path], suffix: str, monkeypatch: pytest.MonkeyPatch):
    manifest = tmp_path / f"m{suffix}"
    write_manifest(manifest, RECORDS)
    opened = os.open

    def refuse(path: Any, *options: Any, **more: Any) -> int:
        if path == manifest:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *options, **more)

    monkeypatch.setattr(os, "open", refuse)
    with raises(FileError, "unreadable", subject=manifest):
        list(read_manifest(manifest))
    with raises(FileError, "unreadable", subject=manifest):
        update_manifest(manifest, files, Reader(), on_death=Reader())
    assert sorted(p.name for p in tmp_path.iterdir()) == [manifest.name, "videos"]


def test_a_manifest_in_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    manifest = tmp_path / "m.csv"
    looked = Path.stat

    def refuse(path: Path, **options: Any) -> os.stat_result:
        if path == manifest:
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    with raises(FileError, "unreadable", subject=manifest):
        list(read_manifest(manifest))


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_scans_at_once(tmp_path: Path, files: list[Path]):
    """The second, in another process, is refused and changes nothing; the first ends as if alone."""
    manifest, alone = tmp_path / "m.csv", tmp_path / "alone.csv"
    update_manifest(alone, files, Reader(), on_death=Reader())
    code = (
        "import sys\nfrom mgm.errors import FileError\nfrom mgm.video.scan.folder import scan_to_manifest\n"
        "try:\n    scan_to_manifest(*sys.argv[1:])\nexcept FileError as error:\n    print(error.reason, error.subject)"
    )
    said: list[str] = []

    def second(done: int, total: int) -> None:
        if done == 2:
            command = [sys.executable, "-c", code, str(manifest), str(files[0].parent)]
            said.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    update_manifest(manifest, files, Reader(), on_death=Reader(), progress=second)
    assert said == [f"locked {manifest}\n"]
    assert manifest.read_bytes() == alone.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone.csv", "m.csv", "videos"]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_writers_do_not_share_a_draft(tmp_path: Path):
    path = tmp_path / "m.jsonl"

    def records() -> Iterator[VideoRecord]:
        yield RECORDS[0]
        with raises(FileError, "locked", subject=path):
            write_manifest(path, RECORDS[2:])
        yield RECORDS[1]

    write_manifest(path, records())
    assert list(read_manifest(path)) == RECORDS[:2]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_a_killed_run_left_is_used_up(tmp_path: Path, files: list[Path], suffix: str):
    """Killed while the manifest was written, or between that and the end of its journal."""
    undisturbed, manifest = tmp_path / "other" / f"whole{suffix}", tmp_path / f"m{suffix}"
    update_manifest(undisturbed, files, Reader(), on_death=Reader())
    part = tmp_path / f".mgm-{'0' * 16}.{'0' * 8}-1-0.part"
    part.write_bytes(b"half a draft, longer than the manifest\n" * 1000)
    os.utime(part, (1, 1))
    with Journal(tmp_path / f"m{suffix}.journal") as journal:
        journal.append(asdict(Reader()(files[0])))
    update_manifest(manifest, files, Reader(), on_death=Reader())
    assert manifest.read_bytes() == undisturbed.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([manifest.name, "other", "videos"])


def fake(path: Path) -> VideoRecord:
    """A row that shares no value with another."""
    number = int(path.stem.removeprefix("clip_")) / 7
    problem = f"{path}: what was found, what was expected; what to do " * 4
    return replace(RECORDS[0], path=str(path), problem=problem, seconds=number, motion=number / 3, modified=number / 5)


def test_what_a_scan_holds_for_each_file(tmp_path: Path):
    """The place in the journal and an index, of 8 bytes each; the paths are the caller's."""
    held: dict[int, int] = {}

    def measure(done: int, total: int) -> None:
        if done == total:
            own = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/mgm/*")])
            held[total] = sum(trace.size for trace in own.traces)

    for count in (400, 2_400):
        files = PathList(PathColumn(f"/videos/{number % 40}/clip_{number:06d}.mp4" for number in range(count)))
        tracemalloc.start()
        update_manifest(tmp_path / f"{count}.jsonl", files, fake, on_death=fake, progress=measure)
        tracemalloc.stop()
    assert 8 <= (held[2_400] - held[400]) / 2_000 < 20


MEMORY = """
import resource, sys
from pathlib import Path
from mgm.video.scan.manifest import read_manifest, update_manifest
from tests.video.scan.test_manifest import fake

if sys.argv[1].endswith("parquet"):
    import pyarrow.parquet

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

files = [Path(f"/videos/{number % 400}/clip_{number:06d}.mp4") for number in range(100_000)]
for file in files:
    str(file)  # pathlib keeps the text
before = peak()
update_manifest(sys.argv[1], files, fake, on_death=fake)
updated = peak()
assert sum(1 for _ in read_manifest(sys.argv[1])) == len(files)
print(updated - before, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ru_maxrss has another unit")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_hold_the_rows(tmp_path: Path, suffix: str):
    """100,000 rows are 120 MB as dictionaries; the paths of the caller are some 30 MB."""
    command = [sys.executable, "-c", MEMORY, str(tmp_path / f"m{suffix}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    updating, reading = map(float, done.stdout.split())
    most = 100 if suffix == ".parquet" else 60  # pyarrow keeps what it has used
    assert updating < most
    assert reading < most


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.parquet", "m.jsonl.journal"])
def test_a_pipe_in_the_place_of_a_manifest_blocks_nothing(tmp_path: Path, ordinary: Path, name: str):
    os.mkfifo(tmp_path / name)
    manifest = tmp_path / name.removesuffix(".journal")
    with raises(FileError, "cannot_write" if name.endswith("journal") else "unreadable", subject=tmp_path / name):
        scan_to_manifest(manifest, ordinary)


def test_a_file_that_is_given_twice_has_one_row(tmp_path: Path, files: list[Path]):
    manifest = tmp_path / "m.jsonl"
    update_manifest(manifest, [*files, files[1]], Reader(), on_death=Reader())
    assert [Path(record.path) for record in read_manifest(manifest)] == files
