"""The folder and the state of a run: started, resumed exactly, refused; shown on pretraining."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from mgm.data.clips.source import FileSource, MemorySource
from mgm.data.items import VideoItem
from mgm.errors import ConfigError, DataError, FileError, ModelError
from mgm.training import load_checkpoint
from mgm.training.finetune import finetune
from mgm.training.log import StepLog
from mgm.training.pretrain import pretrain
from mgm.training.resume import TrainingState, describe_change, fingerprint
from tests.errors import raises
from tests.training.helpers import raising, read_log, same_weights

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
            if content["position"]["step"] == 4:
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
    assert [path.name for path in resumed.out.iterdir() if path.suffix == ".part"] == []


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
    before = (out / "last.pt").read_bytes()
    with raises(ConfigError, "exists", subject=out, message="run-exists"):
        run(small())
    with raises(ConfigError, "mismatch", subject=out, message="run-other-settings"):
        run(small("pretrain.base_lr=1e-3", "mask.ratio=0.5", "mask.options={top_k: 2}"), resume=True)
    assert (out / "last.pt").read_bytes() == before


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


def test_a_checkpoint_without_its_set_does_not_resume(run, small):
    out = run(small()).out
    content = torch.load(out / "last.pt", weights_only=True)
    del content["data"]
    torch.save(content, out / "last.pt")
    with pytest.warns(UserWarning, match="checksum"), raises(ConfigError, "unsupported", subject=out):
        run(small(), resume=True)


def test_a_checkpoint_of_an_earlier_version_has_no_checksum(run, small):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config)
    torch.save(torch.load(whole.out / "last.pt", weights_only=True), whole.out / "last.pt")
    with pytest.warns(UserWarning, match="checksum"):
        assert same_weights(run(config, resume=True).model, whole.model)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(run, small, capsys, place):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config)
    last, log = whole.out / "last.pt", read_log(whole.out)
    assert load_checkpoint(whole.out / "previous.pt")["position"]["step"] == 6  # saved in step and at the end
    content = bytearray(last.read_bytes())
    content[round(place * (len(content) - 1))] ^= 4
    last.write_bytes(content)
    with pytest.raises(ModelError):
        load_checkpoint(whole.out)
    resumed = run(config, resume=True)
    assert "previous.pt is used" in capsys.readouterr().out
    assert same_weights(resumed.model, whole.model)
    assert (whole.out / "damaged.pt").read_bytes() == content
    assert [entry["loss"] for entry in read_log(whole.out)] == [entry["loss"] for entry in log]


def test_a_lost_checkpoint_is_replaced_by_the_one_before(run, small, memory, capsys):
    config = small("pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=19))
    out = whole.out.parent / "run"
    assert [load_checkpoint(out / name)["position"]["step"] for name in ("last.pt", "previous.pt")] == [4, 2]
    (out / "last.pt").unlink()
    with raises(ConfigError, "mismatch"):
        run(small("pretrain.base_lr=1e-3", "pretrain.checkpoint_every=2"), resume=True)
    resumed = run(config, resume=True)
    assert "previous.pt is used" in capsys.readouterr().out
    assert same_weights(resumed.model, whole.model)
    assert resumed.history.losses == whole.history.losses


@pytest.mark.parametrize(
    ("function", "error", "reason"),
    [
        ("mgm.files.torch_file.is_intact", OSError(5, "Input/output error"), "unreadable"),
        ("torch.load", MemoryError(), "malformed"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_now_is_not_replaced(run, small, monkeypatch, function, error, reason):
    out = run(small()).out

    def failing(*args, **options):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(function, failing)
        with raises(ModelError, reason, subject=out / "last.pt"):
            run(small(), resume=True)
    assert not (out / "damaged.pt").exists()


def test_a_damaged_checkpoint_without_one_before(run, small):
    out = run(small()).out
    (out / "previous.pt").unlink()
    content = bytearray((out / "last.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (out / "last.pt").write_bytes(content)
    with raises(ModelError, "malformed", subject=out / "last.pt", message="checkpoint-damaged"):
        run(small(), resume=True)


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
