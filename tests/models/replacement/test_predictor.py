"""Masked prediction with replaced tokens: what the network sees, where the loss counts, the sizes of the papers."""

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import ModelSpec
from mgm.models.attention import Residual
from mgm.models.replacement import TRUNKS, MaskedPredictor
from mgm.models.replacement.swin import SwinTrunk
from tests.errors import raises
from tests.models.clips import random_video

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)
EVERY = pytest.mark.parametrize("trunk", TRUNKS)


def predictor(trunk, target="pixels"):
    torch.manual_seed(0)
    return MaskedPredictor(SPEC, trunk=trunk, target=target).eval()


def unequal_masks():
    mask = torch.zeros(2, *SPEC.grid, dtype=torch.bool)
    mask[0, 0, :2, :2] = mask[1, :, 1:, 1:] = True  # 4 and 18 of 32 tokens
    return mask


@EVERY
def test_hidden_pixels_reach_no_prediction(trunk):
    """The features depend on visible pixels of the clip, and on no hidden one."""
    model, mask = predictor(trunk), unequal_masks()
    video = torch.randn(2, *SPEC.video_shape, requires_grad=True)
    features = model.trunk(video, mask)[mask.flatten(1)]
    (features * torch.randn(features.shape[-1])).sum().backward()  # the plain sum of a layer norm's outputs is constant
    visible = ~mask.repeat_interleave(2, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)
    # how far a patch reaches beyond its token, into hidden ones too
    t, h, w = (1, 3, 3) if trunk == "mvit" else (0, 0, 0)
    near = F.max_pool3d(visible.float()[:, None], (2 * t + 1, 2 * h + 1, 2 * w + 1), 1, (t, h, w))[:, 0] > 0
    seen = video.grad.abs().sum(1)
    assert (~near).any()
    assert (seen[~near] == 0).all()
    assert (seen[visible] > 0).all()


@EVERY
def test_clips_may_hide_different_numbers_of_tokens(trunk):
    """The loss is the mean over all hidden tokens: each clip alone, weighted with its count."""
    model, mask, video = predictor(trunk), unequal_masks(), random_video(SPEC)
    found = model(video, mask, predict=True)
    assert found.valid.sum(1).tolist() == [4, 18]
    alone = [model(video[i : i + 1], mask[i : i + 1]).loss for i in range(2)]
    torch.testing.assert_close(found.loss, (4 * alone[0] + 18 * alone[1]) / 22)


@EVERY
def test_predictions_belong_to_their_tokens(trunk):
    """A mask token's features differ from place to place; those of `tokens` are chosen."""
    model, mask, video = predictor(trunk), unequal_masks(), random_video(SPEC)
    found = model(video, mask, predict=True)
    every = model.head(model.trunk(video, mask)).flatten(2)
    for clip in range(2):
        tokens = mask[clip].flatten().nonzero().squeeze(1)
        torch.testing.assert_close(found.prediction[clip][found.valid[clip]], every[clip, tokens])
        assert found.tokens[clip][found.valid[clip]].tolist() == tokens.tolist()


@EVERY
def test_every_parameter_learns(trunk):
    model = predictor(trunk).train()
    model(random_video(SPEC), unequal_masks()).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_decoder_mask_selects_tokens():
    model, mask, video = predictor("vit"), unequal_masks(), random_video(SPEC)
    decode = torch.zeros_like(mask)
    decode[:, 0] = True
    found = model(video, mask, decode, predict=True)
    assert found.valid.sum(1).tolist() == [4, 9]


def test_swin_replaces_the_finer_cells_under_hidden_tokens():
    """A token of 8 pixels covers 2 x 2 cells of 4 pixels."""
    trunk = SwinTrunk(SPEC)
    mask = unequal_masks()
    replaced = trunk.replace(torch.zeros(2, 2, 8, 8, 16), mask)
    expected = mask.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(replaced.any(-1), expected)


def test_bevt_has_the_published_size():
    """The authors' backbone with its decoder, less a second one for pictures: 101,282,248 in all."""
    with torch.device("meta"):
        model = MaskedPredictor(ModelSpec("B"), trunk="swin", target="pixels")
    for_pictures = 6_528 + 4_195_328 + 1_573_888  # patch embedding, transposed convolution, linear layer
    assert sum(p.numel() for p in model.trunk.parameters()) == 101_282_248 - for_pictures


def test_mvit_of_maskfeat_has_the_tokens_of_the_papers_target():
    """8 x 14 x 14 tokens of 768 values, and a linear layer to 108."""
    with torch.device("meta"):
        model = MaskedPredictor(ModelSpec("S"), trunk="mvit", target="hog-maskfeat")
        assert model.trunk(torch.empty(1, 3, 16, 224, 224), torch.zeros(1, 8, 14, 14).bool()).shape == (1, 1568, 1, 768)
    assert (model.head.in_features, model.head.out_features) == (768, 108)


def test_stochastic_depth_rises_to_the_last_block():
    for trunk in TRUNKS:
        model = MaskedPredictor(SPEC, trunk=trunk, drop_path=0.3)
        rates = [m.drop_path for m in model.modules() if isinstance(m, Residual)]
        assert (rates[0], rates[-1]) == (0, 0.3)
        assert rates == sorted(rates)


def test_what_does_not_fit_is_named():
    with raises(ModelError, "mismatch", subject="patch"):
        MaskedPredictor(ModelSpec("debug", patch=16, frames=4, resolution=32), trunk="swin")
    with raises(ModelError, "unknown_name", subject="size"):
        MaskedPredictor(ModelSpec("L"), trunk="swin")
    with raises(ModelError, "unknown_name", subject="replacement"):
        MaskedPredictor(SPEC, trunk="resnet")
    with raises(ModelError, "conflict", subject="target"):
        MaskedPredictor(SPEC, trunk="swin", target={"pixels": 1.0, "hog": 1.0})
    with raises(ModelError, "unsupported", subject="checkpointing"):
        MaskedPredictor(SPEC, trunk="mvit", checkpointing=True)
    nothing = torch.zeros(2, *SPEC.grid, dtype=torch.bool)
    with raises(ModelError, "invalid_value", subject="mask"):
        predictor("vit")(random_video(SPEC), nothing)
