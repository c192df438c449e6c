"""Fine-tuning and evaluation of external weights."""

import argparse
import json

import pytest
import torch

from mgm.data.annotations import VideoSet
from mgm.errors import ConfigError, DataError, ModelError
from mgm.evaluation.multi_view import evaluate
from mgm.evaluation.run import probe
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec, to_huggingface
from mgm.training import config_for, export_model, load_classifier, load_encoder, open_encoder
from mgm.training.finetune import finetune
from mgm.training.recipe import override
from mgm.training.results import read_results
from tests.errors import raises
from tests.models.reference import maest_shapes, mmaction, pretrained_shapes, random_state, tuned_shapes

CLIPS = ("data.frames=4", "data.size=32")
SHORT = (
    *CLIPS,
    "data.workers=0",
    "finetune.steps=2",
    "finetune.warmup=0",
    "finetune.batch=4",
    "probe.steps=3",
    "probe.temporal_views=1",
    "probe.spatial_views=1",
)


def official(path):
    """A checkpoint of VideoMAE's pre-training."""
    state = random_state(pretrained_shapes(dim=32, depth=2, width=16, layers=1), std=0.02)
    torch.save({"model": state, "optimizer": {}, "epoch": 9, "args": argparse.Namespace(lr=1e-3)}, path)
    return path


def deepspeed(path):
    torch.save({"module": random_state(tuned_shapes(dim=32, depth=2, classes=3), std=0.02)}, path)
    return path


def mmaction2(path):
    torch.save({"state_dict": mmaction(random_state(tuned_shapes(dim=32, depth=2, classes=3), std=0.02))}, path)
    return path


def maest(path):
    state = random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8), std=0.02)
    torch.save({"model_state": state}, path)
    return path


def huggingface(path):
    from safetensors.torch import save_file

    spec = ModelSpec("debug", patch=8, frames=4, resolution=32, norm_eps=1e-12)
    config, state = to_huggingface(MaskedAutoencoder(spec))
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    save_file(state, path / "model.safetensors")
    return path


@pytest.mark.parametrize("write", [official, deepspeed, mmaction2, maest, huggingface])
def test_fine_tuning_starts_from_external_weights(write, tmp_path, videos, memory):
    encoder, config = open_encoder(write(tmp_path / "weights"), SHORT, recipe="debug")
    assert config.model_spec() == encoder.spec
    config = config_for(encoder, "debug", (*SHORT, "finetune.base_lr=1e-30", "finetune.weight_decay=0"))
    trained = finetune(encoder, videos, config, out=tmp_path / "run", source=memory, show_progress=False)
    tuned, classes = load_classifier(tmp_path / "run")
    assert classes == videos.classes
    assert tuned.labels == classes
    video = torch.randint(0, 256, (1, *encoder.spec.video_shape), dtype=torch.uint8)
    # With a learning rate of almost 0 it is still the loaded encoder, to the last block.
    assert torch.equal(tuned.encoder(video), encoder(video, block=-1))
    assert len(trained.history.losses) == 2


def test_an_official_file_is_probed(tmp_path, videos, memory):
    path = official(tmp_path / "checkpoint.pth")
    report = probe(path, videos, overrides=SHORT, recipe="debug", source=memory)
    assert {c.name for c in report.comparisons} == {"attentive probe", "linear probe", "20-NN"}
    assert read_results(tmp_path / "checkpoint.pth.probe.json")[0].details["classes"] == list(videos.classes)


def test_an_external_classifier_is_evaluated_by_its_class_names(tmp_path, videos, memory):
    torch.manual_seed(0)
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    model = Classifier(encoder, 10, head_scale=1, labels=["walking", *reversed(videos.classes), "running"])
    folder = export_model(model, to="hf", out=tmp_path / "hf")
    result = evaluate(folder, videos, overrides=SHORT, recipe="debug", source=memory).result
    assert (len(result.details["classes"]), result.metric("top-1").count) == (10, 16)
    assert read_results(folder / "evaluation.json") == [result]
    other = VideoSet(videos.root, videos.train, videos.test, ("cat", *videos.classes[1:]), videos.split_rule)
    with raises(DataError, "mismatch", subject=videos.root):
        evaluate(folder, other, overrides=SHORT, recipe="debug", source=memory)
    with raises(DataError, "missing_value", message="evaluate-unnamed-classes"):
        evaluate(deepspeed(tmp_path / "weights"), videos, overrides=SHORT, recipe="debug", source=memory)
    with raises(ModelError, "mismatch"):
        evaluate(official(tmp_path / "pretrained"), videos, overrides=SHORT, recipe="debug", source=memory)


def test_the_clips_are_those_of_the_settings(tmp_path):
    path = official(tmp_path / "checkpoint.pth")
    encoder, config = open_encoder(path, CLIPS, recipe="debug")
    assert encoder.spec.video_shape == (3, 4, 32, 32)
    encoder, config = open_encoder(path)
    assert encoder.spec.video_shape == (3, 16, 224, 224)
    assert (config.data.frames, config.data.size, config.finetune.base_lr) == (16, 224, 1e-3)


def test_settings_that_do_not_fit_an_encoder(tmp_path, small, videos, memory):
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=(32, 24)))
    with raises(ConfigError, "unsupported", message="config-frames-not-square"):
        config_for(encoder)
    encoder = load_encoder(official(tmp_path / "checkpoint.pth"), frames=4, resolution=32)
    config = config_for(encoder, "debug")
    with raises(ConfigError, "mismatch", subject="settings: model.spec", message="config-spec-mismatch"):
        override(config, ["data.frames=8"])


def test_a_run_continues_with_another_recipe(tmp_path, small, videos, memory):
    """Its encoder with the settings for other videos; frames and size stay those of the encoder."""
    trained = finetune(None, videos, small(), out=tmp_path / "run", source=memory, show_progress=False)
    encoder, config = open_encoder(trained.out, ["finetune.epochs=7"], recipe="finetune-vitb-ucf101")
    assert (config.finetune.batch, config.finetune.epochs, config.finetune.dropout) == (128, 7, 0.5)
    assert config.model_spec() == encoder.spec
    assert (config.data.frames, config.data.size) == (4, 32)
    assert open_encoder(trained.out)[1] == small()


def test_a_class_token_is_not_dropped(tmp_path, small, videos, memory):
    """An encoder that the recipe does not describe is refused, not fitted in part."""
    encoder = load_encoder(maest(tmp_path / "maest.pth"))
    with raises(ModelError, "mismatch"):
        finetune(encoder, videos, small(), out=tmp_path / "run", source=memory)


def test_a_classifier_knows_its_labels():
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    assert Classifier(encoder, 2, labels=["up", "down"]).labels == ("up", "down")
    with raises(ModelError, "mismatch", subject="labels"):
        Classifier(encoder, 2, labels=["up"])
