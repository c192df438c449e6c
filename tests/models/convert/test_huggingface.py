"""Conversion from and to Hugging Face's VideoMAE, compared with transformers."""

import json

import pytest
import torch

from mgm.errors import ModelError
from mgm.models import (
    Classifier,
    Encoder,
    MaskedAutoencoder,
    ModelSpec,
    from_huggingface,
    load_huggingface,
    to_huggingface,
)
from mgm.models.convert import Overrides
from mgm.models.sizes import Size, Stack
from tests.errors import raises
from tests.models.clips import normalised, random_mask, random_video
from tests.models.convert.transformers_peer import (
    FULL,
    SHAPES,
    autoencoder_peer,
    classifier_peer,
    close,
    compare_classification,
    compare_pretraining,
    installed_bias_names,
    spelled,
    transformers,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_pretraining_agrees_in_tokens_prediction_loss_and_gradients(shape):
    compare_pretraining(SHAPES[shape], hidden=24)


@pytest.mark.parametrize("shape", [name for name in SHAPES if name not in ("no norm", "raw pixels")])
def test_fine_tuning_agrees_in_tokens_logits_loss_and_gradients(shape):
    compare_classification(SHAPES[shape])


@pytest.mark.slow
@pytest.mark.parametrize("shape", FULL)
def test_whole_models_agree(shape):
    """All blocks, clips of 16 frames at 224 pixels; weights of the size that models start with."""
    compare_pretraining(FULL[shape], hidden=1408, batch=1, std=0.03)
    compare_classification(FULL[shape], batch=1, std=0.03)


@pytest.mark.parametrize("make", [autoencoder_peer, classifier_peer])
def test_both_spellings_of_the_biases_are_read(make):
    theirs, config = make()
    models = [from_huggingface(config, spelled(theirs.state_dict(), query_bias=long)) for long in (False, True)]
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert first["encoder.blocks.0.attn.q_bias"].count_nonzero() > 0


def test_a_frame_need_not_be_square():
    theirs, config = classifier_peer(image_size=[24, 32])
    ours = from_huggingface(config, theirs.state_dict())
    assert ours.encoder.spec.grid == (2, 3, 4)


@pytest.mark.parametrize("bias_names", ["q_bias", "query.bias"])
@pytest.mark.parametrize("classes", [None, 5])
def test_there_and_back(bias_names, classes):
    spec = ModelSpec("debug", patch=8, frames=4, resolution=(16, 32))
    model = MaskedAutoencoder(spec) if classes is None else Classifier(Encoder(spec), classes)
    config, state = to_huggingface(model, bias_names=bias_names)
    again = from_huggingface(json.loads(json.dumps(config)), state)
    first, second = model.state_dict(), again.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert again.encoder.spec.size == "debug"


@pytest.mark.parametrize("classes", [None, 5])
def test_transformers_loads_the_state_dict(classes):
    spec = ModelSpec("debug", patch=8, frames=4, resolution=16)
    model = MaskedAutoencoder(spec) if classes is None else Classifier(Encoder(spec), classes)
    names = {"VideoMAEForPreTraining", "VideoMAEForVideoClassification"}
    config, state = to_huggingface(model, bias_names=installed_bias_names())
    assert config["architectures"][0] in names
    theirs = getattr(transformers, config["architectures"][0])(transformers.VideoMAEConfig(**config))
    long = any(key.endswith("query.bias") for key in theirs.state_dict())
    theirs.load_state_dict(spelled(state, query_bias=long))


def test_a_folder_of_transformers_is_read(tmp_path):
    theirs, _ = autoencoder_peer()
    theirs.save_pretrained(tmp_path)
    ours = load_huggingface(tmp_path)
    video, mask = random_video(ours.spec), random_mask(ours.spec, hidden=24)
    expected = theirs(normalised(video).transpose(1, 2), bool_masked_pos=mask.flatten(1))
    close(ours(video, mask).loss, expected.loss)


def test_folders_that_do_not_fit(tmp_path):
    with raises(ModelError, "not_found", subject=tmp_path):
        load_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with raises(ModelError, "malformed", subject=tmp_path / "model.safetensors"):
        load_huggingface(tmp_path)
    theirs, config = autoencoder_peer()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with raises(ModelError, "mismatch", subject=f"{tmp_path}: state dict"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason", "subject"),
    [
        ({"model_type": "vit"}, "mismatch", "config.json"),
        ({"hidden_act": "relu"}, "mismatch", "config.json"),
        ({"intermediate_size": 100}, "invalid_shape", "state dict"),
        ({"qv_bias": False}, "mismatch", "config.json"),
        ({"patch_size": [8, 4]}, "mismatch", "config.json"),
        ({"num_hidden_layers": 1}, "mismatch", "state dict"),
        ({"num_hidden_layers": 3}, "mismatch", "state dict"),
        ({"hidden_size": 24, "intermediate_size": 96}, "mismatch", "config.json"),
        ({"decoder_hidden_size": 64}, "mismatch", "config.json"),
        ({"image_size": None}, "invalid_type", "resolution"),
        ({"image_size": [32, 32, 32]}, "invalid_type", "resolution"),
        ({"patch_size": []}, "mismatch", "config.json"),
        ({"num_frames": None}, "mismatch", "config.json"),
        ({"num_hidden_layers": 10**9}, "mismatch", "config.json"),
        ({"intermediate_size": 10**9}, "invalid_shape", "state dict"),
        ({"num_attention_heads": "3"}, "mismatch", "config.json"),
        ({"layer_norm_eps": "tiny"}, "invalid_value", "norm_eps"),
        ({"norm_pix_loss": None}, "mismatch", "config.json"),
    ],
)
def test_configurations_that_do_not_fit(change, reason, subject):
    theirs, config = autoencoder_peer()
    with raises(ModelError, reason, subject=subject):
        from_huggingface({**config, **change}, theirs.state_dict())


def test_the_words_of_errors():
    theirs, config = autoencoder_peer()
    changes = {"hidden_act": "relu", "num_hidden_layers": 10**9, "norm_pix_loss": None}
    with raises(ModelError, "mismatch", message="checkpoint-config-settings"):
        from_huggingface({**config, **changes}, theirs.state_dict())
    with raises(ModelError, "mismatch", message="checkpoint-config-other-depth"):
        from_huggingface({**config, "num_hidden_layers": 3}, theirs.state_dict())
    with raises(ModelError, "invalid_shape", message="checkpoint-config-other-width"):
        from_huggingface({**config, "intermediate_size": 100}, theirs.state_dict())


@pytest.mark.parametrize("shape", [(), (7,), (48, 7), (0, 48)])
@pytest.mark.parametrize(
    "key", ["videomae.encoder.layer.1.attention.attention.key.weight", "classifier.weight", "fc_norm.weight"]
)
def test_weights_of_another_shape_are_named(key, shape):
    theirs, config = classifier_peer()
    with raises(ModelError, "invalid_shape", subject="state dict"):
        from_huggingface(config, theirs.state_dict() | {key: torch.zeros(shape)})


def test_the_encoder_alone_ignores_other_tensors():
    theirs, config = autoencoder_peer()
    state = theirs.state_dict()
    broken = state | {"decoder.head.weight": torch.zeros(3, 3), "projector.weight": torch.zeros(2)}
    alone = from_huggingface(config, broken, encoder_only=True)
    assert isinstance(alone, Encoder)
    whole = from_huggingface(config, state).encoder
    video = random_video(alone.spec)
    assert torch.equal(alone(video), whole(video))


@pytest.mark.parametrize("stored", [None, ["a"], "names", {"0": "a"}])
def test_incomplete_names_of_classes(stored):
    theirs, config = classifier_peer()
    assert from_huggingface({**config, "id2label": stored}, theirs.state_dict()).labels is None


def test_weights_of_neither_kind():
    theirs, config = autoencoder_peer()
    with raises(ModelError, "mismatch", subject="state dict"):
        from_huggingface(config, theirs.decoder.state_dict())


def test_small_models_have_six_heads():
    changes = {"hidden_size": 384, "num_attention_heads": 16, "intermediate_size": 1536, "num_hidden_layers": 1}
    theirs, config = classifier_peer(**changes)
    with pytest.warns(UserWarning, match="16 heads for ViT-S"):
        model = from_huggingface(config, theirs.state_dict())
    assert model.encoder.spec.encoder.heads == 6
    assert from_huggingface(config, theirs.state_dict(), overrides=Overrides(heads=16)).encoder.spec.encoder.heads == 16


def test_models_that_hugging_face_cannot_represent():
    spec = ModelSpec(Size(Stack(16, 1, 2), Stack(8, 1, 2)), patch=8, frames=2, resolution=16, position="sincos-3d")
    with raises(ModelError, "unsupported", message="checkpoint-hf-position"):
        to_huggingface(MaskedAutoencoder(spec))
