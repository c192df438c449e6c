"""What a run measures before it starts, and the micro-batch that it chooses."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from mgm.data.clips.source import FileSource
from mgm.data.loading.dataset import ClipTransform
from mgm.errors import ConfigError
from mgm.machine import peak_flops
from mgm.models.cost import encoder_multiply_accumulates
from mgm.training import trial
from mgm.training.announce import announce, device_rate
from mgm.training.config import RUNS
from mgm.training.engine import Engine
from mgm.training.finetune import Finetuning, augmentation, build_classifier
from mgm.training.pretrain import Pretraining, build_autoencoder
from mgm.training.run import TrainingRun, training_clips
from mgm.training.trial import StepCost, StepMemory, drawn_batch, fixed_bytes, flops_per_clip, measure_reading, try_step
from tests.errors import raises
from tests.training.helpers import same_weights

DECODED = "mask.decoder.name=running-cell"


def prepared(kind, config, videos, source, out):
    """A run and its engine, as the loop has them."""
    rule = config.mask_rule() if kind == "pretrain" else None
    transform = ClipTransform("centre", False, rule)
    clips = training_clips(videos.train, config, transform, source, repeats=config.repeats(kind), show_progress=False)
    run = TrainingRun.prepare(out, config, config.optim(kind), clips)
    if kind == "pretrain":
        model = build_autoencoder(config, None)
        return run, Engine.build(run.fabric, Pretraining(model, config), run.optim, peak=1.0)
    classifier = build_classifier(config, classes=len(videos.classes))
    augment = augmentation(config.finetune, classes=len(videos.classes), seed=0)
    method = Finetuning(classifier, config, videos.classes, False, augment)
    return run, Engine.build(run.fabric, method, run.optim, peak=1.0)


def peak_bytes(run, method, clips):
    """The largest sum of allocations of a forward and a backward pass, counted by PyTorch's profiler; without gradients."""
    batch = drawn_batch(run, clips)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        method.step(method.module, batch).loss.backward()
    total = highest = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            total += event.nbytes()
            highest = max(highest, total)
    gradients = sum(p.grad.nbytes for p in method.module.parameters() if p.grad is not None)
    method.module.zero_grad(set_to_none=True)
    return highest - gradients


@pytest.mark.parametrize(("first", "last"), [(0.3, 0.8), (0.8, 0.3)])
def test_a_changing_ratio_asks_for_the_memory_of_most_visible_tokens_and_the_time_of_the_mean(
    small, videos, memory, tmp_path, monkeypatch, first, last
):
    taken, step = [], Pretraining.step
    monkeypatch.setattr(
        Pretraining, "step", lambda self, module, batch: taken.append(batch.mask) or step(self, module, batch)
    )
    constant = prepared("pretrain", small("mask.ratio=0.3"), videos, memory, tmp_path)
    most = try_step(*constant).memory
    taken.clear()
    settings = (f"mask.ratio={first}", f"mask.final_ratio={last}", "mask.ratio_schedule=cosine")
    assert try_step(*prepared("pretrain", small(*settings), videos, memory, tmp_path)).memory.per_clip == most.per_clip
    hidden = [mask.flatten(1).sum(1).unique().tolist() for mask in taken]
    assert hidden[0] == [2 * 4]  # int(.3 * 16) of each of two steps
    assert len(hidden) > 1
    assert set(map(tuple, hidden[1:])) == {(2 * 8,)}  # int(.55 * 16)


@pytest.mark.parametrize("kind", RUNS)
def test_the_memory_of_a_step_is_that_of_the_profiler(small, videos, memory, tmp_path, kind):
    run, engine = prepared(kind, small("model.size=tiny"), videos, memory, tmp_path)
    method = engine.method
    method.module.train()
    cost = try_step(run, engine)
    measured = (peak_bytes(run, method, 16) - peak_bytes(run, method, 4)) / 12
    assert cost.memory.per_clip == pytest.approx(measured, rel=0.35)
    assert cost.seconds_per_clip > 0


def test_the_operations_are_those_of_the_formula(small, videos, memory, tmp_path):
    """A backward pass costs twice a forward pass, but no gradient of the pixels is computed."""
    config = small("model.size=S", "data.size=64", "finetune.precision=32-true")
    run, engine = prepared("finetune", config, videos, memory, tmp_path)
    plain = replace(engine.method, module=build_classifier(config, classes=8))  # whose layers are PyTorch's own
    expected = 2 * 3 * encoder_multiply_accumulates(config.model_spec())
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch counts the fused attention of GPUs, not that of processors
        assert flops_per_clip(run, plain) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA L4", 121e12),
     ("NVIDIA GeForce RTX 4090", 165e12), ("NVIDIA L400", None)],
)  # fmt: skip
def test_peaks_of_devices(name, peak):
    assert peak_flops(name) == peak


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "muon"])
def test_the_fixed_memory_is_that_of_the_tensors(small, videos, memory, tmp_path, optimiser):
    run, engine = prepared("pretrain", small(f"pretrain.optimiser={optimiser}"), videos, memory, tmp_path)
    expected, method = fixed_bytes(engine), engine.method
    method.step(method.module, drawn_batch(run, 2)).loss.backward()
    engine.optimiser.step()
    tensors = [*method.module.parameters(), *method.module.buffers()]
    tensors += [p.grad for p in method.module.parameters() if p.grad is not None]
    states = (value for state in engine.optimiser.state.values() for value in state.values())
    tensors += [value for value in states if isinstance(value, torch.Tensor) and value.ndim]
    assert expected == sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("settings", [(), (DECODED,), ("data.repeats=2",), ("model.target=motion",)])
def test_a_trial_changes_nothing(run, small, settings):
    automatic = run(small(*settings), "automatic")
    given = run(small("pretrain.micro_batch=null", *settings), "given")
    assert automatic.history.losses == given.history.losses
    assert same_weights(automatic.model, given.model)


@pytest.mark.parametrize(("room", "micro_batches"), [(4, 1), (3, 2), (2, 2), (1, 4), (0, 4)])
def test_accumulation_fills_the_gap(run, small, monkeypatch, room, micro_batches):
    free = StepMemory(1000, 100, None).of(room) / 0.8
    whole = run(small(), "whole")
    monkeypatch.setattr(trial, "try_step", None)
    monkeypatch.setattr("mgm.training.loop.try_step", lambda *_: StepCost(StepMemory(1000, 100, round(free)), 1.0))
    chosen = []
    batches = TrainingRun.batches
    monkeypatch.setattr(TrainingRun, "batches", lambda self, first: chosen.append(self) or batches(self, first))
    parts = run(small(), "parts")
    assert [made.micro_batches for made in chosen] == [micro_batches]
    assert parts.history.losses == pytest.approx(whole.history.losses, rel=1e-4)


def test_a_resumed_run_accumulates_as_before(run, small, monkeypatch):
    """With more room than at its start: the sums of a step round as they did."""

    def with_room_for(clips):
        cost = StepCost(StepMemory(0, 80, clips * 100), 1.0)
        monkeypatch.setattr("mgm.training.loop.try_step", lambda *_: cost)

    with_room_for(3)
    whole = run(small(), "whole")

    def stop(line):
        if line.startswith("step 3 of 6"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(small(), "stopped", progress=stop)
    with_room_for(100)
    resumed = run(small(), "stopped", resume="auto")
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_the_lines_before_a_run(small, videos, memory, tmp_path, capsys):
    config = small("pretrain.repeats=2", "pretrain.micro_batch=4", "pretrain.batch=6")
    run, engine = prepared("pretrain", config, videos, memory, tmp_path)
    cost = StepCost(StepMemory(2**30, 2**28, 2**33), 0.01)
    announce(run, engine.method, 0, cost, 25.0)
    lines = capsys.readouterr().out.splitlines()[3:]
    assert lines == [
        "batch 6 videos x 2 repeats = 12 clips: 4 at once x 3 accumulated x 1 device",
        "memory about 2.0 GiB per device: 1.0 GiB for weights, gradients and optimiser, 1.0 GiB for 4 clips at once; "
        "8.0 GiB are free",
        "speed: the device can train on about 100 clips/s, the loader delivers 25: training will wait for data 75% of the time; "
        "set data.workers, or see 'mgm bench data'",
    ]
    assert device_rate(run, replace(cost, seconds_per_clip=5.0)) == "the device can train on about 0.2 clips/s"
    announce(run, engine.method, 3, None, None)
    assert capsys.readouterr().out.splitlines()[-1] == "resuming after step 3"
    large, _ = prepared("pretrain", small("pretrain.batch=1000000", "pretrain.micro_batch=8"), videos, memory, tmp_path)
    announce(large, engine.method, 0, None, None)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "batch 1,000,000 clips: 8 at once x 125000 accumulated x 1 device; "
        "the set has only 16 videos: a step takes each 62,500.0 times, other clips of it"
    )
    falling = small("mask.ratio_schedule=cosine", "mask.final_ratio=0.5")
    run, engine = prepared("pretrain", falling, videos, memory, tmp_path)
    announce(run, engine.method, 0, None, None)
    assert "mask mgm hides 12 to 8 tokens per step (0.75 to 0.5, cosine)" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, 1])
def test_measuring_the_loader_loses_no_batch(small, videos, tmp_path, workers):
    run, _ = prepared("pretrain", small(f"data.workers={workers}"), videos, FileSource(), tmp_path)
    rate, stream = measure_reading(run.batches(0), run)
    keys = [batch.keys.tolist() for batch in stream]
    assert keys == [batch.keys.tolist() for batch in run.batches(0)]
    assert rate is not None
    assert rate > 0
    none, rest = measure_reading(run.batches(run.schedule.steps - 1), run)
    assert none is None
    assert len(list(rest)) == 1


def test_drawn_clips_are_always_the_same(small, videos, memory, tmp_path):
    run, _ = prepared("pretrain", small(DECODED), videos, memory, tmp_path)
    first, second = (drawn_batch(run, 3) for _ in range(2))
    assert torch.equal(first.video, second.video)
    assert torch.equal(first.mask, second.mask)
    assert torch.equal(first.decode, second.decode)
    assert first.mask.sum((1, 2, 3)).tolist() == [24, 24, 24]  # of 32


@pytest.mark.parametrize("value", ["0", "full", "true", "1.5"])
def test_a_wrong_micro_batch(small, value):
    with raises(ConfigError, "invalid_value", message=f"config-micro-batch-{value}"):
        small(f"pretrain.micro_batch={value}")
