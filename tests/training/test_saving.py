"""When checkpoints are written, which are kept, and what any program reads in them."""

import json
import math
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from mgm.errors import FileError
from mgm.training import load_checkpoint, load_encoder
from mgm.training.checkpoint_folder import write_checkpoint
from mgm.training.folder import DECAY
from mgm.training.saving import CheckpointWriter, outdated
from tests.errors import raises
from tests.training.helpers import checkpoint_steps, newest, raising, same_weights


def abouts(out):
    return {about["step"]: about for about in
            (json.loads((out / "checkpoints" / f"step-{step:08d}" / "about.json").read_text())
             for step in checkpoint_steps(out))}  # fmt: skip


def test_the_newest_two_are_kept(run, small):
    out = run(small("pretrain.checkpoint_every=1")).out
    assert checkpoint_steps(out) == [6, 5]
    assert not list(out.rglob(".mgm*"))


def test_every_second_epoch_is_kept(run, small):
    """16 videos in steps of 6: epochs end in steps 3, 6, 8, 11 and 14."""
    out = run(small("pretrain.batch=6", "pretrain.steps=15", "pretrain.keep_every=2", "pretrain.keep_last=1")).out
    assert {step: about["kept"] for step, about in abouts(out).items()} == {15: None, 11: "epoch 4", 6: "epoch 2"}
    assert abouts(out)[11]["epoch"] == pytest.approx(66 / 16, abs=1e-3)


def test_the_best_is_kept(run, small, monkeypatch):
    losses = iter([5.0, 1.0, 3.0, 4.0, 6.0, 2.0])
    write = CheckpointWriter.write

    def at(writer, state, **options):
        writer.log.history.losses[-1] = next(losses, 9.0)
        write(writer, state, **options)

    monkeypatch.setattr(CheckpointWriter, "write", at)
    out = run(small("pretrain.checkpoint_every=1", "pretrain.keep_last=1", "pretrain.keep_best=true")).out
    assert {step: about["loss"] for step, about in abouts(out).items()} == {6: 2.0, 2: 1.0}


def test_what_is_outdated():
    known = [{"loss": loss, "kept": kept} for loss, kept in
             ((3.0, None), (math.nan, None), (1.0, None), (2.0, "epoch 4"), (0.5, None))]  # fmt: skip
    assert outdated([*known, {}], last=1, best=False) == [1, 2, 4, 5]  # {}: a damaged file of its own
    assert outdated([*known, {}], last=2, best=True) == [2, 5]
    assert outdated([], last=2, best=True) == []
    assert outdated([{"loss": None}] * 3, last=2, best=False) == [2]


def test_a_checkpoint_is_written_by_time(run, small, monkeypatch):
    ticks = iter(range(0, 10_000, 25))
    monkeypatch.setattr("mgm.training.saving.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    out = run(small("pretrain.checkpoint_minutes=1", "pretrain.keep_last=9")).out
    assert checkpoint_steps(out) == [6, 4, 1]  # 1, and each after three questions of 25 s


def test_not_by_time_if_it_is_switched_off(run, small, monkeypatch):
    ticks = iter(range(0, 10**9, 10**5))
    monkeypatch.setattr("mgm.training.saving.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    assert checkpoint_steps(run(small("pretrain.checkpoint_minutes=null", "pretrain.keep_last=9")).out) == [6, 1]


def test_a_checkpoint_written_in_the_background_is_the_same(run, small, memory, monkeypatch):
    """The training changes the weights while their copy is written."""
    config = small("pretrain.checkpoint_every=2", "pretrain.keep_last=9")
    whole = run(config, "whole")
    begun, make = [], CheckpointWriter.__post_init__

    def in_background(writer):
        make(writer)
        writer.in_background = True

    def late(folder, content, about):
        time.sleep(0.3)
        begun.append(threading.current_thread() is threading.main_thread())
        write_checkpoint(folder, content, about)

    monkeypatch.setattr(CheckpointWriter, "__post_init__", in_background)
    monkeypatch.setattr("mgm.training.saving.write_checkpoint", late)
    other = run(config, "other")
    assert begun == [True, False, False, False]  # after steps 1, 2, 4 and 6; the end of the run waits for the last
    for step in (1, 2, 4, 6):
        first, second = (load_checkpoint(out / "checkpoints" / f"step-{step:08d}") for out in (whole.out, other.out))
        assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])
        assert torch.equal(first["position"]["rng"], second["position"]["rng"])
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=19))
    assert checkpoint_steps(other.out.parent / "run") == [4, 2, 1]  # waited for


def test_a_full_disk_in_the_background_ends_the_run(run, small, monkeypatch):
    make = CheckpointWriter.__post_init__

    def in_background(writer):
        make(writer)
        writer.in_background = True

    def full(folder, content, about):
        if folder.name != "step-00000001":
            raise FileError(folder, "is full", reason="cannot_write")
        write_checkpoint(folder, content, about)

    monkeypatch.setattr(CheckpointWriter, "__post_init__", in_background)
    monkeypatch.setattr("mgm.training.saving.write_checkpoint", full)
    with raises(FileError, "cannot_write"):
        run(small("pretrain.checkpoint_every=2"))


def test_the_weights_alone_are_a_model(run, small):
    trained = run(small())
    file = newest(trained.out) / "weights.safetensors"
    state = load_file(file)
    assert all(torch.equal(state[name], value) for name, value in trained.model.state_dict().items())
    again = load_encoder(file)
    assert same_weights(again, trained.model.encoder)
    assert same_weights(load_encoder(newest(trained.out)), trained.model.encoder)
    assert load_checkpoint(newest(trained.out))["version"]


def test_a_run_of_warm_up_and_decay_keeps_the_start_of_its_decay(run, small):
    out = run(small("pretrain.schedule=wsd", "pretrain.decay=0.5", "pretrain.keep_last=1")).out
    assert {step: about["kept"] for step, about in abouts(out).items()} == {6: None, 3: DECAY}


def test_a_full_disk_in_the_middle_of_a_checkpoint_leaves_the_one_before(run, small, monkeypatch):
    def full(content, file):
        (file.parent / "half").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    first = run(small("pretrain.steps=1"))
    with monkeypatch.context() as patch:
        patch.setattr("mgm.training.checkpoint_folder.write_torch", full)
        with raises(FileError, "cannot_write", message="checkpoint-full-disk"):
            run(small(), resume=True)
    assert checkpoint_steps(first.out) == [1]
    assert [path.name for path in (first.out / "checkpoints").iterdir()] == ["step-00000001"]
    assert len(run(small(), resume=True).history.losses) == 6
