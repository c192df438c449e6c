"""Checkpoints that are old, damaged, lost or unreadable: the one before replaces them, or a clear error."""

import pkgutil
import shutil

import pytest
import torch

from mgm.errors import ConfigError, ModelError
from mgm.training import load_checkpoint
from tests.errors import raises
from tests.training.helpers import checkpoint_steps, flip_bit, newest, raising, read_log, same_weights


def as_earlier_version(out, *without):
    """Make the newest checkpoint a single file without a checksum, as earlier versions wrote it."""
    content = load_checkpoint(out) | {"format": "mgm-checkpoint-1"}
    torch.save({key: value for key, value in content.items() if key not in without}, out / "last.pt")
    shutil.rmtree(out / "checkpoints")


def test_a_checkpoint_without_its_set_does_not_resume(run, small):
    out = run(small()).out
    as_earlier_version(out, "data")
    with pytest.warns(UserWarning, match="checksum"), raises(ConfigError, "unsupported", subject=out):
        run(small(), resume=True)


def test_a_checkpoint_of_an_earlier_version_resumes(run, small, memory):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=11))
    out = whole.out.parent / "run"
    as_earlier_version(out, "version")
    with pytest.warns(UserWarning, match="checksum"):
        assert same_weights(run(config, resume=True).model, whole.model)
    assert checkpoint_steps(out) == [6, 4]


@pytest.mark.parametrize("name", ["state.pt", "weights.safetensors"])
@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(run, small, capsys, name, place):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config)
    log, last = read_log(whole.out), newest(whole.out)
    content = flip_bit(last / name, place)
    with pytest.raises(ModelError):
        load_checkpoint(whole.out)
    resumed = run(config, resume=True)
    printed = capsys.readouterr().out
    assert "step-00000004 is used" in printed
    assert str(last / name) in printed
    assert same_weights(resumed.model, whole.model)
    assert (last.parent / "damaged-00000006" / name).read_bytes() == content
    assert [entry["loss"] for entry in read_log(whole.out)] == [entry["loss"] for entry in log]


@pytest.mark.parametrize("lost", ["state.pt", "weights.safetensors", "about.json", None])
def test_a_lost_checkpoint_is_replaced_by_the_one_before(run, small, memory, capsys, lost):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=19))
    out = whole.out.parent / "run"
    assert checkpoint_steps(out) == [4, 2]
    shutil.rmtree(newest(out)) if lost is None else (newest(out) / lost).unlink()
    resumed = run(config, resume=True)
    replaced = lost in ("state.pt", "weights.safetensors")  # about.json is for people
    assert ("step-00000002 is used" in capsys.readouterr().out) == replaced
    assert same_weights(resumed.model, whole.model)
    assert resumed.history.losses == whole.history.losses


def test_weights_of_another_step_are_found(run, small):
    whole = run(small("pretrain.checkpoint_every=2"))
    after, before = (whole.out / "checkpoints" / f"step-0000000{step}" for step in (6, 4))
    shutil.copy(before / "weights.safetensors", after / "weights.safetensors")
    with raises(ModelError, "malformed", subject=after / "weights.safetensors"):
        load_checkpoint(whole.out)


@pytest.mark.parametrize(
    ("function", "error", "reason"),
    [
        ("mgm.files.torch_file.is_intact", OSError(5, "Input/output error"), "unreadable"),
        ("torch.load", MemoryError(), "malformed"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_now_is_not_replaced(run, small, monkeypatch, function, error, reason):
    last = newest(run(small("pretrain.checkpoint_every=2")).out)
    failures = iter([error])
    original = pkgutil.resolve_name(function)

    def failing(*args, **options):
        for failure in failures:
            raise failure
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(function, failing)
        with raises(ModelError, reason, subject=last / "state.pt"):
            run(small("pretrain.checkpoint_every=2"), resume=True)
    assert last.exists()


def test_a_damaged_checkpoint_without_one_before(run, small):
    out = run(small("pretrain.steps=1")).out
    flip_bit(newest(out) / "state.pt", 0.5)
    with raises(ModelError, "malformed", subject=newest(out) / "state.pt", message="checkpoint-damaged"):
        run(small("pretrain.steps=1"), resume=True)
