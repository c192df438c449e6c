"""The folder of a run: one run at a time, no run without its checkpoint, nothing but files of a run in its places."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mgm.errors import ConfigError, FileError
from mgm.training.folder import Start, run_folder
from tests.errors import raises
from tests.training.helpers import read_log, same_weights

COMMAND = "import sys; sys.modules['torch'] = None; from mgm.commands.main import run; run()"


@pytest.mark.parametrize("command", [["pretrain"], ["finetune", "nowhere"]])
@pytest.mark.parametrize("resume", [[], ["--resume", "auto"]])
def test_a_second_run_is_refused_before_it_loads_anything(tmp_path: Path, command, resume):
    with run_folder(tmp_path / "run", Start()):
        arguments = [*command, "no videos", "--out", str(tmp_path / "run"), *resume]
        refused = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, check=False
        )
    assert refused.returncode == 1
    assert f"process {os.getpid()} on {socket.gethostname()}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []  # the folder was made for nothing


def test_a_folder_in_use_is_held_by_one_thread(run, small, tmp_path):
    refused: list[FileError] = []

    def second() -> None:
        try:
            with run_folder(tmp_path / "run", Start(resume="auto")):
                pass
        except FileError as error:
            refused.append(error)

    with run_folder(tmp_path / "run", Start()):
        run(small("pretrain.steps=1"))  # within: it holds the folder too
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert [error.reason for error in refused] == ["locked"]
    with run_folder(tmp_path / "run", Start(resume="auto")):
        pass


def test_other_ranks_leave_the_folder_to_the_first(tmp_path, monkeypatch):
    with run_folder(tmp_path, Start()):
        monkeypatch.setenv("RANK", "1")
        context = threading.Thread(target=lambda: run_folder(tmp_path, Start()).__enter__())
        context.start()
        context.join()
        assert (tmp_path / ".mgm.lock").exists()


def test_a_run_whose_checkpoints_are_gone(run, small, tmp_path):
    out = run(small()).out
    log = (out / "log.jsonl").read_bytes()
    shutil.rmtree(out / "checkpoints")
    with raises(ConfigError, "not_found", subject=out, message="run-without-checkpoint"):
        run(small(), resume=True)
    with raises(ConfigError, "not_found", subject=out):
        run(small())
    assert (out / "log.jsonl").read_bytes() == log


def test_a_run_that_was_killed_in_its_first_step_starts_again(run, small):
    whole = run(small(), "whole")
    run(small())
    out = whole.out.parent / "run"
    shutil.rmtree(out / "checkpoints")
    (out / "log.jsonl").write_text((out / "log.jsonl").read_text().splitlines()[0] + "\n")
    again = run(small(), resume=True)
    assert same_weights(again.model, whole.model)
    assert [entry["step"] for entry in read_log(out)] == list(range(6))


@pytest.mark.parametrize("name", ["last.pt", "log.jsonl", "config.yaml", "bad_videos.tsv", "incidents.txt"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_something_else_in_the_place_of_a_file(tmp_path, name, make):
    make(tmp_path / name)
    with raises(ConfigError, "exists", subject=tmp_path / name), run_folder(tmp_path, Start(resume="auto")):
        pass


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo])
def test_something_else_in_the_place_of_a_folder(tmp_path, make):
    make(tmp_path / "checkpoints")
    with raises(ConfigError, "exists"), run_folder(tmp_path, Start(resume="auto")):
        pass
    (tmp_path / "checkpoints").unlink()
    make(tmp_path / "tensorboard")
    with raises(ConfigError, "exists", message="run-tensorboard-file"), run_folder(tmp_path, Start(resume="auto")):
        pass


def test_links_in_the_place_of_files(run, small, tmp_path):
    """A log on another disk, and a link to nowhere."""
    whole = run(small(), "whole")
    out = shutil.copytree(whole.out, tmp_path / "run")
    (out / "log.jsonl").rename(tmp_path / "elsewhere.jsonl")
    (out / "log.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    (out / "checkpoints").rename(tmp_path / "other disk")
    (out / "checkpoints").symlink_to(tmp_path / "other disk")
    assert same_weights(run(small(), resume=True).model, whole.model)


def test_a_new_run_needs_a_folder_of_its_own(tmp_path):
    videos, runs = tmp_path / "videos", tmp_path / "runs"
    (runs / "a" / "checkpoints").mkdir(parents=True)
    (runs / "a" / "log.jsonl").touch()
    videos.mkdir()
    (videos / "A.MP4").touch()
    for out, message in ((videos, "run-among-videos"), (runs, "run-among-runs")):
        with raises(ConfigError, "exists", subject=out, message=message), run_folder(out, Start()):
            pass
    (runs / "b").mkdir()
    (runs / "b" / "slurm-12.out").touch()
    with run_folder(runs / "b", Start()):
        pass
