"""`run.json`: what a run was asked, what it found, and each of its starts."""

import json

import pytest

from mgm.machine import versions
from mgm.training.finetune import finetune
from mgm.training.results import describe_set


def stop(line):
    if line.startswith("step 3 "):
        raise KeyboardInterrupt


def test_every_start_is_kept(run, small, videos, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["/usr/bin/mgm", "pretrain", "my videos", "--out", "run"])
    with pytest.raises(KeyboardInterrupt):
        run(small("pretrain.repeats=2"), progress=stop)
    run(small("pretrain.repeats=2"), resume="auto")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content["kind"] == "pretrain"
    assert content["set"] == {"asked": videos.root, **describe_set(videos).model_dump()}
    first, second = content["starts"]
    assert (first["step"], second["step"]) == (0, 3)
    assert first["command"] == "mgm pretrain 'my videos' --out run"
    assert first["versions"] == dict(versions())
    assert first["clips"] == {"at once": 8, "accumulated": 1, "step": 8}
    assert first["time"] <= second["time"]


def test_a_damaged_file_is_set_aside(run, small, tmp_path):
    run(small())
    file = tmp_path / "run" / "run.json"
    file.write_text("{")
    run(small(), resume="auto")
    assert (tmp_path / "run" / "damaged-run.json").read_text() == "{"
    assert [start["step"] for start in json.loads(file.read_text())["starts"]] == [6]


def test_fine_tuning_names_its_encoder(run, small, videos, memory, tmp_path):
    source = run(small("pretrain.steps=1")).out
    for encoder in (None, source):
        out = tmp_path / ("scratch" if encoder is None else "tuned")
        finetune(encoder, videos, small("finetune.steps=1"), out=out, source=memory, show_progress=False)
        content = json.loads((out / "run.json").read_text())
        assert (content["kind"], content["encoder"]) == ("finetune", None if encoder is None else str(source))
