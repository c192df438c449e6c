"""Figures about a run: where they are, and that no set replaces those of another."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Thread, current_thread

import pytest
import torch
from torch import nn

from mgm.errors import FileError, ModelError
from mgm.files.journal import read_journal
from mgm.training import results
from mgm.training.results import (
    PROBE_FILE,
    Interval,
    Metric,
    Result,
    check_results,
    describe_set,
    keep_result,
    read_results,
    result_file,
    weights_checksum,
)
from tests.errors import raises
from tests.results import result_of


def test_results_of_a_run_and_of_external_weights(tmp_path):
    assert result_file(tmp_path, PROBE_FILE) == tmp_path / "probe.json"
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"")
    assert result_file(weights, PROBE_FILE) == tmp_path / "model.safetensors.probe.json"


def test_results_of_a_checkpoint_outlive_it(tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000010"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.pt").write_bytes(b"")
    assert result_file(checkpoint, PROBE_FILE) == tmp_path / "run" / "step-00000010.probe.json"


def test_results_on_every_set_are_kept(videos, tmp_path):
    file = tmp_path / PROBE_FILE
    assert read_results(file) == []
    other = replace(videos, root="/data/other", test=videos.test[1:])
    keep_result(file, result_of(videos, 0.5))
    keep_result(file, result_of(other, 0.25))
    newest, before = read_results(file)
    assert (newest.set.name, newest.set.test, figures([newest])) == ("other", 15, [0.25])
    assert (before.set.test, figures([before])) == (16, [0.5])
    keep_result(file, result_of(videos, 0.75))  # replaces the one on the same set
    assert figures(read_results(file)) == [0.75, 0.25]
    keep_result(file, result_of(videos, 0.8, protocol={"temporal views": 2}))  # is another measurement
    assert figures(read_results(file)) == [0.8, 0.75, 0.25]
    earlier = tmp_path / "probe.earlier.jsonl"
    (kept,) = (record for _, record in read_journal(earlier))
    assert figures([Result.model_validate_json(json.dumps(kept))]) == [0.5]
    keep_result(file, result_of(videos, 0.75))  # the same again is nothing new
    assert len(list(read_journal(earlier))) == 1


def test_two_commands_at_once_keep_both_results(videos, tmp_path, monkeypatch):
    """The second waits until the first has written; else the first would write over what it did not read."""
    file = tmp_path / PROBE_FILE
    other = replace(videos, root="/data/other", test=videos.test[1:])
    second = Thread(target=keep_result, args=(file, result_of(other, 0.25)))

    def read_slowly(path):
        found = read_results(path)
        if current_thread() is not second:
            second.start()
            second.join(0.5)
        return found

    monkeypatch.setattr(results, "read_results", read_slowly)
    keep_result(file, result_of(videos, 0.5))
    second.join()
    assert sorted(figures(read_results(file))) == [0.25, 0.5]
    assert [path.name for path in tmp_path.iterdir()] == [PROBE_FILE]


def test_a_place_that_cannot_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    file = tmp_path / "file" / PROBE_FILE
    with raises(FileError, "cannot_write", subject=file):
        check_results(file)
    monkeypatch.setenv("RANK", "1")  # the first process alone writes, perhaps on another machine
    check_results(file)


def figures(results):
    return [result.metrics[0].value for result in results]


def test_results_of_an_earlier_release_are_not_read_as_todays(videos, tmp_path):
    """They had neither protocol nor versions."""
    file = tmp_path / PROBE_FILE
    file.write_text('{"top1": 0.5}')
    with raises(ModelError, "malformed", subject=file, message="results-earlier"):
        keep_result(file, result_of(videos, 0.25))


def test_the_schema_in_the_docs_is_that_of_a_result():
    """Written by `python -m json.tool` from `Result.model_json_schema()`."""
    written = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text())
    assert written == Result.model_json_schema()


def test_the_checksum_of_weights_is_that_of_their_values(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    before = weights_checksum(model)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    assert weights_checksum(other) != before
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert weights_checksum(other) == before
    with torch.no_grad():
        other[0].bias[1] = torch.nextafter(other[0].bias[1], torch.tensor(9.0))
    assert weights_checksum(other) != before


def test_a_metric_is_printed_in_its_unit():
    interval = (Interval(low=0.25, high=0.75, method="Wilson"),)
    assert str(Metric(name="top-1", value=0.5, count=4, intervals=interval)) == "top-1 50.0% [25.0%, 75.0%]"
    assert str(Metric(name="log loss", value=0.5, count=4, unit="nats")) == "log loss 0.500"


def test_the_checksum_is_that_of_videos_labels_and_split(videos):
    def checksum(**changes):
        return describe_set(replace(videos, **changes)).checksum

    def moved(items):
        return tuple(replace(item, path=f"/elsewhere{item.path}") for item in items)

    assert checksum() == checksum(root="x", train=moved(videos.train), test=moved(videos.test))
    relabelled = (replace(videos.test[0], label=1 - min(videos.test[0].label, 1)), *videos.test[1:])
    half = {"train": videos.train[:-1], "test": (videos.train[-1], *videos.test)}
    changes = [{}, {"test": relabelled}, {"test": videos.test[:-1]}, half, {"classes": videos.classes[::-1]}]
    assert len({checksum(**change) for change in changes}) == len(changes)


def test_the_name_of_a_set_is_without_folders(videos):
    specification = replace(videos, root="train=/a/train.csv,test=/a/val.csv,root=/videos")
    assert describe_set(specification).name == "train.csv, val.csv, videos"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"results": 3}', '{"results": [3]}', '{"results": [{"kind": "x"}]}']
)
def test_a_damaged_file_is_an_error(videos, tmp_path, text):
    file = tmp_path / PROBE_FILE
    file.write_text(text)
    for use in (read_results, lambda path: keep_result(path, result_of(videos, 0.5))):
        with raises(ModelError, "malformed", subject=file):
            use(file)
    assert file.read_text() == text
