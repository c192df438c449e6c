"""One process at a time for a file or a folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mgm.errors import FileError
from mgm.files.lock import locked
from tests.errors import raises

CODE = """
import os, sys
from mgm.errors import FileError
from mgm.files.lock import locked
try:
    with locked(sys.argv[1]):
        if "kill" in sys.argv:
            os.kill(os.getpid(), 9)
        print("free")
except FileError as error:
    print(error.reason, error)
"""


def other_process(path: Path, *options: str) -> str:
    command = [sys.executable, "-c", CODE, str(path), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("name", ["folder", "file.csv", "new/file.csv", "x" * 255])
def test_the_second_process_is_refused_and_the_first_is_named(tmp_path: Path, name: str):
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    with locked(path):
        refused = other_process(path)
        assert refused.startswith(f"locked {path}: ")
        assert f"process {os.getpid()} on " in refused
    assert other_process(path) == "free\n"
    assert not list(tmp_path.rglob("*lock*"))


def test_another_part_of_the_same_process_is_refused(tmp_path: Path):
    with locked(tmp_path), raises(FileError, "locked", subject=tmp_path), locked(tmp_path):
        raise AssertionError("two holders")
    with locked(tmp_path), locked(tmp_path / "file.csv"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_the_lock_ends_with_a_killed_process(tmp_path: Path):
    assert other_process(tmp_path, "kill") == ""
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_does_not_hold_the_lock(tmp_path: Path):
    """A reading process may outlive the run that holds the lock."""
    with locked(tmp_path):
        child = os.fork()
        if not child:
            signal.pause()
    try:
        with locked(tmp_path):
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child has ended, and the test shows nothing"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


LEAVES_A_CHILD = """
import os, signal, sys
from mgm.files.lock import locked
with locked(sys.argv[1]):
    child = os.fork()
    if child:
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_that_outlives_a_killed_owner_does_not_hold_the_lock(tmp_path: Path):
    """It may wait in the kernel for a dead disk."""
    command = [sys.executable, "-c", LEAVES_A_CHILD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        child = int(owner.stdout.readline())
        owner.wait()
    try:
        with locked(tmp_path):
            assert Path(f"/proc/{child}").exists() or sys.platform != "linux", (
                "the child has ended, and the test shows nothing"
            )
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="other locks")
def test_a_file_that_its_owner_removed_meanwhile_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The owner may end between the opening and the locking of the file: the lock must belong to the name."""
    import fcntl

    lock, calls = fcntl.flock, []

    def late(file: int, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            (tmp_path / ".mgm.lock").unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path):
        assert other_process(tmp_path).startswith("locked")
    assert len(calls) == 3  # twice to lock, once to release


@pytest.mark.skipif(sys.platform == "win32", reason="other locks")
@pytest.mark.parametrize("number", [38, 95])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    import fcntl

    def unsupported(file: object, how: int) -> None:
        raise OSError(number, "not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locked(tmp_path):
        (tmp_path / "result").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with raises(FileError, "cannot_write", subject=tmp_path / "a.csv"), locked(tmp_path / "a.csv"):
            pass
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="open files keep their folder in its place")
@pytest.mark.parametrize("name", ["", "file.csv"])
@pytest.mark.parametrize("fails", [True, False])
def test_a_folder_that_is_moved_away_is_an_error_of_its_own(tmp_path: Path, name: str, fails: bool):
    """Whether the work failed for this reason, or went on in a new folder of the old name."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with (
        raises(FileError, "not_found", subject=folder / name, message=f"lock-moved{name and '-file'}"),
        locked(folder / name),
    ):
        folder.rename(tmp_path / "elsewhere")
        if fails:
            (folder / "result").write_text("")
        folder.mkdir()
    with locked(tmp_path / "elsewhere" / name):
        pass
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_lock_that_is_removed_by_hand_is_no_error(tmp_path: Path):
    with locked(tmp_path):
        (tmp_path / ".mgm.lock").unlink(missing_ok=sys.platform == "win32")
    with raises(FileError, "malformed"), locked(tmp_path):
        (tmp_path / ".mgm.lock").unlink()
        raise FileError("other", "an error of its own", reason="malformed")


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_the_work_makes_or_replaces_has_one_lock(tmp_path: Path, exists: bool):
    """A second process meets it before and after; a killed one leaves none that a later one does not remove."""
    folder = tmp_path / "folder"
    if exists:
        folder.mkdir()
    with locked(folder, replaces=True):
        if exists:
            folder.rename(tmp_path / "earlier")
        folder.mkdir()
        with raises(FileError, "locked", subject=folder), locked(folder, replaces=True):
            raise AssertionError("two holders")
    (tmp_path / ".folder.lock").touch()  # of a killed process
    with locked(folder, replaces=True):
        pass
    assert not list(tmp_path.rglob("*lock*"))
