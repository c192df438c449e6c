"""Fine-tuning and judging that start from weights of elsewhere."""

import argparse
import json

import pytest
import torch

from mgm.data.annotations import VideoSet
from mgm.errors import ConfigError, DataError, ModelError
from mgm.evaluation.run import evaluate, probe
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec, to_huggingface
from mgm.training import (
    export_model,
    finetune,
    load_classifier,
    load_encoder,
    open_start,
    settings_for,
)
from mgm.training.config import override
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
    """What VideoMAE's pre-training saves."""
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
def test_fine_tuning_starts_from_weights_of_elsewhere(write, tmp_path, videos, memory):
    encoder, config = open_start(write(tmp_path / "weights"), SHORT, recipe="debug")
    assert config.model_spec() == encoder.spec
    config = settings_for(encoder, "debug", (*SHORT, "finetune.base_lr=1e-30", "finetune.weight_decay=0"))
    outcome = finetune(encoder, videos, config, out=tmp_path / "run", source=memory, show_progress=False)
    tuned, classes = load_classifier(tmp_path / "run")
    assert classes == videos.classes
    assert tuned.labels == classes
    video = torch.randint(0, 256, (1, *encoder.spec.video_shape), dtype=torch.uint8)
    # At a learning rate of nothing it is still the encoder that was loaded, to the last block.
    assert torch.equal(tuned.encoder(video), encoder(video, block=-1))
    assert len(outcome.history.losses) == 2


def test_an_official_file_is_judged(tmp_path, videos, memory):
    path = official(tmp_path / "checkpoint.pth")
    report = probe(path, videos, overrides=SHORT, recipe="debug", source=memory)
    assert {c.name for c in report.comparisons} == {"attentive probe", "linear probe", "20-NN"}
    assert json.loads((tmp_path / "checkpoint.pth.probe.json").read_text())["classes"] == list(videos.classes)


def test_a_classifier_of_elsewhere_is_judged_by_the_names_of_its_classes(tmp_path, videos, memory):
    torch.manual_seed(0)
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    model = Classifier(encoder, 10, head_scale=1, labels=["walking", *reversed(videos.classes), "running"])
    folder = export_model(model, to="hf", out=tmp_path / "hf")
    result = evaluate(folder, videos, overrides=SHORT, recipe="debug", source=memory)
    assert (result["classes"], result["top1"]["videos"]) == (10, 16)
    assert json.loads((folder / "evaluation.json").read_text()) == result
    other = VideoSet(videos.root, videos.train, videos.test, ("cat", *videos.classes[1:]), videos.split)
    with pytest.raises(DataError, match=r"has the classes cat, .*expected those of the run: walking"):
        evaluate(folder, other, overrides=SHORT, recipe="debug", source=memory)
    with pytest.raises(DataError, match=r"weights: does not name its 3 classes"):
        evaluate(deepspeed(tmp_path / "weights"), videos, overrides=SHORT, recipe="debug", source=memory)
    with pytest.raises(ModelError, match="holds an autoencoder, expected a fine-tuned classifier"):
        evaluate(official(tmp_path / "pretrained"), videos, overrides=SHORT, recipe="debug", source=memory)


def test_the_clips_are_those_that_settings_ask_for(tmp_path):
    path = official(tmp_path / "checkpoint.pth")
    encoder, config = open_start(path, CLIPS, recipe="debug")
    assert encoder.spec.video_shape == (3, 4, 32, 32)
    encoder, config = open_start(path)
    assert encoder.spec.video_shape == (3, 16, 224, 224)
    assert (config.data.frames, config.data.size, config.finetune.base_lr) == (16, 224, 5e-4)


def test_what_does_not_go_together(tmp_path, small, videos, memory):
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=(32, 24)))
    with pytest.raises(ConfigError, match=r"32 x 24 px, expected square"):
        settings_for(encoder)
    encoder = load_encoder(official(tmp_path / "checkpoint.pth"), frames=4, resolution=32)
    config = settings_for(encoder, "debug")
    with pytest.raises(ConfigError, match=r"4 frames of 32 px, but data.frames is 8"):
        override(config, ["data.frames=8"])


def test_a_run_goes_on_by_another_recipe(tmp_path, small, videos, memory):
    """Its encoder with the settings for other videos; frames and size stay those that it was made for."""
    outcome = finetune(None, videos, small(), out=tmp_path / "run", source=memory, show_progress=False)
    encoder, config = open_start(outcome.out, ["finetune.epochs=7"], recipe="finetune-vitb-ucf101")
    assert (config.finetune.batch, config.finetune.epochs, config.finetune.dropout) == (128, 7, 0.5)
    assert config.model_spec() == encoder.spec
    assert (config.data.frames, config.data.size) == (4, 32)
    assert open_start(outcome.out)[1] == small()


def test_a_class_token_is_not_lost_on_the_way(tmp_path, small, videos, memory):
    """An encoder that the recipe does not describe is refused, not fitted in part."""
    encoder = load_encoder(maest(tmp_path / "maest.pth"))
    with pytest.raises(DataError, match=r"class_token True instead of False.*mgm.settings_for"):
        finetune(encoder, videos, small(), out=tmp_path / "run", source=memory)


def test_a_classifier_knows_its_labels():
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    assert Classifier(encoder, 2, labels=["up", "down"]).labels == ("up", "down")
    with pytest.raises(ModelError, match="found 1 names, expected one for each of the 2 classes"):
        Classifier(encoder, 2, labels=["up"])
