"""Reconstructions through time: one clip at the steps of the kept checkpoints, and the pictures that a run drew."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mgm.errors import VideoError
from mgm.models import MaskedAutoencoder
from mgm.show.progress import MOST_STEPS, progress_section
from mgm.show.report.elements import Picture, Strip, Text
from mgm.training import load_config
from mgm.training.checkpoint_folder import write_checkpoint
from mgm.training.folder import checkpoint_folder
from tests.errors import raises

SMALL = ["model.size=debug", "data.frames=4", "data.size=32"]


@pytest.fixture
def run(tmp_path, tiny_set):
    """A function that makes the folder of a run with checkpoints after some steps."""

    def make(*steps, asked=str(tiny_set), target="normalised-pixels", kind="pretrain"):
        config, folder = load_config("debug", SMALL), tmp_path / "run"
        folder.mkdir()
        config.save(folder / "config.yaml")
        (folder / "run.json").write_text(json.dumps({"kind": kind, "set": {"asked": asked}}))
        for step in steps:
            torch.manual_seed(step)
            model = MaskedAutoencoder(config.model_spec(), target=target)
            content = {"kind": "autoencoder", "spec": config.model_spec().to_dict(), "model": model.state_dict()}
            content |= {"config": config.model_dump(mode="json"), "target": target}
            write_checkpoint(checkpoint_folder(folder, step), content, {})
        return folder

    return make


def test_one_clip_at_several_steps(run):
    (strip,) = progress_section({"a": run(1, 20, 300)}).parts
    assert isinstance(strip, Strip)
    assert [row.label for row in strip.rows] == ["original", "encoder sees", "step 1", "step 20", "step 300"]
    assert len({row.image for row in strip.rows}) == 5
    assert "Only one" not in strip.caption


def test_many_steps_are_thinned_to_the_first_and_last(run):
    (strip,) = progress_section({"a": run(*range(1, 12))}).parts
    labels = [row.label for row in strip.rows][2:]
    assert len(labels) == MOST_STEPS
    assert (labels[0], labels[-1]) == ("step 1", "step 11")


def test_a_single_checkpoint_is_said(run):
    (strip,) = progress_section({"a": run(7)}).parts
    assert "Only one checkpoint is kept: pretrain.keep_every=EPOCHS" in strip.caption


def test_a_set_that_is_elsewhere_is_said_and_a_video_replaces_it(run, tiny_set):
    folder = run(1, asked="elsewhere/videos")
    (said,) = progress_section({"a": folder, "b": folder.parent}).parts
    assert isinstance(said, Text)
    assert said.text == (
        "a: no reconstruction: the videos of its set, elsewhere/videos, cannot be read here. --video names a clip."
    )
    video = str(next(tiny_set.rglob("*.mp4")))
    (strip,) = progress_section({"a": folder}, video).parts
    assert isinstance(strip, Strip)
    with raises(VideoError, "not_found"):
        progress_section({"a": folder}, "gone.mp4")


def test_a_run_without_checkpoints_or_of_fine_tuning_has_none(run, tmp_path):
    assert progress_section({"a": run(1, kind="finetune")}) is None
    assert progress_section({"a": tmp_path}) is None


def test_a_target_without_pixels_is_said(run):
    (said,) = progress_section({"a": run(1, target="hog")}).parts
    assert "no pixels" in said.text


def test_the_pictures_of_a_run_are_shown(run):
    folder = run()
    (folder / "pictures").mkdir()
    for step in (1, 50, 600):
        Image.fromarray(np.full((20, 30, 3), step % 255, np.uint8)).save(folder / "pictures" / f"step-{step:08}.png")
    parts = progress_section({"a": folder}).parts
    assert [part.caption for part in parts if isinstance(part, Picture)] == [
        f"drawn by the run at step {step}" for step in (1, 50, 600)
    ]
