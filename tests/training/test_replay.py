"""Steps that would spoil a run are skipped and counted; the one that stops it is taken again from its file."""

import math
from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mgm.errors import ModelError
from mgm.models import Encoder
from mgm.models.networks.catalog import NETWORKS
from mgm.training import export_model, load_checkpoint
from mgm.training.finetune import finetune
from mgm.training.pretrain import Pretraining
from mgm.training.replay import replay_step
from mgm.training.replay_file import read_replay
from tests.errors import raises
from tests.models.networks.small import SMALL
from tests.models.tokenizers.files import vqgan, write_vqgan
from tests.training.helpers import newest, read_log

DIVERGING = ("pretrain.base_lr=1e30", "pretrain.clip_grad=null", "pretrain.warmup=0")


@pytest.fixture
def small(small):
    """Without the trial before a run, which takes steps too."""
    return lambda *overrides: small("pretrain.micro_batch=null", "finetune.micro_batch=null", *overrides)


def spoil(monkeypatch, steps, *, factor=math.nan):
    """Multiply the loss of these calls of `Pretraining.step`."""
    step, calls = Pretraining.step, iter(range(1000))

    def spoiled(self, module, batch):
        result = step(self, module, batch)
        return replace(result, loss=result.loss * factor) if next(calls) in steps else result

    monkeypatch.setattr(Pretraining, "step", spoiled)


def test_a_skipped_step_is_recorded(run, small, monkeypatch):
    with monkeypatch.context() as patch:
        spoil(patch, {3})
        spoiled = run(small(), "spoiled")
    entries, whole = read_log(spoiled.out), read_log(run(small(), "whole").out)
    assert entries[3]["loss"] is None
    assert entries[3]["gradient_norm"] is None
    assert entries[3]["skipped"] == "its loss is nan"
    assert [entry["loss"] for entry in entries[:3]] == [entry["loss"] for entry in whole[:3]]
    assert math.isnan(spoiled.history.losses[3])
    assert all(torch.isfinite(weight).all() for weight in spoiled.model.state_dict().values())
    assert "step 3 is skipped: its loss is nan (1 of 5 in 100 steps)" in (spoiled.out / "incidents.txt").read_text()
    assert load_checkpoint(spoiled.out)["position"]["guard"]["skipped"] == [3]
    assert not (spoiled.out / "replay.pt").exists()
    events = EventAccumulator(str(spoiled.out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("2-step/skipped")] == [3]


def test_the_weights_after_a_skipped_step_are_those_before_it(run, small, monkeypatch, tmp_path):
    config = small("pretrain.steps=4")
    with pytest.raises(KeyboardInterrupt):
        run(config, progress=interrupt_at("step 3 of 4"))
    before = load_checkpoint(tmp_path / "run")["model"]
    spoil(monkeypatch, {0})
    after = run(config, resume=True).model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_gradient_that_explodes_is_skipped(run, small, monkeypatch):
    spoil(monkeypatch, {25}, factor=1e6)
    trained = run(small("pretrain.steps=27"))
    assert "the norm of its gradient is" in read_log(trained.out)[25]["skipped"]
    assert sum("skipped" in entry for entry in read_log(trained.out)) == 1


def test_a_resumed_run_counts_the_skipped_steps_before(run, small, monkeypatch):
    config = small("pretrain.skip_limit=1", "pretrain.checkpoint_every=1")
    spoil(monkeypatch, {1, 5})  # call 4 is step 3 of the resumed run
    with pytest.raises(KeyboardInterrupt):
        run(config, progress=interrupt_at("step 3 of 6"))
    with raises(ModelError, "diverged"):
        run(config, resume=True)


def interrupt_at(text):
    def progress(line):
        if line.startswith(text):
            raise KeyboardInterrupt

    return progress


def test_a_run_that_diverges_stops_and_leaves_the_step(run, small, tmp_path):
    with raises(ModelError, "diverged", subject=tmp_path / "run", message="run-diverged"):
        run(small("pretrain.skip_limit=2", "pretrain.steps=9", *DIVERGING))
    out = tmp_path / "run"
    saved = read_replay(out / "replay.pt")
    entries = read_log(out)
    assert saved.step == len(entries)
    assert [entry["step"] for entry in entries if "skipped" in entry] == [saved.step - 2, saved.step - 1]
    assert load_checkpoint(out)["position"]["step"] == 1
    replay = replay_step(out / "replay.pt")
    assert replay.reproduced
    assert not replay.again.is_finite
    assert replay.exact is None
    assert replay.again.output is not None
    assert replay.bad_weights == ()


def test_a_gradient_alone_can_spoil_a_step(run, small, monkeypatch, tmp_path):
    """Its loss is finite."""
    step = Pretraining.step

    def spoiled(self, module, batch):
        weight = next(iter(module.parameters()))
        result = step(self, module, batch)
        slope = (weight - weight.detach()).abs().sum().sqrt()  # 0, its slope is not finite
        return replace(result, loss=result.loss + slope)

    monkeypatch.setattr(Pretraining, "step", spoiled)
    with raises(ModelError, "diverged", message="run-gradient-not-finite"):
        run(small("pretrain.steps=1", "pretrain.skip_limit=0"))
    replay = replay_step(tmp_path / "run" / "replay.pt")
    assert math.isfinite(replay.again.loss)
    assert not math.isfinite(replay.again.gradient_norm)
    assert replay.again.output is None


@pytest.mark.parametrize(
    "targets", ["normalised-pixels", "{vqgan-codes: 1, teacher: 0.5}", "{video-teacher: 1, image-teacher: 0.5}"]
)
def test_a_step_is_taken_again_exactly(run, small, monkeypatch, tmp_path, targets):
    """The loss of a step with several micro-batches, a decoder mask, teachers and a tokenizer."""
    settings = [
        "pretrain.skip_limit=0",
        "pretrain.micro_batch=2",
        "mask.decoder.name=running-cell",
        f"model.target={targets}",
    ]
    if "teacher" in targets:
        settings.append(f"model.teacher={run(small('pretrain.steps=1'), 'teacher').out}")
    if "vqgan" in targets:
        file = write_vqgan(tmp_path / "vqgan.ckpt", vqgan().state_dict())
        settings.append(f"model.tokenizer={file}")
    if "image-teacher" in targets:
        spec = replace(small().model_spec(), frames=1, tubelet=1)
        export_model(Encoder(spec), to="safetensors", out=tmp_path / "pictures")
        settings.append(f"model.image_teacher={tmp_path / 'pictures'}")
    expected = run(small(*settings), "whole").history.losses[4]
    monkeypatch.setattr(
        "mgm.training.loop.StepGuard.judge", lambda guard, step, *_, **__: "is wanted" if step == 4 else None
    )
    monkeypatch.setattr("mgm.training.loop.StepGuard.exceeded", True)
    with raises(ModelError, "diverged"):
        run(small(*settings))
    (tmp_path / "vqgan.ckpt").unlink(missing_ok=True)
    replay = replay_step(tmp_path / "run" / "replay.pt")
    assert replay.saved.loss == pytest.approx(expected, rel=1e-6)
    assert replay.again.loss == replay.saved.loss
    assert replay.again.gradient_norm == pytest.approx(replay.saved.gradient_norm, rel=1e-6)
    assert (replay.again.output, replay.again.gradient) == (None, None)


@pytest.mark.parametrize(
    "settings",
    [
        ("finetune.dropout=0.5", "finetune.drop_path=0.5", "finetune.mixup=0.8"),
        ("finetune.class_weights=balanced", "finetune.mixup=0", "finetune.cutmix=0"),
        ("model.network=small", "finetune.layer_decay=1", "finetune.dropout=0.5"),
    ],
)
def test_a_fine_tuning_step_draws_the_same(small, videos, memory, monkeypatch, tmp_path, settings):
    """Its dropout, its stochastic depth and its mixing; the weights of its classes; a network."""
    monkeypatch.setitem(NETWORKS, "small", SMALL)
    config = small("finetune.skip_limit=0", *settings)
    videos = replace(videos, train=(*videos.train, *videos.train[:2], *videos.train[:2]))  # unequal classes
    monkeypatch.setattr(
        "mgm.training.loop.StepGuard.judge", lambda guard, step, *_, **__: "is wanted" if step == 4 else None
    )
    monkeypatch.setattr("mgm.training.loop.StepGuard.exceeded", True)
    with raises(ModelError, "diverged"):
        finetune(None, videos, config, out=tmp_path / "run", source=memory, show_progress=False)
    replay = replay_step(tmp_path / "run" / "replay.pt")
    assert replay.saved.is_finetuning
    assert replay.again.loss == replay.saved.loss
    assert replay.reproduced


def test_files_that_are_no_step(run, small, tmp_path):
    with raises(ModelError, "not_found", message="replay-not-found"):
        replay_step(tmp_path / "replay.pt")
    with raises(ModelError, "malformed", message="replay-malformed"):
        replay_step(newest(run(small("pretrain.steps=1")).out) / "state.pt")
