"""Codes of a frozen tokenizer as a target."""

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import MaskedAutoencoder, ModelSpec
from tests.errors import raises
from tests.models.clips import random_mask, random_video
from tests.models.tokenizers.files import vqgan

SPEC = ModelSpec("debug", patch=16, frames=4, resolution=(64, 48))
MASK = {"spec": SPEC, "hidden": 18}


def test_every_frame_and_patch_has_the_code_of_its_place():
    tokenizer = vqgan()
    model = MaskedAutoencoder(SPEC, target="vqgan-codes", tokenizer=tokenizer)
    video = random_video(SPEC)
    result = model(video, random_mask(**MASK), predict=True)
    assert result.prediction.shape == (2, 18, 2 * 32)
    assert result.target.shape == (2, 18, 2)
    for clip, place in ((0, 0), (1, 17), (1, 5)):
        step, cell = divmod(int(result.tokens[clip, place]), 12)
        for frame in range(2):
            codes = tokenizer.encode(video[clip, :, 2 * step + frame][None].float() / 255)
            assert result.target[clip, place, frame] == codes.flatten()[cell]
    scores = result.prediction.view(2, 18, 2, 32)
    expected = -scores.log_softmax(3).gather(3, result.target.long()[..., None]).mean()
    torch.testing.assert_close(result.loss, expected)
    result.loss.backward()
    assert not [p for p in tokenizer.parameters() if p.requires_grad or p.grad is not None]
    assert not [name for name in model.state_dict() if "tokenizer" in name or "quant" in name]


def test_another_patch_has_one_code_of_a_resized_picture():
    spec = ModelSpec("debug", patch=8, frames=4, resolution=(32, 24))
    tokenizer, video = vqgan(), random_video(spec)
    values = MaskedAutoencoder(spec, target="vqgan-codes", tokenizer=tokenizer).objective.target_values(
        video, torch.arange(24)[None].repeat(2, 1), None
    )
    picture = F.interpolate(video[:1, :, 0].float() / 255, scale_factor=2, mode="bicubic").clamp(0, 1)
    same = (values[0, :12, 0] == tokenizer.encode(picture).flatten()).float().mean()
    assert values.shape == (2, 24, 2)
    assert same > 0.5  # another filter


def test_padding_is_left_out():
    target = MaskedAutoencoder(SPEC, target="vqgan-codes", tokenizer=32).target
    generator = torch.Generator().manual_seed(0)
    scores, codes = torch.randn(2, 3, 64, generator=generator), torch.randint(0, 32, (2, 3, 2)).float()
    valid = torch.tensor([[True, True, False], [True, False, False]])
    expected = torch.stack(
        [target.loss(scores[:1, :2], codes[:1, :2], None)] * 2 + [target.loss(scores[1:, :1], codes[1:, :1], None)]
    )
    torch.testing.assert_close(target.loss(scores, codes, valid), expected.mean())


def test_tokenizers_that_do_not_fit():
    model = MaskedAutoencoder(SPEC, target={"vqgan-codes": 1, "pixels": 1}, tokenizer=32)
    with raises(ModelError, "missing_value", subject="target vqgan-codes"):
        model(random_video(SPEC), random_mask(**MASK))
    with raises(ModelError, "missing_value", subject="target vqgan-codes"):
        MaskedAutoencoder(SPEC, target="vqgan-codes")
    with raises(ModelError, "conflict", subject="tokenizer"):
        MaskedAutoencoder(SPEC, tokenizer=32)
    with raises(ModelError, "invalid_value", subject="codes"):
        MaskedAutoencoder(SPEC, target="vqgan-codes", tokenizer=0)
    with pytest.raises(ModelError):
        MaskedAutoencoder(SPEC, target={"vqgan-codes": 1}, visible_target="vqgan-codes", tokenizer=32)
