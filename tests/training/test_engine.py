"""What the engine promises of every method, shown on pretraining."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.source import FileSource, MemorySource
from mgm.data.loading.loader import BatchOrder
from mgm.errors import ConfigError, DataError, ModelError
from mgm.training import finetune, load_checkpoint, load_config, pretrain
from mgm.training.engine import Run, fit, make_fabric
from mgm.training.log import Entry, History, Log
from mgm.training.pretrain import Pretraining
from tests.training.sources import raising


@pytest.fixture
def run(videos, memory, tmp_path):
    """Pretrain quietly on the tiny set; returns the outcome."""

    def go(config, out="run", *, source=memory, videos=videos, **options):
        return pretrain(videos, config, out=tmp_path / out, source=source, show_progress=False, **options)

    return go


def same_weights(first, second):
    states = first.state_dict(), second.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_its_record(run, small):
    config = small()
    outcome = run(config)
    out, history = outcome.out, outcome.history
    assert load_config(out / "config.yaml") == config
    entries = log(out)
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
    assert not outcome.model.training


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


@pytest.mark.parametrize("clip", [0, 8, 14])
@pytest.mark.parametrize("overrides", [(), ("pretrain.micro_batch=3",)])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(run, small, memory, overrides, clip):
    config = small(*overrides)
    whole = run(config, "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, source=raising(memory, KeyboardInterrupt, at=clip))
    assert load_checkpoint(whole.out.parent / "run")["position"]["step"] == clip // 4
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert resumed.history.learning_rates == whole.history.learning_rates
    assert same_weights(resumed.model, whole.model)
    assert [entry["loss"] for entry in log(resumed.out)] == whole.history.losses
    assert all("gradient_norm" in entry for entry in log(resumed.out))


def test_an_interrupt_while_weights_change_waits(run, small, monkeypatch):
    config = small()
    whole = run(config, "whole")
    write = Log.write

    def interrupted(self, entry):
        if entry.step == 3:
            os.kill(os.getpid(), signal.SIGINT)  # between the optimiser's step and the log's line
        write(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    assert load_checkpoint(whole.out.parent / "run")["position"]["step"] == 4
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_a_crash_goes_back_to_the_last_checkpoint(run, small, memory):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=15))
    out = whole.out.parent / "run"
    assert load_checkpoint(out)["position"]["step"] == 2
    assert len(log(out)) == 3  # what led to a crash is written down
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)
    assert [entry["step"] for entry in log(out)] == list(range(6))


def test_stochastic_depth_and_dropout_resume_too(small, videos, memory, tmp_path):
    config = small("finetune.drop_path=0.5", "finetune.dropout=0.5", "finetune.micro_batch=2")

    def go(out, source=memory, **options):
        return finetune(None, videos, config, out=tmp_path / out, source=source, show_progress=False, **options)

    whole = go("whole")
    with pytest.raises(KeyboardInterrupt):  # in the second half of step 3, whose first half has drawn already
        go("run", raising(memory, KeyboardInterrupt, at=14))
    torch.rand(5)
    resumed = go("run", resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_resuming_what_is_finished_or_not_begun(run, small):
    first = run(small(), resume=True)
    again = run(small(), resume=True)
    assert again.history.losses == first.history.losses
    assert same_weights(first.model, again.model)


def test_another_run_is_never_overwritten(run, small):
    out = run(small()).out
    before = (out / "last.pt").read_bytes()
    with pytest.raises(ConfigError, match="holds a run already; go on with it with --resume"):
        run(small())
    with pytest.raises(ConfigError) as caught:
        run(small("pretrain.base_lr=1e-3", "mask.ratio=0.5", "mask.options={top_k: 2}"), resume=True)
    message = str(caught.value)
    assert "mask.ratio was 0.75, is 0.5" in message
    assert "pretrain.base_lr was 0.008, is 0.001" in message
    assert "mask.options.top_k was None, is 2" in message
    assert "data" not in message.split("cannot go on")[1]
    assert (out / "last.pt").read_bytes() == before


def test_a_run_goes_on_with_another_number_of_reading_processes(run, small, monkeypatch):
    config = small("data.workers=1", "pretrain.batch=5", "pretrain.steps=8")
    whole = run(config, "whole", source=FileSource())
    write = Log.write

    def stopped(self, entry):
        if entry.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        write(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(config, source=FileSource())
    place = load_checkpoint(whole.out.parent / "run")["data"]
    assert (place["epoch"], place["index"], place["seed"], place["ranks"]) == (1, 4, 0, 1)  # 20 of 16 videos
    other = small("data.workers=3", "data.read_timeout=30", "pretrain.batch=5", "pretrain.steps=8")
    resumed = run(other, resume=True, source=FileSource())
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_a_run_does_not_go_on_with_another_set(run, small, videos):
    run(small())
    fewer = replace(videos, train=videos.train[:-2])
    with pytest.raises(
        DataError, match=r"run: its run cannot go on .*16 videos then, 14 now: 2 of them gone.*another --out"
    ):
        run(small(), videos=fewer, resume=True)
    swapped = replace(videos, train=videos.train[::-1])
    with pytest.raises(DataError, match="the same 16 videos in another order"):
        run(small(), videos=swapped, resume=True)
    relabelled = replace(videos, train=(replace(videos.train[0], label=3), *videos.train[1:]))
    with pytest.raises(DataError, match=f"1 of them gone or changed, 1 new .such as {videos.train[0].path}"):
        run(small(), videos=relabelled, resume=True)


def test_a_run_of_a_version_that_did_not_note_its_set_does_not_go_on(run, small):
    out = run(small()).out
    content = torch.load(out / "last.pt", weights_only=True)
    del content["data"]
    torch.save(content, out / "last.pt")
    with pytest.raises(ConfigError, match=r"earlier version of mgm.*another --out"):
        run(small(), resume=True)


def test_repeats_share_a_decode_and_count_once(run, small):
    config = small("data.repeats=2", "pretrain.steps=3")
    whole = run(config)
    assert len(whole.history.losses) == 3
    assert load_checkpoint(whole.out)["data"]["index"] == 12  # videos, not clips
    parts = run(small("data.repeats=2", "pretrain.steps=3", "pretrain.micro_batch=2"), "parts")
    assert parts.history.losses == pytest.approx(whole.history.losses, rel=1e-4)
    with pytest.raises(ConfigError, match=r"pretrain\.micro_batch is 2, expected at least data\.repeats, 3"):
        small("data.repeats=3", "pretrain.micro_batch=2")


def test_fine_tuning_does_not_go_on_with_a_pretraining(run, small, videos, memory):
    out = run(small()).out
    with pytest.raises(ConfigError, match="kind was autoencoder, is classifier"):
        finetune(None, videos, small(), out=out, source=memory, resume=True, show_progress=False)


def test_a_log_shorter_than_the_checkpoint(run, small):
    out = run(small()).out
    (out / "log.jsonl").write_text("")
    with pytest.raises(ModelError, match=r"log\.jsonl: holds 0 steps, expected the 6"):
        run(small(), resume=True)


@pytest.mark.parametrize("micro", [1, 3, 4, 100])
def test_accumulation_changes_nothing_but_rounding(run, small, micro):
    whole, parts = run(small(), "whole"), run(small(f"pretrain.micro_batch={micro}"), "parts")
    assert parts.history.losses == pytest.approx(whole.history.losses, rel=1e-4)


def test_a_batch_that_cannot_be_shared_out(run, small):
    fabric = make_fabric(small().pretrain)

    class Three(Fabric):
        world_size = 3

    fabric.__class__ = Three
    record = replace_run(small("pretrain.batch=4"))
    with pytest.raises(ConfigError, match="4 clips cannot be shared out evenly over 3 devices"):
        fit(None, record, fabric, resume=False, show_progress=False)


def replace_run(config):
    from mgm.training.optim import schedule

    return Run(
        Path("nowhere"),
        config,
        config.pretrain,
        schedule(config.pretrain, steps_per_epoch=1),
        lambda *_: iter(()),
        BatchOrder(1, 4, 0),
        (),
    )


def test_a_loss_that_is_no_number_stops_the_run(run, small, tmp_path):
    with pytest.raises(ModelError, match=r"the loss of step \d is (nan|inf), expected a number.*Lower base_lr"):
        run(small("pretrain.base_lr=1e30", "pretrain.clip_grad=null", "pretrain.warmup=0"))
    out = tmp_path / "run"
    content = load_checkpoint(out / "not_finite.pt")
    assert content["step"] == len(log(out)) > 0
    assert not (out / "last.pt").exists()


def broken(videos, folder, *, count):
    """The set with the first `count` training videos replaced by files that are none."""
    folder.mkdir()
    train = list(videos.train)
    for index in range(count):
        path = folder / f"{index}.mp4"
        path.write_bytes(b"not a video")
        train[index] = VideoItem(str(path), train[index].label)
    return replace(videos, train=tuple(train))


def test_an_unreadable_video_is_listed_and_replaced(run, small, videos, tmp_path):
    damaged = broken(videos, tmp_path / "bad", count=1)
    config = small("pretrain.steps=8")
    outcome = run(config, videos=damaged, source=FileSource())
    path = damaged.train[0].path
    assert list(outcome.history.bad) == [path]
    lines = (outcome.out / "bad_videos.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [path]
    # 16 videos in 8 steps of 4: it is met once in each of the two epochs, by a run that was stopped between them too.
    assert load_checkpoint(outcome.out)["position"]["failed"] == 2
    with pytest.raises(KeyboardInterrupt):
        run(config, "stopped", videos=damaged, source=raising(FileSource(), KeyboardInterrupt, at=18))
    resumed = run(config, "stopped", videos=damaged, source=FileSource(), resume=True)
    assert resumed.history.losses == outcome.history.losses
    assert list(resumed.history.bad) == [path]
    assert load_checkpoint(resumed.out)["position"]["failed"] == 2


def test_too_many_unreadable_videos_stop_the_run(run, small, videos, tmp_path):
    damaged = broken(videos, tmp_path / "bad", count=8)
    with pytest.raises(DataError, match=r"clips could not be read, expected at most 10% .*bad_videos\.tsv"):
        run(small("pretrain.steps=20"), videos=damaged, source=FileSource())
    listed = (tmp_path / "run" / "bad_videos.tsv").read_text().splitlines()
    assert 1 < len(listed) <= 8
    assert {line.split("\t")[0] for line in listed} <= {item.path for item in damaged.train[:8]}
    run(small("pretrain.steps=4", "data.bad_share=1"), "lenient", videos=damaged, source=FileSource())


def test_unreadable_videos_in_memory(run, small, videos, tmp_path):
    damaged = broken(videos, tmp_path / "bad", count=1)
    outcome = run(small("data.memory=true"), videos=damaged, source=None)
    assert list(outcome.history.bad) == [damaged.train[0].path]
    assert damaged.train[0].path in (outcome.out / "bad_videos.tsv").read_text()
    several = broken(videos, tmp_path / "worse", count=3)
    with pytest.raises(DataError, match="3 of 16 videos could not be read, expected at most 10%"):
        run(small("data.memory=true"), "worse", videos=several, source=None)


def test_folders_are_taken_as_they_are(run, small, tiny_set, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    for index, item in enumerate(load_set(tiny_set).train[:4]):
        shutil.copy(item.path, folder / f"a clip {index}.mp4")
    outcome = run(small("pretrain.steps=2"), videos=folder, source=None)
    assert len(outcome.history.losses) == 2


def test_the_loss_falls(run, small):
    losses = run(
        small("pretrain.steps=40", "pretrain.batch=16", "pretrain.warmup=4", "data.crop=centre")
    ).history.losses
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])


def test_a_place_that_is_no_run_is_left_alone(run, small, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="file: found a file, expected the folder of a run"):
        run(small(), "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine: holds a config\.yaml that belongs to no run"):
        run(small(), "mine", resume=True)
    with pytest.raises(ConfigError, match=r"inside: cannot be written to \(.*Not a directory"):
        run(small(), "file/inside")
    assert (tmp_path / "file").read_text() == (tmp_path / "mine" / "config.yaml").read_text() == "mine"


def test_a_run_whose_log_is_gone(run, small):
    out = run(small()).out
    (out / "log.jsonl").unlink()
    with pytest.raises(
        ModelError, match=r"log\.jsonl: holds 0 steps, expected the \d+ of the checkpoint beside it; restore"
    ):
        run(small(), resume=True)


def test_a_set_is_not_read_for_a_run_that_is_refused(run, small, monkeypatch):
    run(small())
    monkeypatch.setattr(MemorySource, "load", lambda *_: pytest.fail("read"))
    with pytest.raises(ConfigError, match="holds a run already"):
        run(small("data.memory=true"), source=None)


def test_what_is_refused_is_refused_before_it_is_announced(small, videos, memory, tmp_path, capsys):
    damaged = broken(videos, tmp_path / "bad", count=16)
    with pytest.raises(DataError, match="8 videos in a row could not be read"):
        pretrain(damaged, small(), out=tmp_path / "run", source=FileSource())
    assert capsys.readouterr().out == ""
    pretrain(videos, small("pretrain.steps=1"), out=tmp_path / "run", source=memory)
    assert capsys.readouterr().out.startswith("16 videos, clips of 4 frames")
    with pytest.raises(ConfigError, match="other settings"):
        pretrain(videos, small("pretrain.steps=2"), out=tmp_path / "run", source=memory, resume=True)
    assert capsys.readouterr().out == ""


def test_a_gradient_that_is_no_number_spoils_no_weights(run, small, monkeypatch):
    """The loss may be one still, and the last step's weights be saved."""
    loss = Pretraining.loss

    def spoiled(self, module, batch):
        weight = next(iter(module.parameters()))
        return loss(self, module, batch) + (weight - weight.detach()).abs().sum().sqrt()  # 0, its slope is not finite

    monkeypatch.setattr(Pretraining, "loss", spoiled)
    with pytest.raises(ModelError, match="the gradient of step 0 is nan, expected a number"):
        run(small("pretrain.steps=1"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_log_is_one_line(tmp_path):
    (tmp_path / "log.jsonl").write_text("")
    log = Log(tmp_path, History(), True)
    log.path = Path("/dev/full")
    log.write(Entry(0, 1.0, 0.1, 1.0))
    with pytest.raises(ModelError, match=r"/dev/full: could not be written \(.*No space left.*--resume"):
        log.flush()
    log.close()


def test_a_line_of_the_log_that_is_damaged(run, small):
    out = run(small()).out
    lines = (out / "log.jsonl").read_text().splitlines()
    (out / "log.jsonl").write_text("\n".join([*lines[:2], "{", *lines[3:]]))
    with pytest.raises(ModelError, match=r"log\.jsonl: line 3 is no step of a run"):
        run(small(), resume=True)


def test_a_run_says_where_it_goes_on(small, videos, memory, tmp_path, capsys):
    def words(source=memory):
        try:
            pretrain(videos, small(), out=tmp_path / "run", source=source, resume=True)
        except KeyboardInterrupt:
            capsys.readouterr()
        return capsys.readouterr().out

    words(raising(memory, KeyboardInterrupt, at=14))
    assert "goes on after step 3" in words()
    assert "the run is finished: none of its steps are left" in words()


def test_a_warm_up_that_takes_the_whole_run_is_said(small, videos, tmp_path, capsys):
    pretrain(videos, small("data.memory=true", "pretrain.steps=2"), out=tmp_path / "run")
    assert "after 2 steps, at the end: the run is all warm-up" in " ".join(capsys.readouterr().out.split())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_kill_in_the_middle_of_a_checkpoint(run, small):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    child = os.fork()
    if not child:
        save = torch.save

        def killed(content, file):
            save(content, file)
            if content["position"]["step"] == 4:
                os.truncate(file, Path(file).stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        torch.save = killed
        try:
            run(config)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert load_checkpoint(whole.out.parent / "run")["position"]["step"] == 2
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)
    assert [path.name for path in resumed.out.iterdir() if path.suffix == ".part"] == []
