"""The training loop, shown on pretraining; a batch in micro-batches has the loss and gradient of the whole one."""

import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mgm.data.annotations import load_set
from mgm.data.clips.source import FileSource
from mgm.data.loading.loader import Batch
from mgm.errors import ConfigError, DataError, ModelError
from mgm.models import MaskedAutoencoder, ModelSpec
from mgm.training import load_checkpoint, load_config
from mgm.training.fabric import Fabric
from mgm.training.log import StepLog
from mgm.training.pretrain import Pretraining, pretrain
from mgm.training.step import StepTotals, train_step
from tests.errors import raises
from tests.training.helpers import Watched, broken, raising, read_log, same_weights


def test_a_run_leaves_its_record(run, small):
    config = small()
    trained = run(config)
    out, history = trained.out, trained.history
    assert load_config(out / "config.yaml") == config
    entries = read_log(out)
    assert [entry["step"] for entry in entries] == list(range(6))
    assert [entry["loss"] for entry in entries] == history.losses
    assert [entry["lr"] for entry in entries] == history.learning_rates
    assert history.learning_rates[:2] == pytest.approx([config.pretrain.base_lr * 4 / 256 * f for f in (0.5, 1)])
    assert all(entry["gradient_norm"] > 0 < entry["clips_per_second"] for entry in entries)
    assert next(path.name for path in (out / "tensorboard").iterdir()).startswith("events.")
    assert not (out / "bad_videos.tsv").exists()
    content = load_checkpoint(out)
    assert content["position"]["step"] == 6
    assert (content["kind"], content["target"]) == ("autoencoder", "normalised-pixels")
    assert not trained.model.training
    assert repr(trained).startswith(f"TrainingResult({out}: MaskedAutoencoder of ")


def test_the_same_seed_gives_the_same_run(run, small):
    first, second = run(small(), "first"), run(small(), "second")
    assert first.history.losses == second.history.losses
    assert same_weights(first.model, second.model)
    other = run(small("seed=1"), "other")
    assert other.history.losses != first.history.losses


def test_the_state_of_the_process_does_not_matter(run, small):
    first = run(small(), "first")
    torch.rand(17)
    assert run(small(), "second").history.losses == first.history.losses


def test_workers_do_not_matter(run, small, videos):
    alone = run(small("pretrain.steps=3", "data.workers=0"), "alone", source=FileSource())
    shared = run(small("pretrain.steps=3", "data.workers=2"), "shared", source=FileSource())
    assert alone.history.losses == shared.history.losses


def test_an_interrupt_while_weights_change_waits(run, small, monkeypatch):
    config = small()
    whole = run(config, "whole")
    write = StepLog.write

    def interrupted(self, record):
        if record.step == 3:
            os.kill(os.getpid(), signal.SIGINT)  # between the optimiser's step and the log's line
        write(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(StepLog, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    assert load_checkpoint(whole.out.parent / "run")["position"]["step"] == 4
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_repeats_share_a_decode_and_count_once(run, small):
    config = small("data.repeats=2", "pretrain.steps=3")
    whole = run(config)
    assert len(whole.history.losses) == 3
    assert load_checkpoint(whole.out)["data"]["index"] == 12  # videos, not clips
    own = small("data.repeats=3", "pretrain.repeats=2", "pretrain.steps=3")
    assert run(own, "own").history.losses == whole.history.losses
    parts = run(small("data.repeats=2", "pretrain.steps=3", "pretrain.micro_batch=2"), "parts")
    assert parts.history.losses == pytest.approx(whole.history.losses, rel=1e-4)


@pytest.mark.parametrize("micro", [1, 3, 4, 100])
def test_accumulation_changes_nothing_but_rounding(run, small, micro):
    whole, parts = run(small(), "whole"), run(small(f"pretrain.micro_batch={micro}"), "parts")
    assert parts.history.losses == pytest.approx(whole.history.losses, rel=1e-4)


def test_an_unreadable_video_is_listed_and_replaced(run, small, videos, tmp_path):
    damaged = broken(videos, tmp_path / "bad", count=1)
    config = small("pretrain.steps=8")
    trained = run(config, videos=damaged, source=FileSource())
    path = damaged.train[0].path
    assert list(trained.history.bad) == [path]
    lines = (trained.out / "bad_videos.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [path]
    # 16 videos in 8 steps of 4: it is met once in each of the two epochs, by a run that was stopped between them too.
    assert load_checkpoint(trained.out)["position"]["failed"] == 2
    with pytest.raises(KeyboardInterrupt):
        run(config, "stopped", videos=damaged, source=raising(FileSource(), KeyboardInterrupt, at=18))
    resumed = run(config, "stopped", videos=damaged, source=FileSource(), resume=True)
    assert resumed.history.losses == trained.history.losses
    assert list(resumed.history.bad) == [path]
    assert load_checkpoint(resumed.out)["position"]["failed"] == 2


def test_a_bad_video_whose_name_is_no_text(small, videos, tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.mp4"
    Path(os.fsdecode(name)).write_bytes(b"no video")
    named = replace(videos, train=(replace(videos.train[0], path=os.fsdecode(name)), *videos.train[1:]))
    for _ in range(2):
        history = pretrain(
            named, small("data.workers=1"), out=tmp_path / "run", source=FileSource(), resume=True
        ).history
    assert list(history.bad) == [os.fsdecode(name)]
    assert (tmp_path / "run" / "bad_videos.tsv").read_bytes().startswith(name)


def test_a_video_without_memory_is_a_bad_video(run, small, memory):
    """numpy and decoders raise MemoryError for sizes that a file invents."""
    times = iter(range(1))

    def happen(count):
        if count == 5 and next(times, None) is not None:
            raise MemoryError

    trained = run(small(), source=Watched(memory, happen))
    assert len(trained.history.losses) == 6
    assert len(trained.history.bad) == 1


def test_too_many_unreadable_videos_stop_the_run(run, small, videos, tmp_path):
    damaged = broken(videos, tmp_path / "bad", count=8)
    with raises(DataError, "too_many_failures"):
        run(small("pretrain.steps=20"), videos=damaged, source=FileSource())
    listed = (tmp_path / "run" / "bad_videos.tsv").read_text().splitlines()
    assert 1 < len(listed) <= 8
    assert {line.split("\t")[0] for line in listed} <= {item.path for item in damaged.train[:8]}
    run(small("pretrain.steps=4", "data.bad_share=1"), "lenient", videos=damaged, source=FileSource())


def test_a_plain_folder_is_a_set(run, small, tiny_set, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    for index, item in enumerate(load_set(tiny_set).train[:4]):
        shutil.copy(item.path, folder / f"a clip {index}.mp4")
    trained = run(small("pretrain.steps=2"), videos=folder, source=None)
    assert len(trained.history.losses) == 2


def test_the_loss_falls(run, small):
    losses = run(
        small("pretrain.steps=40", "pretrain.batch=16", "pretrain.warmup=4", "data.crop=centre")
    ).history.losses
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])


def test_a_refused_run_prints_nothing(small, videos, memory, tmp_path, capsys):
    damaged = broken(videos, tmp_path / "bad", count=16)
    with raises(DataError, "too_many_failures"):
        pretrain(damaged, small(), out=tmp_path / "run", source=FileSource())
    assert capsys.readouterr().out == ""
    pretrain(videos, small("pretrain.steps=1"), out=tmp_path / "run", source=memory)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("16 videos, clips of 4 frames")
    assert len(lines) == 5
    with raises(ConfigError, "mismatch"):
        pretrain(videos, small("pretrain.steps=1", "seed=1"), out=tmp_path / "run", source=memory, resume=True)
    assert capsys.readouterr().out == ""


SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)


@pytest.fixture(
    params=[("hog", None), ("asinh-motion", None), ("hog", {"asinh-motion": 2.0, "frame-difference": 1.0})],
    ids=["hog", "asinh-motion", "visible"],
)
def method(request):
    torch.manual_seed(0)
    second, visible = request.param
    model = MaskedAutoencoder(SPEC, target={"normalised-pixels": 1.0, second: 0.5}, visible_target=visible)
    return Pretraining(model, load_config("debug"))


@pytest.fixture
def clips():
    """Six clips with 0, 1, 3, 6, 10 and 15 reconstructed tokens out of 24 hidden ones, and motion that is not known everywhere."""
    rng = torch.Generator().manual_seed(1)
    mask = torch.zeros(6, SPEC.tokens, dtype=torch.bool)
    decode = torch.zeros(6, SPEC.tokens, dtype=torch.bool)
    for number, asked in enumerate((0, 1, 3, 6, 10, 15)):
        hidden = torch.randperm(SPEC.tokens, generator=rng)[:24]
        mask[number, hidden] = True
        decode[number, hidden[:asked]] = True
    video = torch.randint(0, 256, (6, *SPEC.video_shape), generator=rng, dtype=torch.uint8)
    motion = torch.randn(6, 4, 4, 4, 2, generator=rng)
    unknown = torch.rand(6, 4, 4, 4, 1, generator=rng) < torch.linspace(0, 1, 6).view(6, 1, 1, 1, 1)
    return video, mask.view(6, *SPEC.grid), decode.view(6, *SPEC.grid), motion.masked_fill(unknown, math.nan)


def micro_batches(clips, sizes, *, decoded=True):
    video, mask, decode, motion = clips
    first = 0
    for size in sizes:
        part = slice(first, first + size)
        number = torch.arange(size)
        chosen = decode[part] if decoded else None
        numbers = -torch.ones(size), number, torch.zeros(size, 3)
        yield Batch(video[part], mask[part], *numbers, 0.0, (), (), chosen, motion[part])
        first += size


def gradients(method, clips, sizes, fabric=None, **options):
    fabric = fabric or Fabric(devices=1, accelerator="cpu")
    module = fabric.setup_module(method.module)
    module.zero_grad()
    run = SimpleNamespace(fabric=fabric, clips_per_rank=sum(sizes), micro_batches=len(sizes))
    totals = train_step(method, module, micro_batches(clips, sizes, **options), run)
    return totals, {name: p.grad.clone() for name, p in method.module.named_parameters() if p.grad is not None}


def check_is_whole(method, clips, loss, parts, gradient, *, decoded=True):
    """A step has the loss, its parts and the gradient of all clips at once."""
    video, mask, decode, motion = clips
    whole = method.module(video, mask, decode if decoded else None, motion=motion)
    names, parameters = zip(*method.module.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(whole.loss, parameters), strict=True))
    assert float(loss) == pytest.approx(float(whole.loss.detach()), rel=1e-6)
    assert parts.keys() == whole.parts.keys()
    for name, value in parts.items():
        assert float(value) == pytest.approx(float(whole.parts[name].detach()), rel=1e-6)
    assert gradient.keys() == expected.keys()
    scale = max(float(g.abs().max()) for g in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(gradient[name], value, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("sizes", [(6,), (3, 3), (1, 1, 1, 1, 1, 1), (1, 5), (4, 2), (2, 1, 2, 1)])
@pytest.mark.parametrize("decoded", [True, False])
def test_micro_batches_add_up_to_the_batch(method, clips, sizes, decoded):
    totals, gradient = gradients(method, clips, sizes, decoded=decoded)
    check_is_whole(method, clips, totals.loss, totals.parts, gradient, decoded=decoded)


class OneOfTwo(Fabric):
    """A rank beside another, whose means it is given; without any it returns its own values and keeps them."""

    def __init__(self, means=()):
        super().__init__(devices=1, accelerator="cpu")
        self.means, self.own = list(means), []

    @property
    def world_size(self):
        return 2

    def all_reduce(self, data, reduce_op):
        assert reduce_op == "mean"
        self.own.append(data)
        return self.means.pop(0) if self.means else data


@pytest.mark.parametrize("sizes", [(3,), (1, 2), (1, 1, 1)])
def test_two_ranks_add_up_to_the_batch(method, clips, sizes):
    """The mean over the ranks, whose weights differ."""
    halves = [tuple(value[:3] for value in clips), tuple(value[3:] for value in clips)]
    first = [OneOfTwo() for _ in halves]
    for fabric, half in zip(first, halves, strict=True):
        gradients(method, half, sizes, fabric)
    means = [torch.stack(both).mean(0) for both in zip(*(fabric.own for fabric in first), strict=True)]
    both = [gradients(method, half, sizes, OneOfTwo(means)) for half in halves]
    totals = [total for total, _ in both]
    parts = {name: (totals[0].parts[name] + totals[1].parts[name]) / 2 for name in totals[0].parts}
    gradient = {name: (both[0][1][name] + both[1][1][name]) / 2 for name in both[0][1]}
    check_is_whole(method, clips, (totals[0].loss + totals[1].loss) / 2, parts, gradient)


def test_a_step_without_reconstructed_tokens(method, clips):
    video, mask, decode, motion = clips
    nothing = (video, mask, torch.zeros_like(decode), motion)
    with raises(ModelError, "invalid_value", message="run-nothing-to-reconstruct"):
        gradients(method, nothing, (3, 3))


def test_fractions_are_those_of_all_clips(method, clips):
    first, second = micro_batches(clips, (2, 4))
    totals = StepTotals(torch.zeros(()))
    totals.add_clips(replace(first, fallback=0.5, measured=1.0), 2 / 6)
    totals.add_clips(replace(second, decode_fallback=0.75), 4 / 6)
    masks = clips[1].numpy()
    again = [(now & after).sum() / now.sum() for now, after in zip(masks[:, 0], masks[:, 1], strict=True)]
    assert totals.fractions.pop("mask_overlap") == pytest.approx(np.mean(again))  # of clips with unequal steps
    expected = {"fallback": 1 / 6, "decoder_fallback": 0.5, "flow": 1 / 3, "hidden": 0.75}
    assert totals.fractions == pytest.approx(expected)
