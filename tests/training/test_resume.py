"""The folder and the state of a run: started, resumed exactly, refused; shown on pretraining."""

import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from mgm.data.clips.source import FileSource, MemorySource
from mgm.data.items import VideoItem
from mgm.errors import ConfigError, DataError, FileError
from mgm.training import load_checkpoint, load_config
from mgm.training.engine import Engine
from mgm.training.finetune import finetune
from mgm.training.log import StepLog
from mgm.training.pretrain import pretrain
from mgm.training.resume import TrainingState, describe_change, fingerprint
from tests.errors import raises
from tests.training.helpers import newest, raising, read_log, same_weights

CPU = torch.device("cpu")


def test_a_state_restores_the_random_numbers():
    with torch.random.fork_rng(devices=[]):
        state = TrainingState.from_dict(TrainingState.now(3, 1, CPU).to_dict())
        first = torch.rand(4)
        state.restore(CPU)
        assert torch.equal(first, torch.rand(4))
    assert (state.step, state.failed) == (3, 1)


@pytest.mark.parametrize("clip", [0, 8, 14])
@pytest.mark.parametrize("overrides", [(), ("pretrain.micro_batch=3",)])
def test_an_interrupted_run_resumes_exactly(run, small, memory, overrides, clip):
    config = small(*overrides)
    whole = run(config, "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, source=raising(memory, KeyboardInterrupt, at=clip))
    assert load_checkpoint(whole.out.parent / "run")["position"]["step"] == clip // 4
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert resumed.history.learning_rates == whole.history.learning_rates
    assert same_weights(resumed.model, whole.model)
    assert [entry["loss"] for entry in read_log(resumed.out)] == whole.history.losses
    assert all("gradient_norm" in entry for entry in read_log(resumed.out))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_whose_mask_ratio_changes_resumes_exactly(run, small, workers):
    """On the same place of the schedule, whichever process draws the masks."""
    rising = ("mask.ratio=0.4", "mask.ratio_schedule=linear", "mask.final_ratio=0.9", f"data.workers={workers}")
    config = small("data.memory=false", *rising)
    whole = run(small("data.memory=false", *rising[:3]), "whole", source=None)

    def stop(line):
        if line.startswith("step 3 of 6"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, source=None, progress=stop)
    resumed = run(config, resume=True, source=None)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)
    tokens = config.mask_rule().grid[1] * config.mask_rule().grid[2]
    expected = [int((0.4 + 0.1 * step) * tokens + 1e-9) / tokens for step in range(6)]
    assert [entry["hidden"] for entry in read_log(resumed.out)] == pytest.approx(expected)


def test_a_crash_resumes_from_the_last_checkpoint(run, small, memory):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=15))
    out = whole.out.parent / "run"
    assert load_checkpoint(out)["position"]["step"] == 2
    assert len(read_log(out)) == 3  # steps after the checkpoint stay in the log until it resumes
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)
    assert [entry["step"] for entry in read_log(out)] == list(range(6))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_kill_in_the_middle_of_a_checkpoint(run, small):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    child = os.fork()
    if not child:
        save = torch.save

        def killed(content, file):
            save(content, file)
            if content.get("position", {}).get("step") == 4:
                file.truncate(file.tell() // 2)
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
    assert list(resumed.out.rglob("*.part")) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("room", [0, 500, 100_000])
def test_a_file_that_cannot_grow_is_a_documented_error(run, small, memory, room):
    """As on a full disk: the log's repair, its next lines or the checkpoint fails. Then there is room again."""
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=11))
    import resource

    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            run(config, resume=True)
        except FileError as error:
            os._exit(0 if error.reason == "cannot_write" else 1)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)
    assert [entry["step"] for entry in read_log(resumed.out)] == list(range(6))


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


def test_resuming_a_finished_run_and_an_empty_folder(run, small):
    first = run(small(), resume=True)
    again = run(small(), resume=True)
    assert again.history.losses == first.history.losses
    assert same_weights(first.model, again.model)


def test_a_resumed_run_prints_its_step(small, videos, memory, tmp_path, capsys):
    def printed(source=memory):
        try:
            pretrain(videos, small(), out=tmp_path / "run", source=source, resume=True)
        except KeyboardInterrupt:
            capsys.readouterr()
        return capsys.readouterr().out

    printed(raising(memory, KeyboardInterrupt, at=14))
    assert "after step 3" in printed()
    assert "finished" in printed()


def test_another_number_of_reading_processes_resumes_exactly(run, small, monkeypatch):
    config = small("data.workers=1", "pretrain.batch=5", "pretrain.steps=8")
    whole = run(config, "whole", source=FileSource())
    write = StepLog.write

    def stopped(self, record):
        if record.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        write(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(StepLog, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(config, source=FileSource())
    place = load_checkpoint(whole.out.parent / "run")["data"]
    assert (place["epoch"], place["index"], place["seed"], place["ranks"]) == (1, 4, 0, 1)  # 20 of 16 videos
    other = small("data.workers=3", "data.read_timeout=30", "pretrain.batch=5", "pretrain.steps=8")
    resumed = run(other, resume=True, source=FileSource())
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_another_run_is_never_overwritten(run, small):
    out = run(small()).out
    before = (newest(out) / "state.pt").read_bytes()
    with raises(ConfigError, "exists", subject=out, message="run-exists"):
        run(small())
    with raises(ConfigError, "mismatch", subject=out, message="run-other-settings"):
        run(small("pretrain.base_lr=1e-3", "mask.ratio=0.5", "mask.options={top_k: 2}"), resume=True)
    assert (newest(out) / "state.pt").read_bytes() == before


def test_another_set_of_videos_does_not_resume(run, small, videos):
    run(small())
    fewer = replace(videos, train=videos.train[:-2])
    with raises(DataError, "mismatch"):
        run(small(), videos=fewer, resume=True)
    swapped = replace(videos, train=videos.train[::-1])
    with raises(DataError, "mismatch"):
        run(small(), videos=swapped, resume=True)
    relabelled = replace(videos, train=(replace(videos.train[0], label=3), *videos.train[1:]))
    with raises(DataError, "mismatch") as caught:
        run(small(), videos=relabelled, resume=True)
    assert videos.train[0].path in caught.value.found


@pytest.mark.parametrize("setting", ["pretrain.batch=2", "seed=1", "pretrain.optimiser=sgd"])
def test_the_place_in_the_data_and_the_kind_of_optimiser_cannot_change(run, small, setting):
    """The place is a number of batches of an order that the seed draws: clips of the epoch would be missed or repeated."""
    run(small())
    with raises(ConfigError, "unsupported", subject="change"):
        run(small(setting, "pretrain.steps=8"), resume=True, change=["pretrain", "seed"])
    with raises(ConfigError, "mismatch") as caught:
        run(small(setting, "pretrain.base_lr=1e-3"), resume=True)
    assert "--change" not in caught.value.advice


def test_settings_that_are_named_may_change(run, small, capsys):
    run(small())
    lower = small("pretrain.base_lr=1e-4", "mask.options={top_k: 2}", "pretrain.steps=8")
    with raises(ConfigError, "mismatch"):
        run(lower, resume=True, change=["pretrain.base_lr"])
    with raises(ConfigError, "unknown_name", message="run-change-unknown"):
        run(lower, resume=True, change=["pretrain.base_lf", "mask.options"])
    capsys.readouterr()
    changed = run(lower, resume=True, change=["pretrain.base_lr", "mask.options"])
    assert len(changed.history.losses) == 8
    assert load_config(changed.out / "config.yaml") == lower
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("changed: ")] == [
        "changed: mask.options.top_k was not set, is 2",
        "changed: pretrain.base_lr was 0.008, is 0.0001",
        "changed: pretrain.steps was 6, is 8",
    ]
    with raises(ConfigError, "mismatch", message="run-too-short"):
        run(small("pretrain.steps=4"), resume=True, change=["pretrain.base_lr", "mask.options"])


def test_settings_of_the_optimiser_change_from_then_on(run, small, monkeypatch):
    run(small())
    seen, step = [], Engine.step

    def watched(engine):
        seen.append([(group["weight_decay"], group["betas"]) for group in engine.optimiser.param_groups])
        step(engine)

    monkeypatch.setattr(Engine, "step", watched)
    other = small("pretrain.weight_decay=0.3", "pretrain.betas=[0.5, 0.6]", "pretrain.steps=8")
    run(other, resume=True, change=["pretrain"])
    assert seen == 2 * [[(0.0, (0.5, 0.6)), (0.3, (0.5, 0.6))]]
    none = small("pretrain.weight_decay=0", "pretrain.steps=9")
    with raises(ConfigError, "unsupported", subject="change", message="run-change-groups"):
        run(none, resume=True, change=["pretrain"])


def test_a_run_begins_at_a_checkpoint_of_another(run, small, tmp_path):
    """And leaves it as it was."""
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    before = {file: file.read_bytes() for file in whole.out.rglob("*") if file.is_file()}
    branch = run(config, "branch", resume=whole.out / "checkpoints" / "step-00000004")
    assert branch.history.losses == whole.history.losses
    assert same_weights(branch.model, whole.model)
    assert [entry["step"] for entry in read_log(branch.out)] == list(range(6))
    assert {file: file.read_bytes() for file in whole.out.rglob("*") if file.is_file()} == before


def test_an_extended_run_is_that_of_the_longer_schedule(run, small, memory):
    """Bit for bit, from 6 to 12 steps and then to 20; stopped and resumed on its way."""
    wsd = ("pretrain.schedule=wsd", "pretrain.decay=0.5")
    short = run(small(*wsd), "short")
    before = {file: file.read_bytes() for file in short.out.rglob("*") if file.is_file()}
    longer = small(*wsd, "pretrain.steps=12")
    with pytest.raises(KeyboardInterrupt):
        run(longer, "longer", extend=short.out, source=raising(memory, KeyboardInterrupt, at=14))
    extended = run(longer, "longer", extend=short.out, resume=True)
    whole = run(longer, "whole")
    assert extended.history.losses == whole.history.losses
    assert same_weights(extended.model, whole.model)
    longest = small(*wsd, "pretrain.steps=20")
    assert same_weights(run(longest, "longest", extend=extended.out).model, run(longest, "at once").model)
    assert {file: file.read_bytes() for file in short.out.rglob("*") if file.is_file()} == before


def test_what_cannot_be_extended(run, small):
    cosine = run(small(), "cosine").out
    with raises(ConfigError, "conflict", message="run-extend-cosine"):
        run(small("pretrain.steps=12"), extend=cosine)
    wsd = ("pretrain.schedule=wsd", "pretrain.decay=0.5")
    with raises(ConfigError, "mismatch"):  # the schedule is another one
        run(small("pretrain.steps=12", *wsd), extend=cosine)
    short = run(small(*wsd), "short").out
    with raises(ConfigError, "conflict", message="run-extend-too-short"):
        run(small(*wsd, "pretrain.steps=4"), extend=short)
    rising = (*wsd, "mask.ratio_schedule=linear", "mask.final_ratio=0.9")
    with raises(ConfigError, "conflict", message="run-extend-ratio-schedule"):
        run(small(*rising, "pretrain.steps=10"), "longer", extend=run(small(*rising), "rising").out)
    shutil.rmtree(short / "checkpoints" / "step-00000003")
    with raises(ConfigError, "conflict"):  # the end of the short run has decayed already
        run(small(*wsd, "pretrain.steps=10"), extend=short)


def test_where_a_path_to_resume_is_refused(run, small, tmp_path):
    config = small("pretrain.checkpoint_every=2")
    out, other = run(config).out, run(config, "other").out
    assert run(config, resume=out).out == run(config, resume=newest(out)).out == out
    for path in (out / "checkpoints" / "step-00000004", other):
        with raises(ConfigError, "exists", subject=out):
            run(config, resume=path)
    (tmp_path / "empty").mkdir()
    with raises(ConfigError, "not_found", subject=tmp_path / "empty", message="run-resume-nothing"):
        run(config, "new", resume=tmp_path / "empty")
    assert not (tmp_path / "new").exists()
    with raises(ConfigError, "conflict"):
        run(config, "new", resume=out, extend=out)


def test_fine_tuning_does_not_resume_a_pretraining(run, small, videos, memory):
    out = run(small()).out
    with raises(ConfigError, "mismatch", message="run-other-kind"):
        finetune(None, videos, small(), out=out, source=memory, resume=True, show_progress=False)


def test_a_folder_of_something_else_is_left_alone(run, small, tmp_path):
    (tmp_path / "file").write_text("mine")
    with raises(ConfigError, "exists", subject=tmp_path / "file"):
        run(small(), "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("mine")
    with raises(ConfigError, "exists", subject=tmp_path / "mine"):
        run(small(), "mine", resume=True)
    with raises(FileError, "cannot_write", subject=tmp_path / "file" / "inside"):
        run(small(), "file/inside")
    assert (tmp_path / "file").read_text() == (tmp_path / "mine" / "config.yaml").read_text() == "mine"


def test_a_refused_run_reads_no_videos(run, small, monkeypatch):
    run(small())
    monkeypatch.setattr(MemorySource, "load", lambda *_: pytest.fail("read"))
    with raises(ConfigError, "exists"):
        run(small("data.memory=true"), source=None)


ITEMS = tuple(VideoItem(f"/videos/{name}.mp4", label) for label, name in enumerate("abc"))


def test_the_folder_may_move():
    moved = tuple(replace(item, path=f"/other{item.path}") for item in ITEMS)
    assert describe_change(fingerprint(ITEMS), moved) is None


def test_every_change_of_an_item_is_found():
    before = fingerprint(ITEMS)
    for change in ({"path": "/videos/d.mp4"}, {"label": 7}, {"start": 3}, {"end": 9}):
        assert describe_change(before, (replace(ITEMS[0], **change), *ITEMS[1:])) is not None
    assert describe_change(before, ITEMS[::-1]) is not None
    assert describe_change(before, ITEMS[:2]) is not None
