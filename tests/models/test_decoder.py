import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import MaskedAutoencoder, ModelSpec
from tests.errors import raises
from tests.models.clips import SMALL, random_mask, random_video

CROSS = ModelSpec("debug", patch=8, frames=4, resolution=(32, 24), decoder_attention="cross")


def build(spec):
    torch.manual_seed(0)
    model = MaskedAutoencoder(spec)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return model


def unequal_decode():
    """bool (2, t, h, w), True = reconstruct: of the second clip more than of the first."""
    rank = torch.rand(2, *SMALL.grid, generator=torch.Generator().manual_seed(1))
    return rank < torch.tensor([0.3, 0.7])[:, None, None, None]


def test_cross_attention_is_written_out():
    model = build(CROSS)
    video, mask = random_video(), random_mask()
    hidden = mask.flatten(1)
    index = hidden.to(torch.uint8).argsort(dim=1, stable=True)
    seen = model.encoder_to_decoder(model.encoder(video, mask)) + model.position[index[:, :6]]
    x = model.mask_token + model.position[index[:, 6:]]
    for block in model.decoder.blocks:
        attention = block.attn
        query = attention.q(block.norm1(x)).view(2, 18, 2, 8).transpose(1, 2)
        key, value = F.linear(seen, attention.kv.weight).view(2, 6, 2, 2, 8).permute(2, 0, 3, 1, 4)
        value = value + attention.v_bias.view(2, 1, 8)
        mixed = (query @ key.transpose(2, 3) / 8**0.5).softmax(-1) @ value
        x = x + attention.proj(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    expected = model.decoder.head(model.decoder.norm(x))
    torch.testing.assert_close(model(video, mask, predict=True).prediction, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["self", "cross"])
def test_the_loss_covers_selected_hidden_tokens(kind):
    model = build(ModelSpec("debug", patch=8, frames=4, resolution=(32, 24), decoder_attention=kind))
    video, mask, decode = random_video(), random_mask(), unequal_decode()
    result = model(video, mask, decode, predict=True)
    asked = (mask & decode).flatten(1)
    for i in range(2):
        assert result.tokens[i][result.valid[i]].tolist() == asked[i].nonzero().flatten().tolist()
    error = (result.prediction - result.target).square().mean(2)
    assert result.loss.item() == pytest.approx(error[result.valid].mean().item())


@pytest.mark.parametrize("kind", ["self", "cross"])
def test_unequal_counts_do_not_mix_clips(kind):
    model = build(ModelSpec("debug", patch=8, frames=4, resolution=(32, 24), decoder_attention=kind))
    video, mask, decode = random_video(), random_mask(), unequal_decode()
    both = model(video, mask, decode, predict=True)
    assert len(set(both.valid.sum(1).tolist())) == 2
    for i in range(2):
        alone = model(video[i : i + 1], mask[i : i + 1], decode[i : i + 1], predict=True)
        assert alone.valid is None
        torch.testing.assert_close(both.prediction[i][both.valid[i]], alone.prediction[0], rtol=1e-5, atol=1e-5)


def test_with_cross_attention_a_prediction_does_not_depend_on_other_tokens():
    model = build(CROSS)
    video, mask, decode = random_video(), random_mask(), unequal_decode()
    everything = model(video, mask, predict=True)
    part = model(video, mask, decode, predict=True)
    for i in range(2):
        place = torch.searchsorted(everything.tokens[i], part.tokens[i][part.valid[i]])
        torch.testing.assert_close(
            part.prediction[i][part.valid[i]], everything.prediction[i][place], rtol=1e-5, atol=1e-5
        )


def test_selecting_all_tokens_selects_the_hidden_ones():
    model = build(SMALL)
    video, mask = random_video(), random_mask()
    assert torch.equal(model(video, mask, torch.ones_like(mask)).loss, model(video, mask).loss)


def test_decoder_masks_that_do_not_fit():
    model, video, mask = build(SMALL), random_video(), random_mask()
    with raises(ModelError, "invalid_shape", subject="decode"):
        model(video, mask, torch.ones(2, 3, dtype=torch.bool))
    with raises(ModelError, "invalid_type", subject="decode"):
        model(video, mask, torch.ones(2, 24))
    with raises(ModelError, "invalid_value", subject="decode", message="model-decode-no-token"):
        model(video, mask, ~mask)


def test_width_and_depth_of_the_decoder():
    spec = ModelSpec("S", decoder_dim=256, decoder_depth=2)
    assert (spec.decoder.dim, spec.decoder.depth, spec.decoder.heads) == (256, 2, 4)
    with raises(ModelError, "invalid_value", subject="decoder_dim"):
        ModelSpec("S", decoder_dim=200)
    with raises(ModelError, "unknown_name", subject="decoder_attention"):
        ModelSpec("S", decoder_attention="both")
