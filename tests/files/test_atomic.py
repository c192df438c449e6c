"""Files and folders appear when they are complete, and nothing else is left."""

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import mgm.files.atomic as atomic
from mgm.errors import FileError
from mgm.files.atomic import (
    atomic_folder,
    atomic_path,
    atomic_write,
    cannot_write,
    check_writable,
    make_folder,
    put_in_place,
    refuse_to_replace,
    remove_parts,
    scratch_folder,
)
from mgm.files.lock import locked
from tests.errors import check_message, raises

Writer = Callable[[Path], AbstractContextManager[object]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(content: bytes, opened: object) -> None:
    if isinstance(opened, Path):
        (opened / "content" if opened.is_dir() else opened).write_bytes(content)
    else:
        opened.write(content)  # type: ignore[attr-defined]


def content_of(path: Path) -> bytes:
    return (path / "content" if path.is_dir() else path).read_bytes()


writers = pytest.mark.parametrize("write", [atomic_write, atomic_path, atomic_folder])


@writers
def test_the_content_appears_at_the_end_and_replaces_the_old_one(tmp_path: Path, write: Writer):
    path = tmp_path / "new" / ("x" * 255)
    for content in (b"first", b"second"):
        with write(path) as opened:
            fill(content, opened)
            (hidden,) = (name for name in names(path.parent) if name != path.name)
            assert hidden.startswith(".")
            assert len(hidden) < 80
            assert not path.exists() or content_of(path) == b"first"
        assert content_of(path) == content
        assert names(path.parent) == [path.name]


@writers
@pytest.mark.parametrize("error", [RuntimeError("odd"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_an_error_leaves_the_old_content_and_no_part(tmp_path: Path, write: Writer, error: BaseException):
    path = tmp_path / "a"
    with write(path) as opened:
        fill(b"old", opened)

    def fail() -> None:
        with write(path) as opened:
            fill(b"new", opened)
            raise error

    with pytest.raises(FileError if isinstance(error, OSError) else type(error)):
        fail()
    assert content_of(path) == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on files")
@writers
def test_a_full_disk(tmp_path: Path, write: Writer):
    """A file that may not grow fails as on a full disk, in whatever call comes to the limit."""
    import resource

    path = tmp_path / "a"
    with write(path) as opened:
        fill(b"old", opened)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with raises(FileError, "cannot_write", subject=path), write(path) as opened:
            fill(b"new" * 1000, opened)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert content_of(path) == b"old"
    assert names(tmp_path) == ["a"]


@writers
def test_errors_name_the_file_and_the_advice(tmp_path: Path, write: Writer):
    (tmp_path / "file").touch()
    with raises(FileError, "cannot_write", subject=tmp_path / "file" / "a"):
        write(tmp_path / "file" / "a").__enter__()
    if write is not atomic_folder:
        (tmp_path / "folder").mkdir()
        with raises(FileError, "cannot_write", subject=tmp_path / "folder"):
            write(tmp_path / "folder").__enter__()
        (tmp_path / "folder").rmdir()
    long = tmp_path / ("é" * 128)
    with raises(FileError, "cannot_write", subject=long, message="files-name-too-long"):
        write(long).__enter__()
    assert names(tmp_path) == ["file"]


def test_the_message_of_a_full_disk(tmp_path: Path):
    check_message("files-cannot-write", cannot_write(tmp_path / "a", OSError(errno.ENOSPC, "No space left on device")))


def test_errors_of_other_files_stay_what_they_are(tmp_path: Path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a"):
        (tmp_path / "source").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="no permissions")
def test_permissions_follow_the_umask(tmp_path: Path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "file") as file:
            file.write(b"1")
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "file").touch()
    finally:
        os.umask(before)
    modes = [p.stat().st_mode & 0o777 for p in (tmp_path / "file", tmp_path / "folder", tmp_path / "folder" / "file")]
    assert modes == [0o640, 0o750, 0o640]


def test_everything_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flushed: list[int] = []
    flush = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(os.fstat(file).st_ino), flush(file))[1])
    with atomic_folder(tmp_path / "a") as folder:
        for name in ("x", "y/z"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
    assert sorted(flushed) == sorted((tmp_path / "a" / name).stat().st_ino for name in ("x", "y/z"))


def test_a_scratch_folder_gives_several_files_their_names(tmp_path: Path):
    (tmp_path / "out" / "b").mkdir(parents=True)
    (tmp_path / "out" / "b" / "old").touch()
    with scratch_folder(tmp_path / "out" / "a") as scratch:
        assert not scratch.name.startswith("a")
        (scratch / "a").write_bytes(b"a")
        (scratch / "b").mkdir()
        (scratch / "rest").touch()
        for name in ("a", "b"):
            put_in_place(scratch / name, tmp_path / "out" / name)
    assert names(tmp_path / "out") == ["a", "b"]
    assert names(tmp_path / "out" / "b") == []


def test_the_source_is_not_replaced(tmp_path: Path):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"1")
    (tmp_path / "soft.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    for name in ("a.mp4", "soft.mp4", "hard.mp4"):
        with raises(FileError, "exists", subject=tmp_path / name):
            refuse_to_replace(tmp_path / name, source)
    refuse_to_replace(tmp_path / "b.mp4", source)


WRITE = """
import os, sys
from pathlib import Path
from mgm.files.atomic import atomic_write
with atomic_write(Path(sys.argv[1]) / "[a].mp4") as file:
    file.write(b"new")
    if "kill" in sys.argv:
        file.flush()
        os.kill(os.getpid(), 9)
"""


def run(folder: Path, *options: str) -> None:
    subprocess.run([sys.executable, "-c", WRITE, str(folder), *options], check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_the_next_process_removes_what_a_killed_one_left(tmp_path: Path):
    run(tmp_path)
    run(tmp_path, "kill")
    assert len(names(tmp_path)) == 2
    assert (tmp_path / "[a].mp4").read_bytes() == b"new"
    (left,) = (name for name in names(tmp_path) if name.startswith("."))
    begun, rest = re.fullmatch(r"(.*-)\d+(-\d+\.part)", left).groups()  # type: ignore[union-attr]
    alive, other, old = f"{begun}{os.getppid()}{rest}", re.sub(r"\.[0-9a-f]{8}-", ".00000000-", left), f"{begun}1{rest}"
    for name in (alive, other, old):
        (tmp_path / name).touch()
    os.utime(tmp_path / old, (1, 1))
    kept = [alive, other, ".mgm-notes.part", "x.mp4.123.part"]
    for name in kept[2:]:
        (tmp_path / name).touch()
    run(tmp_path)
    assert names(tmp_path) == sorted([*kept, "[a].mp4"])


def test_windows_is_not_asked_for_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """os.kill would end the process there."""

    def kills(*arguments: object) -> None:
        raise AssertionError("it would end the process")

    host = atomic._host()
    fresh, old = (f".mgm-{'0' * 16}.{host}-{process}-0.part" for process in (1, 2))
    for name in (fresh, old):
        (tmp_path / name).touch()
    os.utime(tmp_path / old, (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", kills)
        patch.setattr(sys, "platform", "win32")
        with atomic_write(tmp_path / "b.mp4"):
            pass
    assert names(tmp_path) == sorted(["b.mp4", fresh])


def test_the_holder_of_a_folder_removes_all_parts_in_it(tmp_path: Path):
    (tmp_path / "b" / "gone").mkdir(parents=True)
    left = [f".mgm-{'0' * 16}.{'0' * 8}-{os.getpid()}-1.part", f"b/gone/.mgm-{'1' * 16}.{'0' * 8}-1-23.part"]
    kept = [".notes.part", ".mgm-notes.1.part", "b/x.part"]
    for name in (*left, *kept):
        (tmp_path / name).touch()
    remove_parts(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)


@pytest.mark.parametrize(
    "write", [make_folder, lambda path: fill_in(atomic_write, path), lambda path: fill_in(locked, path)]
)
def test_no_folder_is_called_as_the_home_folder_of_a_shell(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with raises(FileError, "invalid_value", message="files-home-folder"):
        write(Path("~/runs/a"))
    assert names(tmp_path) == []
    (tmp_path / "~").mkdir()
    write(Path("~/runs/a"))


def fill_in(writer: Callable[[Path], AbstractContextManager[object]], path: Path) -> None:
    with writer(path):
        pass


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "new" / "x.json", tmp_path / "folder"):
        with raises(FileError, "cannot_write", subject=path):
            check_writable(path)
    check_writable(tmp_path / "new" / "x.json")
    check_writable(tmp_path / "file")
    assert names(tmp_path) == ["file", "folder"]
    assert names(tmp_path / "folder") == []
