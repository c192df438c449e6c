"""Models of transformers with random weights, and comparisons of converted models with them."""

import json

import pytest
import torch

from mgm.models import (
    Classifier,
    MaskedAutoencoder,
    from_huggingface,
    to_huggingface,
)
from mgm.models.convert import Overrides
from tests.models.clips import normalised, random_mask, random_video
from tests.models.convert.checkpoints import close

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
    """The state dict with the given names of biases, independent of the installed transformers."""
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
    """The `bias_names` of `to_huggingface` for the installed transformers: 5.5.1 to 5.17 have a bias of the keys."""
    theirs, _ = classifier_peer()
    return "query.bias" if any(key.endswith("attention.key.bias") for key in theirs.state_dict()) else "q_bias"


def widths(dim, heads, *, depth, decoder=(192, 3, 1)):
    """Settings of a published size, with fewer blocks to save time."""
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
    compare_losses(ours, theirs, result.loss, expected.loss)


def compare_losses(ours, theirs, loss, expected):
    """Compare two losses, and the gradient of every parameter."""
    close(loss, expected)
    loss.backward()
    expected.backward()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(parameter.grad)
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    _, converted = to_huggingface(ours)
    compare_gradients(gradients, converted)


def compare_gradients(theirs, ours):
    """Compare all gradients but that of the keys' bias of some releases, which adds the same to every score and is 0."""
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
    compare_losses(ours, theirs, loss, expected.loss)
