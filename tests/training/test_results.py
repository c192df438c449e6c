"""Figures about a run: where they are, and that no set replaces those of another."""

import json
from dataclasses import replace

import pytest

from mgm.errors import ModelError
from mgm.training.results import PROBE_FILE, describe_set, keep_result, read_results, result_file
from tests.errors import raises


def test_results_of_a_run_and_of_external_weights(tmp_path):
    assert result_file(tmp_path, PROBE_FILE) == tmp_path / "probe.json"
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"")
    assert result_file(weights, PROBE_FILE) == tmp_path / "model.safetensors.probe.json"


def test_results_on_every_set_are_kept(videos, tmp_path):
    file = tmp_path / PROBE_FILE
    assert read_results(file) == []
    other = replace(videos, root="/data/other", test=videos.test[1:])
    keep_result(file, videos, {"top1": 0.5})
    keep_result(file, other, {"top1": 0.25})
    newest, before = read_results(file)
    assert (newest["set"]["name"], newest["set"]["test"], newest["top1"]) == ("other", 15, 0.25)
    assert (before["set"]["test"], before["top1"]) == (16, 0.5)
    keep_result(file, videos, {"top1": 0.75})  # replaces the one on the same set
    assert [result["top1"] for result in read_results(file)] == [0.75, 0.25]
    assert json.loads(file.read_text())["top1"] == 0.75


def test_results_without_a_set_are_kept(videos, tmp_path):
    file = tmp_path / PROBE_FILE
    file.write_text('{"top1": 0.5}')  # of an earlier release
    keep_result(file, videos, {"top1": 0.25})
    assert [result["top1"] for result in read_results(file)] == [0.25, 0.5]


def test_the_checksum_is_that_of_videos_labels_and_split(videos):
    def checksum(**changes):
        return describe_set(replace(videos, **changes))["checksum"]

    def moved(items):
        return tuple(replace(item, path=f"/elsewhere{item.path}") for item in items)

    assert checksum() == checksum(root="x", train=moved(videos.train), test=moved(videos.test))
    relabelled = (replace(videos.test[0], label=1 - min(videos.test[0].label, 1)), *videos.test[1:])
    half = {"train": videos.train[:-1], "test": (videos.train[-1], *videos.test)}
    changes = [{}, {"test": relabelled}, {"test": videos.test[:-1]}, half, {"classes": videos.classes[::-1]}]
    assert len({checksum(**change) for change in changes}) == len(changes)


def test_the_name_of_a_set_is_without_folders(videos):
    specification = replace(videos, root="train=/a/train.csv,test=/a/val.csv,root=/videos")
    assert describe_set(specification)["name"] == "train.csv, val.csv, videos"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"other sets": 3}', '{"other sets": [3]}'])
def test_a_damaged_file_is_an_error(videos, tmp_path, text):
    file = tmp_path / PROBE_FILE
    file.write_text(text)
    for use in (read_results, lambda path: keep_result(path, videos, {})):
        with raises(ModelError, "malformed", subject=file):
            use(file)
    assert file.read_text() == text
