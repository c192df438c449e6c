"""log.jsonl, and the warnings of a run."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mgm.errors import DataError, FileError
from mgm.terminal import Terminal
from mgm.training.log import RunHistory, RunWarnings, StepLog, StepRecord
from tests.errors import raises
from tests.training.helpers import raising, read_log, same_weights


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda lines: [], []),
        (None, []),
        (lambda lines: lines[:2], [0, 1]),
        (lambda lines: [*lines[:2], b"{", *lines[3:]], [0, 1, 3, 4, 5]),
        (lambda lines: [*lines[:4], lines[4][:20]], [0, 1, 2, 3]),  # a kill in the middle of a line
        (lambda lines: [os.urandom(5000), b"[" * 100_000, b"null", b'{"step": 1}', *lines[2:]], [2, 3, 4, 5]),
        (lambda lines: [*lines, b'{"step": 6, "loss": 1, "lr": 1}'], [0, 1, 2, 3, 4, 5]),  # beyond the checkpoint
        (lambda lines: [*lines[::-1], *lines[:3]], [0, 1, 2, 3, 4, 5]),  # two runs wrote it
    ],
)
def test_a_log_never_stops_a_run(run, small, damage, left, capsys):
    """A stopped run goes on with what is left of its log, and says what is missing."""
    whole = run(small())
    log = whole.out / "log.jsonl"
    entries, lines = read_log(whole.out), log.read_bytes().splitlines()
    if damage is None:
        log.unlink()
    else:
        log.write_bytes(b"\n".join(damage(lines)))
    resumed = run(small(), resume=True)
    assert same_weights(resumed.model, whole.model)
    assert read_log(whole.out) == [entries[step] for step in left]
    assert len(resumed.history.losses) == 6
    assert [step for step, loss in enumerate(resumed.history.losses) if not math.isnan(loss)] == left
    assert ("log.jsonl" in capsys.readouterr().out) == (len(left) < 6)


def test_a_log_is_never_empty_while_it_is_repaired(run, small, monkeypatch):
    """A kill between any two operations leaves the old log or the new one."""
    out = run(small()).out
    log = (out / "log.jsonl").read_bytes()
    replace = Path.replace

    def watched(self, target):
        assert (out / "log.jsonl").read_bytes() == log
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    run(small(), resume=True)
    assert (out / "log.jsonl").read_bytes() == log


def test_the_log_is_written_every_ten_seconds(tmp_path, monkeypatch):
    clock = iter([0, 4, 8, 12, 12, 16, 20, 24, 24])
    monkeypatch.setattr("mgm.training.log.time.monotonic", lambda: next(clock))
    log = StepLog(tmp_path, RunHistory(), True)
    written = []
    for step in range(6):
        log.write(record(step))
        written.append(len((tmp_path / "log.jsonl").read_text().splitlines()))
    assert written == [0, 0, 3, 3, 3, 6]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(tmp_path):
    log = StepLog(tmp_path, RunHistory(), True)
    log.write(StepRecord(0, 1.0, 0.1, 1.0))
    log.path = Path("/dev/full")
    with raises(FileError, "cannot_write", subject="/dev/full"):
        log.flush()


def test_a_full_disk_under_the_curves(tmp_path):
    """No thread writes them, whose errors nobody catches."""
    log = StepLog(tmp_path, RunHistory(), True)
    log.write(StepRecord(0, 1.0, 0.1, 1.0))
    (tmp_path / "tensorboard").rmdir()
    with raises(FileError, "cannot_write", subject=log.events.path):
        log.flush()
    assert len(read_log(tmp_path)) == 1


def test_the_curves_of_a_resumed_run_are_one(run, small, memory):
    with pytest.raises(KeyboardInterrupt):
        run(small(), source=raising(memory, KeyboardInterrupt, at=14))
    result = run(small(), resume=True)
    events = EventAccumulator(str(result.out / "tensorboard"))
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars("1-loss/total")]
    assert shown == [(step, pytest.approx(loss)) for step, loss in enumerate(result.history.losses)]
    assert sorted(events.Tags()["scalars"])[0] == "1-loss/total"
    assert {"2-step/gradient_norm", "3-speed/data_wait", "4-clips/mask_overlap"} <= set(events.Tags()["scalars"])


def record(step, **fractions):
    return StepRecord(step, 1.0, 0.1, 1.0, fractions=fractions)


def test_a_record_in_the_log():
    entry = StepRecord(3, 0.5, 0.1, 2.0, {"hog": 0.25}, {"fallback": 1 / 3, "flow": 0.0}, 12.3456, 0.25, 0.4)
    assert list(entry.to_dict().items()) == [
        ("step", 3),
        ("loss", 0.5),
        ("lr", 0.1),
        ("gradient_norm", 2.0),
        ("clips_per_second", 12.35),
        ("data_wait", 0.25),
        ("flop_utilisation", 0.4),
        ("fallback", 0.3333),
        ("flow", 0.0),
        ("parts", {"hog": 0.25}),
    ]
    assert entry.scalars()["1-loss/hog"] == 0.25


@pytest.fixture
def warnings(tmp_path):
    console = Terminal(record=True, width=1000)
    return RunWarnings(tmp_path, RunHistory(), 1, 2, console)


def test_an_unreadable_video_is_shown_once(warnings):
    warnings.unreadable([("a.mp4", "a.mp4: is empty")] * 2)
    assert warnings.console.export_text().count("a.mp4: is empty") == 1
    assert warnings.history.bad == {"a.mp4": "a.mp4: is empty"}


def test_incidents_are_kept_with_their_rank(warnings):
    warnings.incidents(())
    assert not (warnings.out / "incidents.txt").exists()
    warnings.incidents(("a process died",))
    assert (warnings.out / "incidents.txt").read_text() == "rank 1: a process died\n"
    assert warnings.history.incidents == ["rank 1: a process died"]
    warnings.incidents((os.fsdecode(b"a process died on \xff.mp4"),))
    assert (warnings.out / "incidents.txt").read_bytes().endswith(b"\xff.mp4\n")


def test_flow_is_shown_once_and_on_the_first_rank(warnings):
    warnings.flow(record(0, flow=0.5), 8)
    assert warnings.console.export_text() == ""
    warnings.rank = 0
    warnings.flow(record(0, flow=0.5), 8)
    assert "4 of the 8 clips of step 0" in warnings.console.export_text()
    warnings.history.add(record(0, flow=0.5).to_dict())
    warnings.flow(record(1, flow=0.5), 8)
    assert warnings.console.export_text() == ""


def test_few_failures_never_stop_a_run(warnings):
    warnings.history.bad = {"a.mp4": "a.mp4: is empty"}
    warnings.stop_if_too_many(8, 0, 0.1)
    warnings.stop_if_too_many(10, 90, 0.1)
    with raises(DataError, "too_many_failures"):
        warnings.stop_if_too_many(11, 89, 0.1)


def test_a_history_prints_and_shows_its_losses():
    history = RunHistory([1.5, 1.25, float("nan"), 1.0], seconds=12.3, bad={"a.mp4": "a.mp4: is empty"})
    assert repr(history) == "RunHistory(4 steps, loss 1.5000 -> 1.0000, 1 unreadable videos, 12 s)"
    picture = np.asarray(history.show())
    blue = (picture[..., 2] > picture[..., 0].astype(int) + 50).nonzero()
    falling = np.polyfit(blue[1], blue[0], 1)[0]  # rows count downwards
    assert falling > 0
    assert history._repr_png_().startswith(b"\x89PNG")
    assert repr(RunHistory()) == "RunHistory(0 steps, 0 s)"
    assert RunHistory().show().size == history.show().size
