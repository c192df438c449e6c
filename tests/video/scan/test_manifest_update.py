"""A scan into a manifest reads what is new, and whatever interrupts it, the same call ends with the same file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mgm.errors import FileError
from mgm.files.table import SUFFIXES
from mgm.video.scan.folder import scan_to_manifest
from mgm.video.scan.manifest import read_manifest, update_manifest, write_manifest
from tests.errors import raises
from tests.video.scan.records import RECORDS, Reader


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_what_is_new_or_changed_is_read(tmp_path: Path, files: list[Path], suffix: str):
    manifest = tmp_path / f"m{suffix}"
    counted: list[tuple[int, int]] = []

    def update(*given: Path) -> list[str]:
        reader = Reader()
        counted.clear()
        update_manifest(
            manifest, given, reader, on_death=reader, progress=lambda done, total: counted.append((done, total))
        )
        assert [record.path for record in read_manifest(manifest)] == [str(file) for file in given]
        assert sorted(p.name for p in tmp_path.iterdir()) == [manifest.name, "videos"]
        return reader.read

    assert update(*files[:4]) == ["a.mp4", "b.mp4", "crash.mp4", "d.mp4"]
    assert counted == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert update(*files[:4]) == ["crash.mp4"]  # it may have been the memory
    assert counted == [(3, 4), (4, 4)]
    files[0].write_text("longer than before")
    os.utime(files[1], (1, 1))
    assert update(*files) == ["a.mp4", "b.mp4", "crash.mp4", "é.mp4"]
    assert next(read_manifest(manifest)).problem == "longer than before"
    assert update(files[3], files[1]) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_manifest_is_written_only_if_something_has_changed(tmp_path: Path, files: list[Path], suffix: str):
    manifest, files = tmp_path / f"m{suffix}", [file for file in files if file.name != "crash.mp4"]
    update_manifest(manifest, files, Reader(), on_death=Reader())
    written, content = manifest.stat(), manifest.read_bytes()
    update_manifest(manifest, files, Reader(), on_death=Reader())
    assert os.path.samestat(manifest.stat(), written)
    assert sorted(p.name for p in tmp_path.iterdir()) == [manifest.name, "videos"]
    for fewer in (files[1:], files[:-1]):
        update_manifest(manifest, fewer, Reader(), on_death=Reader())
        assert [record.path for record in read_manifest(manifest)] == list(map(str, fewer))
        reader = Reader()
        update_manifest(manifest, files, reader, on_death=reader)
        assert reader.read == [file.name for file in files if file not in fewer]
        assert manifest.read_bytes() == content


def _rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


OTHER_ROWS = {
    "in another order": lambda rows: rows[::-1],
    "twice": lambda rows: [*rows, *rows],
    "twice, the first of another size": lambda rows: [{**rows[1], "bytes": 77}, *rows],
    "twice, the second of another size": lambda rows: [*rows, {**rows[1], "bytes": 77}],
    "with others between them": lambda rows: [
        {**rows[0], "path": "gone.mp4"},
        *rows[:2],
        {**rows[0], "path": "x"},
        *rows[2:],
    ],
    "with a column of others": lambda rows: [{**row, "label": 7} for row in rows],
    "with their columns in another order": lambda rows: [dict(reversed(row.items())) for row in rows],
    "some without columns": lambda rows: [dict(list(rows[0].items())[:5]), *rows[1:]],
}


@pytest.mark.parametrize("other", OTHER_ROWS)
def test_rows_that_others_have_changed(tmp_path: Path, files: list[Path], other: str):
    """Rows that are up to date are kept, wherever they are, and the manifest is that of an undisturbed scan."""
    manifest, files = tmp_path / "m.jsonl", [file for file in files if file.name != "crash.mp4"]
    update_manifest(manifest, files, Reader(), on_death=Reader())
    content = manifest.read_text(encoding="utf-8")
    rows = OTHER_ROWS[other](_rows(content))
    manifest.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    reader = Reader()
    update_manifest(manifest, files, reader, on_death=reader)
    assert reader.read == ([files[0].name] if other == "some without columns" else [])
    assert manifest.read_text(encoding="utf-8") == content


def test_rows_of_an_older_mgm_are_read_again(tmp_path: Path, files: list[Path]):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(json.dumps({"path": str(f), "bytes": f.stat().st_size}) + "\n" for f in files))
    reader = Reader()
    update_manifest(manifest, files, reader, on_death=reader)
    assert reader.read == [file.name for file in files]


def test_an_interrupted_update_goes_on(tmp_path: Path, files: list[Path]):
    undisturbed, manifest = tmp_path / "whole.jsonl", tmp_path / "m.jsonl"
    update_manifest(undisturbed, files, Reader(), on_death=Reader())
    journal = tmp_path / "m.jsonl.journal"
    with pytest.raises(KeyboardInterrupt):
        update_manifest(manifest, files, Reader(fails_at=2), on_death=Reader())
    assert not manifest.exists()
    assert len(journal.read_text().splitlines()) == 2
    with journal.open("ab") as file:
        file.write(b'{"path": "torn by kill -9')
    files[0].write_text("changed meanwhile")
    reader = Reader()
    update_manifest(manifest, files, reader, on_death=reader)
    assert reader.read == ["a.mp4", "crash.mp4", "d.mp4", "é.mp4"]
    files[0].write_text(files[0].name)
    assert [r.path for r in read_manifest(manifest)] == [r.path for r in read_manifest(undisturbed)]
    assert next(read_manifest(manifest)).problem == "changed meanwhile"
    assert not journal.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that are no text")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_are_no_text(tmp_path: Path, suffix: str):
    file = tmp_path / os.fsdecode(b"\xff.mp4")
    file.write_text("")
    for expected in ([file.name], []):
        reader = Reader()
        update_manifest(tmp_path / f"m{suffix}", [file], reader, on_death=reader)
        assert reader.read == expected
    (record,) = read_manifest(tmp_path / f"m{suffix}")
    assert record.path == f"{tmp_path}/\\xff.mp4"


def test_a_folder_that_is_missing_is_made(tmp_path: Path, files: list[Path]):
    update_manifest(tmp_path / "one" / "m.csv", files, Reader(), on_death=Reader())
    assert len(list(read_manifest(tmp_path / "one" / "m.csv"))) == len(files)
    write_manifest(tmp_path / "two" / "m.csv", RECORDS)
    assert list(read_manifest(tmp_path / "two" / "m.csv")) == RECORDS


def test_a_folder_that_cannot_be_made(tmp_path: Path, files: list[Path]):
    (tmp_path / "file").touch()
    with raises(FileError, "cannot_write"):
        update_manifest(tmp_path / "file" / "m.csv", files, Reader(), on_death=Reader())
    with raises(FileError, "cannot_write"):
        write_manifest(tmp_path / "file" / "m.csv", RECORDS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_keeps_what_was_found(tmp_path: Path, files: list[Path], suffix: str):
    """A limit on the size of files stands in for the disk: of the journal in the first run, of the manifest in the second."""
    manifest = tmp_path / f"m{suffix}"
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from mgm.errors import FileError\n"
        "from tests.video.scan.test_manifest import Reader\n"
        "from mgm.video.scan.manifest import update_manifest\n"
        "limit, manifest, *files = sys.argv[1:]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))\n"
        "reader = Reader()\n"
        "try:\n"
        "    update_manifest(Path(manifest), [Path(f) for f in files], reader, on_death=reader)\n"
        "except FileError as error:\n"
        "    print(error.reason, error.subject)\n"
    )
    command = [sys.executable, "-c", code, "1500", str(manifest), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    journal = Path(f"{manifest}.journal")
    assert done.stdout == f"cannot_write {journal}\n", done.stderr
    assert not manifest.exists()
    whole_lines = journal.read_bytes().count(b"\n")
    assert 0 < whole_lines < len(files)
    reader = Reader()
    update_manifest(manifest, files, reader, on_death=reader)
    assert len(reader.read) == len(files) - whole_lines + ("crash.mp4" in [f.name for f in files[:whole_lines]])


def test_a_manifest_that_cannot_be_written_keeps_the_old_one(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    write_manifest(path, RECORDS[:1])

    def records():
        yield RECORDS[1]
        raise OSError(28, "No space left on device")

    with raises(FileError, "cannot_write", subject=path):
        write_manifest(path, records())
    assert list(read_manifest(path)) == RECORDS[:1]
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize("suffix", [pytest.param(".jsonl", marks=pytest.mark.slow), ".csv"])
def test_kill_at_random_moments(tmp_path: Path, ordinary: Path, suffix: str):
    """Killed with -9 three times, and then left alone: the same bytes as of an undisturbed scan, and no stray file."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(40):
        shutil.copy(ordinary, videos / f"{number:02d}.mp4")
    (videos / "text.mp4").write_text("no video")
    scan_to_manifest(tmp_path / f"undisturbed{suffix}", videos)
    out = tmp_path / "out"
    out.mkdir()
    manifest, journal = out / f"m{suffix}", out / f"m{suffix}.journal"
    code = "import sys\nfrom mgm.video.scan.folder import scan_to_manifest\nscan_to_manifest(sys.argv[1], sys.argv[2])"
    rng = np.random.default_rng(3)
    sizes = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(manifest), str(videos)])
        before = journal.stat().st_size if journal.exists() else 0
        while process.poll() is None and (not journal.exists() or journal.stat().st_size <= before):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        sizes.append(journal.stat().st_size if journal.exists() else 0)
    assert sizes[0] > 0, "the first kill came after the scan had ended"
    scan_to_manifest(manifest, videos)
    assert manifest.read_bytes() == (tmp_path / f"undisturbed{suffix}").read_bytes()
    assert [p.name for p in out.iterdir()] == [manifest.name]
