"""Choices of the model in a recipe: they train, load again, and are logged."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mgm.data.clips.source import FileSource
from mgm.data.items import VideoItem
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, DataError, ModelError
from mgm.flow.raft import Raft, RaftEstimator
from mgm.flow.stored import store_raft
from mgm.models import TeacherFeatures, Trajectory
from mgm.training import load_config, load_encoder
from mgm.training.checkpoint import load_autoencoder
from mgm.training.pretrain import pretrain
from tests.errors import raises
from tests.models.tokenizers.files import vqgan, write_vqgan
from tests.training.helpers import raising, read_log


def run(videos, config, out, memory=None, **options):
    return pretrain(videos, config, out=out, source=memory, show_progress=False, **options)


@pytest.mark.parametrize(
    "settings",
    [
        ["model.backbone=timesformer", "model.decoder_attention=cross", "model.decoder_dim=24"],
        ["mask.decoder.name=running-cell", "mask.decoder.ratio=0.5", "model.checkpointing=true"],
        ["model.target={normalised-pixels: 1, hog: 0.5, motion: 2}", "mask.name=tube"],
        ["model.visible_target={asinh-motion: 2, hog: 1}"],
        [
            "model.target={normalised-pixels: 1, frame-difference: 1}",
            "model.decoders={normalised-pixels: {depth: 2}, frame-difference: {dim: 24, heads: 3}}",
            "model.regressor_depth=1",
        ],
        ["model.target={hog-m3video: 54, trajectory: 16}", "model.prediction_head=mlp", "mask.name=tube"],
        ["model.target=one-frame", "model.backbone=timesformer", "model.attention=joint", "mask.name=random"],
    ],
)
def test_choices_train_and_load_again(videos, small, memory, tmp_path, settings):
    config = small("pretrain.steps=3", *settings)
    trained = run(videos, config, tmp_path, memory)
    assert len(trained.history.losses) == 3
    again = load_autoencoder(tmp_path)
    assert again.spec == trained.model.spec == config.model_spec()
    states = again.state_dict(), trained.model.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0] | states[1])


def test_a_decoder_mask_changes_what_is_learned(videos, small, memory, tmp_path):
    plain = run(videos, small("pretrain.steps=1"), tmp_path / "a", memory).history.losses
    fewer = run(videos, small("pretrain.steps=1", "mask.decoder={}"), tmp_path / "b", memory).history.losses
    assert plain != fewer


@pytest.fixture
def raft_weights(tmp_path):
    """A file of random weights."""
    path = tmp_path / "raft-small.pth"
    torch.save(Raft().state_dict(), path)
    return path


@pytest.mark.parametrize("workers", [0, 1])
def test_raft_measures_the_motion_of_a_run(videos, small, tmp_path, raft_weights, monkeypatch, workers):
    few = replace(videos, train=videos.train[:2])
    settings = ("pretrain.steps=1", "pretrain.batch=2", f"data.workers={workers}", "data.memory=false")
    raft = small(*settings, "data.motion=raft", f"data.raft_weights={raft_weights}")
    assert raft.clip_settings(motion=True).motion == RaftEstimator(str(raft_weights))
    monkeypatch.setattr("mgm.flow.raft.RaftEstimator.between", lambda self, before, after: _to_the_left(after))
    losses = {run(few, raft, tmp_path / f"raft-{n}").history.losses[0] for n in range(2)}
    assert len(losses) == 1
    assert losses != set(run(few, small(*settings, "data.motion=codec"), tmp_path / "codec").history.losses)


def _to_the_left(picture):
    """A motion in the left part of a picture."""
    motion = np.zeros((*picture.shape[:2], 2), np.float32)
    motion[:, : picture.shape[1] // 4] = 3
    return motion


def test_in_memory_raft_measures_between_all_frames(videos, small, tmp_path, raft_weights):
    two = replace(videos, train=videos.train[:2])
    settings = ("pretrain.steps=1", "pretrain.batch=2", "data.memory=true", "data.policy=sampled")
    config = small(*settings, "data.motion=raft", f"data.raft_weights={raft_weights}")
    assert np.isfinite(run(two, config, tmp_path / "run").history.losses).all()


@pytest.mark.parametrize("memory", [False, True])
def test_stored_motion_of_raft_is_that_of_a_run(small, tmp_path, raft_weights, memory):
    pytest.importorskip("zstandard")
    for n in range(2):
        make_translation(tmp_path / f"set/{n}.webm", velocity=(2, 1), frames=8, size=(40, 48), codec="libvpx-vp9")
    config = small("pretrain.steps=1", "pretrain.batch=2", f"data.memory={memory}", "data.motion=raft")
    with raises(DataError, "too_many_failures") as caught:
        run(tmp_path / "set", config, tmp_path / "without")
    assert "mgm motion VIDEO --raft WEIGHTS" in str(caught.value)
    for n in range(2):
        store_raft(tmp_path / f"set/{n}.webm", RaftEstimator(raft_weights, iterations=1))
    trained = run(tmp_path / "set", config, tmp_path / "with")
    assert trained.history.bad == {}


def test_weights_of_raft_are_checked_before_videos_are_read(videos, small, tmp_path):
    config = small("data.motion=raft", f"data.raft_weights={tmp_path}/none.pth")
    missing = replace(videos, train=tuple(replace(item, path="none.mp4") for item in videos.train))
    with raises(ModelError, "not_found", subject=tmp_path / "none.pth"):
        run(missing, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_log_has_the_fallback_of_both_masks(videos, small, memory, tmp_path):
    settings = ("pretrain.steps=4", "mask.name=tube", "mask.decoder.name=mgm", "data.motion=auto")
    run(videos, small(*settings), tmp_path / "a", memory)
    assert {(e["fallback"], e["decoder_fallback"]) for e in read_log(tmp_path / "a")} == {(0, 0)}
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "still.png")
    run(f"images={tmp_path}/still.png", small(*settings), tmp_path / "b")
    assert {(e["fallback"], e["decoder_fallback"]) for e in read_log(tmp_path / "b")} == {(0, 1)}
    run(videos, small("pretrain.steps=1"), tmp_path / "c", memory)
    assert "decoder_fallback" not in read_log(tmp_path / "c")[0]


def test_measured_motion_is_shown_and_counted(small, tmp_path, capsys):
    for number in range(4):
        codec = ("libx264", ".mp4") if number else ("libvpx-vp9", ".webm")
        path = tmp_path / "videos" / f"{number}{codec[1]}"
        make_translation(path, velocity=(3, 1), frames=8, size=(40, 40), codec=codec[0])
    config = small("pretrain.steps=3", "data.motion=auto")
    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path / "videos", config, out=tmp_path / "a", source=raising(FileSource(), KeyboardInterrupt, at=9))
    assert "optical flow is measured for 1 of the 4 clips of step 0" in " ".join(capsys.readouterr().err.split())
    trained = pretrain(tmp_path / "videos", config, out=tmp_path / "a", source=FileSource(), resume=True)
    assert "optical flow" not in capsys.readouterr().err  # once
    assert [entry["flow"] for entry in read_log(tmp_path / "a")] == [0.25] * 3
    assert trained.history.flow == 0.75
    chosen = pretrain(tmp_path / "videos", small("pretrain.steps=1", "data.motion=flow"), out=tmp_path / "b")
    assert "optical flow" not in capsys.readouterr().err  # flow was chosen
    assert chosen.history.flow == 1


def test_the_log_has_the_parts_of_a_sum(videos, small, memory, tmp_path):
    weights = {"normalised-pixels": 1.0, "hog": 0.5}
    run(videos, small("pretrain.steps=2", "model.target={normalised-pixels: 1, hog: 0.5}"), tmp_path / "a", memory)
    entry = json.loads((tmp_path / "a" / "log.jsonl").read_text().splitlines()[-1])
    assert entry["loss"] == pytest.approx(sum(weights[name] * value for name, value in entry["parts"].items()))
    run(videos, small("pretrain.steps=1"), tmp_path / "b", memory)
    assert "parts" not in json.loads((tmp_path / "b" / "log.jsonl").read_text())


def test_the_parts_are_those_of_the_whole_batch(videos, small, memory, tmp_path):
    weights = {"normalised-pixels": 1.0, "hog": 0.5}
    settings = ("pretrain.steps=2", "model.target={normalised-pixels: 1, hog: 0.5}", "pretrain.micro_batch=3")
    run(videos, small(*settings), tmp_path, memory)
    for entry in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines()):
        assert entry["loss"] == pytest.approx(sum(weights[name] * value for name, value in entry["parts"].items()))


def test_a_student_learns_from_a_run_and_is_loaded_without_it(videos, small, memory, tmp_path):
    run(videos, small("pretrain.steps=1"), tmp_path / "teacher", memory)
    config = small("pretrain.steps=3", "model.target=teacher", f"model.teacher={tmp_path / 'teacher'}")
    student = run(videos, config, tmp_path / "student", memory)
    other = run(videos, config, tmp_path / "again", memory)
    assert student.history.losses == other.history.losses
    shutil.rmtree(tmp_path / "teacher" / "checkpoints")
    again = load_autoencoder(tmp_path / "student")
    assert isinstance(again.target, TeacherFeatures)
    video = torch.zeros(1, *again.spec.video_shape, dtype=torch.uint8)
    assert torch.equal(load_encoder(tmp_path / "student")(video), student.model.encoder(video))
    with raises(ModelError, "not_found"):
        run(videos, config, tmp_path / "third", memory)


def test_codes_are_learned_resumed_and_loaded_without_their_tokenizer(videos, small, memory, tmp_path):
    file = write_vqgan(tmp_path / "vqgan.ckpt", vqgan(codes=16).state_dict())
    config = small("pretrain.steps=3", "model.target=vqgan-codes", f"model.tokenizer={file}")
    whole = run(videos, config, tmp_path / "whole", memory)
    with pytest.raises(KeyboardInterrupt):
        run(videos, config, tmp_path / "parts", raising(memory, KeyboardInterrupt, at=10))
    resumed = run(videos, config, tmp_path / "parts", memory, resume=True)
    assert whole.history.losses[0] == pytest.approx(math.log(16), rel=0.3)  # nothing is known
    assert resumed.history.losses == whole.history.losses
    file.unlink()
    again = load_autoencoder(tmp_path / "whole")
    assert again.objective.tokenizer == 16
    with raises(ConfigError, "conflict"):
        small("model.target=vqgan-codes")


def test_a_warm_up_of_the_whole_run_is_shown(small, videos, tmp_path, capsys):
    pretrain(videos, small("data.memory=true", "pretrain.steps=2"), out=tmp_path / "run")
    assert "after 2 steps, at the end: the run is all warm-up" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("motion", ["codec", "flow"])
def test_points_follow_the_motion_of_the_stream_and_of_flow(motion, tmp_path):
    """A picture that moves by (4.5, -2.5) a frame, cut to (4, -2): all points alike, until a patch's points have left the frame."""
    path = make_translation(tmp_path / "moving.mp4", velocity=(4.5, -2.5), frames=16, size=(64, 64), gop=16)
    small = (
        "data.frames=8",
        "data.stride=1",
        "data.size=64",
        f"data.motion={motion}",
        "mask.name=tube",
        "model.patch=16",
    )
    config = load_config("debug", [*small, "model.target=trajectory", "data.crop=centre", "data.flip=false"])
    rule, spec = config.mask_rule(), config.model_spec()
    assert (rule.motion_parts, rule.motion_grid) == (2, (8, 8))
    transform = ClipTransform("centre", flip=False, rule=rule)
    clips = ClipSet((VideoItem(str(path), None),), FileSource(), config.clip_settings(motion=True), transform, seed=0)
    sample = clips[0, 0]
    assert np.median(sample.motion, (0, 1, 2)) == pytest.approx((4.5, -2.5), abs=0.2)
    values = Trajectory(spec)(torch.from_numpy(sample.motion)[None], torch.arange(spec.tokens)[None])
    values = values.view(4, 4, 4, -1)
    known = ~values.isnan()
    assert (values[:, 1:3, 1:3][known[:, 1:3, 1:3]].abs() < 0.1).float().mean() > 0.7
    # From x = 4 and 12 of the last column points are beyond 64 after 1 and 3 steps.
    assert known[0, :, :3].all()
    assert not known[0, :, 3].any()
