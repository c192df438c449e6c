"""The numeric peer: transformers' VideoMAE with random weights must compute what the converted model computes."""

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
from tests.models.clips import normalised, random_mask, random_video

transformers = pytest.importorskip("transformers")

SIZES = {
    "image_size": 32,
    "patch_size": 8,
    "num_frames": 4,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "decoder_hidden_size": 32,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 128,
}


def peer(kind, *, std=0.1, **changes):
    """A model of transformers whose parameters are all random, biases too, with its configuration as in config.json."""
    config = transformers.VideoMAEConfig(**{**SIZES, **changes})
    torch.manual_seed(0)
    model = kind(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model, json.loads(config.to_json_string())


def autoencoder_peer(**changes):
    return peer(transformers.VideoMAEForPreTraining, **{"use_mean_pooling": False, **changes})


def classifier_peer(**changes):
    return peer(transformers.VideoMAEForVideoClassification, num_labels=7, **changes)


def spelled(state, *, query_bias):
    """The state dict with the biases named one way or the other, whatever this transformers calls them."""
    out = {}
    for key, value in state.items():
        for part in ("q", "v"):
            long = {"q": "query.bias", "v": "value.bias"}[part]
            for name in (f"attention.attention.{part}_bias", f"attention.attention.{long}"):
                wanted = long if query_bias else f"{part}_bias"
                key = key.replace(name, f"attention.attention.{wanted}")
        out[key] = value
    return out


def installed_bias_names():
    """The spelling that `to_huggingface` must take for the installed transformers: 5.5.1 to 5.17 have a bias of the keys."""
    theirs, _ = classifier_peer()
    return "query.bias" if any(key.endswith("attention.key.bias") for key in theirs.state_dict()) else "q_bias"


def close(actual, expected):
    """Equal to 1e-5 of the largest value."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def widths(dim, heads, *, depth, decoder=(192, 3, 1)):
    """Of a published size, with fewer blocks where that is quicker."""
    width, decoder_heads, layers = decoder
    return {
        "hidden_size": dim,
        "num_attention_heads": heads,
        "intermediate_size": 4 * dim,
        "num_hidden_layers": depth,
        "decoder_hidden_size": width,
        "decoder_num_attention_heads": decoder_heads,
        "decoder_num_hidden_layers": layers,
        "decoder_intermediate_size": 4 * width,
    }


CLIP = {"image_size": 224, "patch_size": 16, "num_frames": 16}
SHAPES = {
    "tiny": {},
    "no norm": {"use_mean_pooling": True},
    "raw pixels": {"norm_pix_loss": False},
    "another mlp": {"intermediate_size": 100, "decoder_intermediate_size": 60},
    "S, 6 heads": widths(384, 6, depth=2),
    "S, 16 heads": widths(384, 16, depth=2),
    "B": widths(768, 12, depth=1, decoder=(384, 6, 1)),
}
FULL = {
    "S, 6 heads": widths(384, 6, depth=12, decoder=(192, 3, 4)) | CLIP,
    "S, 16 heads": widths(384, 16, depth=12, decoder=(192, 3, 4)) | CLIP,
    "B": widths(768, 12, depth=12, decoder=(384, 6, 4)) | CLIP,
}


def compare_pretraining(changes, *, hidden, batch=2, std=0.1):
    """Tokens, prediction, loss, and the gradient of every parameter."""
    theirs, config = autoencoder_peer(std=std, **changes)
    ours = from_huggingface(config, theirs.state_dict(), overrides=Overrides(heads=config["num_attention_heads"]))
    assert isinstance(ours, MaskedAutoencoder)
    video, mask = random_video(ours.spec, batch=batch), random_mask(ours.spec, batch=batch, hidden=hidden)
    pixels = normalised(video).transpose(1, 2)
    tokens = theirs.videomae(pixels, bool_masked_pos=mask.flatten(1)).last_hidden_state
    close(ours.encoder(video, mask), tokens)
    result = ours(video, mask, predict=True)
    expected = theirs(pixels, bool_masked_pos=mask.flatten(1))
    close(result.prediction, expected.logits)
    close(result.loss, expected.loss)
    result.loss.backward()
    expected.loss.backward()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(parameter.grad)
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    _, converted = to_huggingface(ours)
    compare_gradients(gradients, converted)


def compare_gradients(theirs, ours):
    """Of every parameter; a bias of the keys, which some releases have, adds the same to every score and learns nothing."""
    for name, gradient in spelled(theirs, query_bias=False).items():
        if name.endswith("attention.key.bias"):
            assert gradient.abs().max() < 1e-5 * max(g.abs().max() for g in theirs.values())
        else:
            close(ours[name], gradient)


def compare_classification(changes, *, batch=2, std=0.1):
    """Tokens, logits, loss, and the gradient of every parameter."""
    theirs, config = classifier_peer(std=std, **changes)
    ours = from_huggingface(config, theirs.state_dict(), overrides=Overrides(heads=config["num_attention_heads"]))
    assert isinstance(ours, Classifier)
    video, labels = random_video(ours.encoder.spec, batch=batch), torch.tensor([1, 6])[:batch]
    close(ours.encoder(video), theirs.videomae(normalised(video).transpose(1, 2)).last_hidden_state)
    logits = ours(video)
    expected = theirs(pixel_values=normalised(video).transpose(1, 2), labels=labels)
    close(logits, expected.logits)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    close(loss, expected.loss)
    loss.backward()
    expected.loss.backward()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(parameter.grad)
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    _, converted = to_huggingface(ours)
    compare_gradients(gradients, converted)


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
def test_transformers_takes_what_is_written(classes):
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
    with pytest.raises(ModelError, match=r"no checkpoint, .*config.json.*save_pretrained"):
        load_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be read"):
        load_huggingface(tmp_path)
    theirs, config = autoencoder_peer()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=rf"^{tmp_path}: state dict: 15 keys missing"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "vit"}, "model_type 'vit', expected 'videomae'"),
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"intermediate_size": 100}, r"shapes do not fit config.json.* expected \(100, 48\)"),
        ({"qv_bias": False}, "qkv_bias False"),
        ({"patch_size": [8, 4]}, "expected a square"),
        ({"num_hidden_layers": 1}, "unexpected"),
        ({"num_hidden_layers": 3}, "missing"),
        ({"hidden_size": 24, "intermediate_size": 96}, "hidden_size 24, expected 48"),
        ({"decoder_hidden_size": 64}, "decoder_hidden_size 64, expected 32"),
        ({"image_size": None}, "resolution: found None, expected one side in pixels"),
        ({"image_size": [32, 32, 32]}, r"resolution: found \(32, 32, 32\)"),
        ({"patch_size": []}, r"patch_size \[\], expected a square"),
        ({"num_frames": None}, "num_frames None, expected a whole number"),
        (
            {"num_hidden_layers": 10**9},
            r"num_hidden_layers 1000000000, expected a whole number of at least 1 and at most \d+",
        ),
        ({"intermediate_size": 10**9}, "shapes do not fit config.json"),
        ({"num_attention_heads": "3"}, "num_attention_heads '3'"),
        ({"layer_norm_eps": "tiny"}, "norm_eps: found 'tiny'"),
        ({"norm_pix_loss": None}, "norm_pix_loss None, expected true or false"),
    ],
)
def test_configurations_that_do_not_fit(change, words):
    theirs, config = autoencoder_peer()
    with pytest.raises(ModelError, match=words):
        from_huggingface({**config, **change}, theirs.state_dict())


@pytest.mark.parametrize("shape", [(), (7,), (48, 7), (0, 48)])
@pytest.mark.parametrize(
    "key", ["videomae.encoder.layer.1.attention.attention.key.weight", "classifier.weight", "fc_norm.weight"]
)
def test_weights_of_another_shape_are_named(key, shape):
    theirs, config = classifier_peer()
    with pytest.raises(ModelError, match=r"found .*shape|shapes do not fit config.json"):
        from_huggingface(config, theirs.state_dict() | {key: torch.zeros(shape)})


def test_the_encoder_is_taken_alone_whatever_stands_beside_it():
    theirs, config = autoencoder_peer()
    state = theirs.state_dict()
    broken = state | {"decoder.head.weight": torch.zeros(3, 3), "projector.weight": torch.zeros(2)}
    alone = from_huggingface(config, broken, encoder_only=True)
    assert isinstance(alone, Encoder)
    whole = from_huggingface(config, state).encoder
    video = random_video(alone.spec)
    assert torch.equal(alone(video), whole(video))


@pytest.mark.parametrize("stored", [None, ["a"], "names", {"0": "a"}])
def test_names_of_classes_that_are_none(stored):
    theirs, config = classifier_peer()
    assert from_huggingface({**config, "id2label": stored}, theirs.state_dict()).labels is None


def test_weights_of_neither_kind():
    theirs, config = autoencoder_peer()
    with pytest.raises(ModelError, match=r"found no videomae.embeddings.*VideoMAEForPreTraining or VideoMAEModel"):
        from_huggingface(config, theirs.decoder.state_dict())


def test_small_models_have_six_heads_whatever_the_configuration_says():
    changes = {"hidden_size": 384, "num_attention_heads": 16, "intermediate_size": 1536, "num_hidden_layers": 1}
    theirs, config = classifier_peer(**changes)
    with pytest.warns(UserWarning, match="16 heads for ViT-S"):
        model = from_huggingface(config, theirs.state_dict())
    assert model.encoder.spec.encoder.heads == 6
    assert from_huggingface(config, theirs.state_dict(), overrides=Overrides(heads=16)).encoder.spec.encoder.heads == 16


def test_what_hugging_face_cannot_be():
    spec = ModelSpec(Size(Stack(16, 1, 2), Stack(8, 1, 2)), patch=8, frames=2, resolution=16, position="sincos-3d")
    with pytest.raises(ModelError, match="cannot hold position 'sincos-3d'"):
        to_huggingface(MaskedAutoencoder(spec))
