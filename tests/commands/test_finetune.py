"""`mgm finetune`: where it starts, and what it prints after a run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mgm
import mgm.commands.finetune as module
from mgm.commands.finetune import finetune
from mgm.training.results import read_results

SETTINGS = ["finetune.steps=2", "finetune.warmup=0", "finetune.batch=4"]
SETTINGS += ["probe.temporal_views=1", "probe.spatial_views=1"]


@pytest.fixture(scope="module")
def pretrained(tiny_set, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "pretrained"
    small = ["data.frames=4", "data.size=32", "data.workers=0", "model.size=debug", "pretrain.steps=1"]
    config = mgm.load_config("debug", [*small, "pretrain.warmup=0", "pretrain.batch=4"])
    mgm.pretrain(tiny_set, config, out=out, show_progress=False)
    return out


def test_the_result_is_evaluated(pretrained, tiny_set, tmp_path, capsys):
    finetune(pretrained, str(tiny_set), SETTINGS, out=tmp_path)
    written = read_results(tmp_path / "evaluation.json")[0].metric("top-1")
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.startswith(str(written))
    assert f"on {written.count} videos after 2 steps" in shown


@pytest.mark.parametrize(("label", "shown"), [(None, "have no label"), ("", "no test videos")])
def test_a_set_that_cannot_be_judged(pretrained, tiny_set, tmp_path, capsys, monkeypatch, label, shown):
    """Found before the run, told after it: the weights are not lost."""
    videos = mgm.load_set(tiny_set)
    videos = replace(videos, test=(replace(videos.test[0], label=None),) if label is None else ())
    monkeypatch.setattr(module, "open_set", lambda data: videos)
    finetune(pretrained, "videos", SETTINGS, out=tmp_path, from_scratch=True)
    assert shown in capsys.readouterr().out
    assert not (tmp_path / "evaluation.json").exists()
    assert (tmp_path / "checkpoints").is_dir()


def test_a_start_without_weights_is_that_of_the_recipe(tiny_set, tmp_path):
    small = ["data.frames=4", "data.size=32", "data.workers=0", "model.size=debug", *SETTINGS]
    finetune(Path("none"), str(tiny_set), small, recipe="debug", out=tmp_path / "command")
    here = mgm.finetune(None, tiny_set, mgm.load_config("debug", small), out=tmp_path / "python", show_progress=False)
    weights = mgm.load_pretrained(tmp_path / "command").state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in here.model.state_dict().items())


def test_the_default_recipe_without_weights(tiny_set, tmp_path, monkeypatch):
    """Its model is too large for a test: the run ends before it."""

    def stop(encoder, videos, config, **_):
        raise StopIteration((encoder, config))

    monkeypatch.setattr(mgm, "finetune", stop)
    with pytest.raises(StopIteration) as stopped:
        finetune(Path("none"), str(tiny_set), ["seed=3"], out=tmp_path)
    assert stopped.value.value == (None, mgm.load_config("supervised-vitb-k400", ["seed=3"]))
