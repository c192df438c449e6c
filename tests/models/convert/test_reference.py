"""Checkpoints of VideoMAE, V2 and mmaction2, compared with the published equations."""

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.convert import to_reference
from mgm.models.position import sincos_1d
from tests.errors import raises
from tests.models.clips import normalised, random_mask, random_video
from tests.models.convert.checkpoints import PRETRAINED, TUNED, close, embedded, load, reference_blocks
from tests.models.reference import mmaction, pretrained_shapes, tuned_shapes


def test_a_pretrained_file_comes_back_bit_by_bit():
    model = load(PRETRAINED)
    assert isinstance(model, MaskedAutoencoder)
    assert model.spec == ModelSpec("debug", patch=8, frames=4, resolution=32)
    again = to_reference(model)
    assert set(again) == set(PRETRAINED)
    assert all(torch.equal(again[key], PRETRAINED[key]) for key in PRETRAINED)


def test_a_tuned_file_comes_back_bit_by_bit():
    model = load(TUNED)
    assert isinstance(model, Classifier)
    again = to_reference(model)
    assert set(again) == set(TUNED)
    assert all(torch.equal(again[key], TUNED[key]) for key in TUNED)


@pytest.mark.parametrize(
    ("size", "widths", "whole", "tuned"),
    [
        ("S", (384, 12, 192, 4), 24_029_376, 22_033_936),
        ("B", (768, 12, 384, 4), 94_210_944, 86_534_800),
        ("L", (1024, 24, 512, 12), 342_996_992, 304_270_736),
        ("H", (1280, 32, 640, 12), 692_487_296, 632_119_440),
    ],
)
def test_published_sizes_have_the_names_shapes_and_parameters_of_the_reference(size, widths, whole, tuned):
    dim, depth, width, layers = widths
    with torch.device("meta"):
        models = MaskedAutoencoder(ModelSpec(size)), Classifier(Encoder(ModelSpec(size)), 400)
    expected = (
        pretrained_shapes(dim=dim, depth=depth, width=width, layers=layers, patch=16),
        tuned_shapes(dim=dim, depth=depth, classes=400, patch=16),
    )
    for model, shapes, count in zip(models, expected, (whole, tuned), strict=True):
        written = {name: tuple(value.shape) for name, value in to_reference(model).items()}
        assert written == shapes
        assert sum(torch.Size(shape).numel() for shape in written.values()) == count


def test_half_precision_becomes_single():
    """DeepSpeed saves half precision."""
    model = load({key: value.half() for key, value in TUNED.items()})
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.head.weight, TUNED["head.weight"].half().float())


def test_an_encoder_alone_keeps_the_prefix_of_fine_tuning():
    encoder = load(PRETRAINED, encoder_only=True)
    assert isinstance(encoder, Encoder)
    assert set(to_reference(encoder)) == {key for key in PRETRAINED if key.startswith("encoder.")}


def test_the_loss_is_that_of_the_published_equations():
    model = load(PRETRAINED)
    video, mask = random_video(model.spec), random_mask(model.spec, hidden=24)
    row = torch.arange(2)[:, None]
    flat = mask.flatten(1)
    seen, hidden = (torch.stack([m.nonzero().squeeze(1) for m in part]) for part in (~flat, flat))
    x = embedded(PRETRAINED, "encoder.", normalised(video)) + sincos_1d(32, 32)
    x = reference_blocks(PRETRAINED, x[row, seen], "encoder.", 2, 2)
    x = F.layer_norm(x, (32,), PRETRAINED["encoder.norm.weight"], PRETRAINED["encoder.norm.bias"], 1e-6)
    close(model.encoder(video, mask), x)
    places = sincos_1d(32, 16)
    x = x @ PRETRAINED["encoder_to_decoder.weight"].T + places[seen]
    x = torch.cat((x, PRETRAINED["mask_token"] + places[hidden]), 1)
    x = reference_blocks(PRETRAINED, x, "decoder.", 1, 2)[:, -24:]
    x = F.layer_norm(x, (16,), PRETRAINED["decoder.norm.weight"], PRETRAINED["decoder.norm.bias"], 1e-6)
    close(
        model(video, mask, predict=True).prediction,
        x @ PRETRAINED["decoder.head.weight"].T + PRETRAINED["decoder.head.bias"],
    )


@pytest.mark.parametrize("kind", ["plain", "mmaction", "backbone"])
def test_logits_are_those_of_the_published_equations(kind):
    state = dict(TUNED)
    if kind == "mmaction":
        state = mmaction(state) | {"backbone.pos_embed": sincos_1d(32, 32)[None]}
    elif kind == "backbone":
        state = {key if key.startswith("head") else f"backbone.{key}": value for key, value in state.items()}
    model = load(state)
    video = random_video(model.encoder.spec)
    x = embedded(TUNED, "", normalised(video)) + sincos_1d(32, 32)
    x = reference_blocks(TUNED, x, "", 2, 2).mean(1)
    x = F.layer_norm(x, (32,), TUNED["fc_norm.weight"], TUNED["fc_norm.bias"], 1e-6)
    close(model(video), x @ TUNED["head.weight"].T + TUNED["head.bias"])


def test_one_bias_for_queries_keys_and_values():
    state = dict(TUNED)
    for i in range(2):
        query, value = state.pop(f"blocks.{i}.attn.q_bias"), state.pop(f"blocks.{i}.attn.v_bias")
        state[f"blocks.{i}.attn.qkv.bias"] = torch.cat((query, torch.full((32,), 7.0), value))
    video = random_video(load(TUNED).encoder.spec)
    assert torch.equal(load(state)(video), load(TUNED)(video))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_stored_position_embedding_may_have_any_precision(dtype):
    """bfloat16 has 8 bits: it stores a sine up to 2e-3 away, 4e-3 where it is cut off and not rounded."""
    code = {"backbone.pos_embed": sincos_1d(32, 32)[None]}
    state = {key: value.to(dtype) for key, value in (mmaction(TUNED) | code).items()}
    assert torch.equal(load(state).head.weight, TUNED["head.weight"].to(dtype).float())
    cut = (sincos_1d(32, 32)[None].view(torch.int32) & -65536).view(torch.float32)
    load(TUNED | {"pos_embed": cut.to(torch.bfloat16)})
    for shape in ((), (32,), (2, 32, 32)):
        with raises(ModelError, "unsupported", subject="state dict"):
            load(TUNED | {"pos_embed": torch.zeros(shape)})
    with raises(ModelError, "unsupported", subject="state dict"):
        load(TUNED | {"pos_embed": (sincos_1d(32, 32) + 0.02 * torch.randn(32, 32)).to(dtype)})
