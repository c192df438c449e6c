from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from mgm.errors import ModelError
from mgm.masks import make_mask
from mgm.models import AsinhMotion, MaskedAutoencoder, ModelSpec, NormalisedPixels, list_targets
from tests.errors import raises
from tests.models.clips import SMALL, random_mask, random_video

# encoder, decoder, encoder_to_decoder, everything with the mask token
PARAMETERS = {
    "S": (21_879_936, 2_075_520, 73_728, 24_029_376),
    "B": (86_227_200, 7_688_448, 294_912, 94_210_944),
    "L": (303_860_736, 38_611_456, 524_288, 342_996_992),
    "H": (631_607_040, 60_060_416, 819_200, 692_487_296),
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MaskedAutoencoder(SMALL)


@pytest.mark.parametrize("size", PARAMETERS)
def test_parameters_are_those_of_the_reference(size):
    with torch.device("meta"):
        model = MaskedAutoencoder(ModelSpec(size))
    parts = (model.encoder, model.decoder, model.encoder_to_decoder, model)
    assert tuple(sum(p.numel() for p in part.parameters()) for part in parts) == PARAMETERS[size]


@pytest.mark.parametrize("position", ["sincos-1d", "sincos-3d"])
@pytest.mark.parametrize("size", ["debug", "tiny"])
def test_every_parameter_learns(size, position):
    spec = ModelSpec(size, patch=8, frames=4, resolution=16, position=position)
    model = MaskedAutoencoder(spec)
    result = model(random_video(spec), random_mask(spec, hidden=6))
    loss = result.loss
    assert result.prediction is None
    assert result.target is None
    assert result.parts.keys() == {"normalised-pixels"}
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_loss_is_the_mean_squared_error_on_masked_tokens(model):
    result = model(random_video(), random_mask(), predict=True)
    assert result.prediction.shape == result.target.shape == (2, 18, 384)
    assert result.loss.item() == pytest.approx((result.prediction - result.target).square().mean().item())
    assert not result.target.requires_grad


def test_one_seed_one_loss():
    def loss():
        torch.manual_seed(3)
        return MaskedAutoencoder(SMALL)(random_video(), random_mask()).loss

    assert torch.equal(loss(), loss())


def test_clips_of_a_batch_do_not_mix(model):
    video, mask = random_video(), random_mask()
    both = model(video, mask, predict=True).prediction
    alone = model(video[1:], mask[1:], predict=True).prediction
    torch.testing.assert_close(both[1:], alone, rtol=1e-5, atol=1e-5)


def test_reconstruction_keeps_visible_patches_bit_by_bit(model):
    video, mask = random_video(), random_mask()
    picture = model.reconstruct(video, mask)
    assert picture.dtype == torch.uint8
    cover = mask.repeat_interleave(2, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)[:, None].expand_as(video)
    assert torch.equal(picture[~cover], video[~cover])
    assert not torch.equal(picture[cover], video[cover])


@dataclass(frozen=True)
class Perfect(NormalisedPixels):
    """A target whose picture ignores the prediction, like that of a perfect model."""

    def pixels(self, prediction, video, masked):
        return super().pixels(self(video, masked), video, masked)


def test_a_perfect_prediction_reconstructs_the_video():
    video = random_video()
    assert torch.equal(MaskedAutoencoder(SMALL, target=Perfect(SMALL)).reconstruct(video, random_mask()), video)


def test_raw_pixels_as_target():
    model = MaskedAutoencoder(SMALL, target="pixels")
    result = model(random_video(), random_mask(), predict=True)
    assert 0 <= result.target.min() <= result.target.max() <= 1


def test_mask_token_is_truncated_at_one_deviation():
    with torch.random.fork_rng():
        token = MaskedAutoencoder(ModelSpec("S", decoder_depth=1)).mask_token
    assert 0 < token.abs().max() <= 0.02


def test_bfloat16_autocast_gives_a_float32_loss(model):
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(random_video(), random_mask()).loss
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(model(random_video(), random_mask()).loss.item(), rel=0.02)


def test_targets_and_masks_that_do_not_fit(model):
    with raises(ModelError, "unknown_name", subject="target") as caught:
        MaskedAutoencoder(SMALL, target="hogs")
    assert all(name in caught.value.expected for name in list_targets())
    with raises(ModelError, "invalid_value", subject="mask", message="model-mask-nothing-hidden"):
        model(random_video(), torch.zeros(2, 24, dtype=torch.bool))
    with raises(ModelError, "invalid_value", subject="mask", message="model-mask-all-hidden"):
        model(random_video(), torch.ones(2, 24, dtype=torch.bool))
    with raises(ModelError, "invalid_shape", subject="mask"):
        model(random_video(batch=1), random_mask())


def test_inputs_that_are_not_tensors(model):
    drawn = make_mask("random", grid=SMALL.grid, ratio=0.75, rng=np.random.default_rng(0))
    for ask in (model, model.encoder, lambda video, mask: model.split(mask)):
        with raises(ModelError, "invalid_type", subject="mask", message="model-mask-token-mask"):
            ask(random_video(batch=1), drawn)
    with raises(ModelError, "invalid_type", subject="mask"):
        model(random_video(batch=1), drawn.masked[None])
    with raises(ModelError, "invalid_type", subject="video", message="model-video-numpy"):
        model(random_video().numpy(), random_mask())
    assert model(random_video(batch=1), torch.from_numpy(drawn.masked)[None]).loss.isfinite()


def test_a_split_of_a_larger_grid(model):
    larger = MaskedAutoencoder(replace(SMALL, frames=8))
    with raises(ModelError, "mismatch", subject="mask"):
        model(random_video(), larger.split(torch.arange(48).remainder(2).bool().expand(2, -1)))


def test_motion_that_is_not_finite():
    motion = torch.zeros(2, SMALL.frames, *SMALL.grid[1:], 2)
    motion[1, 0, 0, 0, 0] = torch.inf
    with raises(ModelError, "invalid_value", subject="motion"):
        MaskedAutoencoder(SMALL, target="motion")(random_video(), random_mask(), motion=motion)


def test_a_visible_target_is_predicted_from_the_encoder_alone():
    torch.manual_seed(0)
    video, mask = random_video(), random_mask()
    motion = torch.randn(2, SMALL.frames, *SMALL.grid[1:], 2)
    model = MaskedAutoencoder(SMALL, visible_target={"asinh-motion": 3})
    assert model.reads_motion
    assert not model.objective.reads_motion
    result = model(video, mask, motion=motion, predict=True)
    assert list(result.parts) == ["normalised-pixels", "visible asinh-motion"]
    tokens = model.encoder(video, mask)
    seen = [clip.flatten().logical_not().nonzero().flatten() for clip in mask]
    values = AsinhMotion(SMALL)(motion, torch.stack(seen))
    expected = torch.nn.functional.mse_loss(model.visible_head(tokens), values)
    torch.testing.assert_close(result.parts["visible asinh-motion"], expected)
    torch.testing.assert_close(result.loss, result.parts["normalised-pixels"] + 3 * expected)
    assert result.prediction.shape[2] == model.objective.dim
    with raises(ModelError, "missing_value", subject="motion"):
        model(video, mask)


def test_without_a_visible_target_the_weights_are_the_same():
    torch.manual_seed(0)
    plain = MaskedAutoencoder(SMALL).state_dict()
    torch.manual_seed(0)
    other = MaskedAutoencoder(SMALL, visible_target="motion").state_dict()
    assert sorted(set(other) - set(plain)) == ["visible_head.bias", "visible_head.weight"]
    assert all(torch.equal(plain[key], other[key]) for key in plain)
