"""Several decoders, heads of several layers, and the regressor before them."""

from dataclasses import replace

import pytest
import torch

from mgm.errors import ModelError
from mgm.models import MaskedAutoencoder, ModelSpec, Stack
from tests.errors import raises
from tests.models.clips import SMALL, random_mask, random_video

TARGETS = {"normalised-pixels": 1.0, "frame-difference": 0.5}
STACKS = (("frame-difference", Stack(24, 2, 3)), ("normalised-pixels", Stack(16, 1, 2)))
SEVERAL = replace(SMALL, decoders=STACKS)


def build(spec, target=TARGETS, **options):
    torch.manual_seed(0)
    return MaskedAutoencoder(spec, target=target, **options).eval()


def test_each_target_has_a_decoder_of_its_own():
    model = build(SEVERAL)
    state = model.state_dict()
    assert state["decoders.frame-difference.projection.weight"].shape == (24, 32)
    assert state["decoders.normalised-pixels.mask_token"].shape == (1, 1, 16)
    assert not [key for key in state if key.startswith(("decoder.", "encoder_to_decoder", "mask_token"))]
    video, mask = random_video(), random_mask()
    whole = model(video, mask, predict=True)
    assert list(whole.parts) == list(TARGETS)  # the order of the targets, not of the decoders
    assert whole.loss.item() == pytest.approx(sum(TARGETS[name] * part.item() for name, part in whole.parts.items()))
    # The same weights in two models of one target each predict the same.
    for name, stack in STACKS:
        alone = build(replace(SMALL, decoders=((name, stack),)), name)
        alone.load_state_dict({k: v for k, v in state.items() if k.startswith((f"decoders.{name}.", "encoder."))})
        expected = alone(video, mask, predict=True).prediction
        torch.testing.assert_close(model.objective.split(whole.prediction)[name], expected)
    assert model.reconstruct(video, mask).shape == video.shape


def test_a_decoder_of_its_own_is_the_shared_one():
    """By other names, for a single target."""
    shared = build(SMALL, "pixels")
    own = build(replace(SMALL, decoders=(("pixels", SMALL.decoder),)), "pixels")
    names = {"encoder_to_decoder.": "decoders.pixels.projection.", "decoder.": "decoders.pixels.decoder."}
    state = {}
    for key, value in shared.state_dict().items():
        start = next((s for s in names if key.startswith(s)), None)
        name = "decoders.pixels.mask_token" if key == "mask_token" else key
        state[name if start is None else names[start] + key.removeprefix(start)] = value
    own.load_state_dict(state)
    assert torch.equal(own(random_video(), random_mask()).loss, shared(random_video(), random_mask()).loss)


def test_the_regressor_is_written_out():
    model = build(replace(SMALL, regressor_depth=2), "pixels")
    assert "mask_token" not in model.state_dict()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    video, mask = random_video(), random_mask()
    hidden = mask.flatten(1)
    index = hidden.to(torch.uint8).argsort(dim=1, stable=True)
    visible, tokens = index[:, :6], index[:, 6:]
    memory = model.encoder(video, mask) + model.regressor.position[visible]
    x = model.regressor.mask_token + model.regressor.position[tokens]
    for block in model.regressor.blocks:
        x = block(x, memory)
    x = model.encoder_to_decoder(model.regressor.norm(x)) + model.position[tokens]
    for block in model.decoder.blocks:  # hidden tokens alone
        x = block(x)
    expected = model.decoder.head(model.decoder.norm(x))
    torch.testing.assert_close(model(video, mask, predict=True).prediction, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"regressor_depth": 1}, {"prediction_head": "mlp"}])
def test_every_weight_learns_and_padding_changes_nothing(options):
    spec = replace(SEVERAL, **options)
    model, video, mask = build(spec, checkpointing=True).train(), random_video(), random_mask()
    model(video, mask).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    model.eval()
    rank = torch.rand(2, *SMALL.grid, generator=torch.Generator().manual_seed(1))
    decode = rank < torch.tensor([0.3, 0.7])[:, None, None, None]
    both = model(video, mask, decode, predict=True)
    assert both.valid is not None
    alone = model(video[:1], mask[:1], decode[:1], predict=True)
    torch.testing.assert_close(both.prediction[0][both.valid[0]], alone.prediction[0], rtol=1e-4, atol=1e-5)


def test_heads_of_two_layers():
    model = build(
        replace(SMALL, prediction_head="mlp", decoder_dim=48, decoder_heads=2), {"hog-m3video": 1, "pixels": 1}
    )
    assert model.decoder.blocks[0].attn.heads == 2
    sizes = {key: tuple(value.shape) for key, value in model.state_dict().items() if key.startswith("decoder.head")}
    assert sizes["decoder.head.0.0.weight"] == (512, 48)
    assert sizes["decoder.head.1.2.weight"] == (384, 512)


def test_a_specification_survives_json():
    spec = replace(SEVERAL, regressor_depth=2, prediction_head="mlp", decoder_heads=4)
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert ModelSpec.from_dict({"size": "debug"}).decoders is None
    with raises(ModelError, "malformed"):
        ModelSpec.from_dict({"decoders": {"hog": {"width": 3}}})


def test_decoders_that_do_not_fit():
    with raises(ModelError, "mismatch", subject="decoders"):
        MaskedAutoencoder(SEVERAL, target="pixels")
    with raises(ModelError, "invalid_value", subject="decoders"):
        replace(SMALL, decoders=())
    with raises(ModelError, "conflict", subject="regressor_depth"):
        replace(SMALL, regressor_depth=1, decoder_attention="cross")
    with raises(ModelError, "invalid_value", subject="Stack"):
        replace(SMALL, decoder_heads=5)
