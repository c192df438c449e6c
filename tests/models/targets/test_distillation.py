"""MVD's targets: two teachers as they are, and the smooth L1."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import Encoder, ImageTeacher, MaskedAutoencoder, ModelSpec, VideoTeacher
from mgm.training import load_encoder
from tests.errors import raises
from tests.models.clips import random_mask, random_video
from tests.models.networks.test_image_start import DIM, PATCH, SIZE, huggingface, image_features, vit

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)
PICTURES = replace(SPEC, frames=1, tubelet=1)
TOKENS = torch.tensor([[0, 5, 17, 31], [3, 4, 16, 20]])


@pytest.fixture
def teachers():
    torch.manual_seed(0)
    return Encoder(SPEC).eval(), Encoder(PICTURES).eval()


def test_the_values_are_the_teachers_features(teachers):
    video = random_video(SPEC)
    of_videos, of_pictures = VideoTeacher(SPEC, teachers[0]), ImageTeacher(SPEC, teachers[1])
    whole = teachers[0](video)
    assert torch.equal(of_videos(video, TOKENS), whole.take_along_dim(TOKENS[:, :, None], 1))
    # Token 17 is the second place of the second step, whose first frame is the third of the clip.
    found = of_pictures(video, TOKENS)[0, 2]
    torch.testing.assert_close(found, teachers[1](video[:1, :, 2:3], block=-1)[0, 1])
    assert not any(parameter.requires_grad for parameter in teachers[1].parameters())


def test_the_error_is_the_smooth_l1(teachers):
    target = VideoTeacher(SPEC, teachers[0])
    guess, values = 2 * torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    far = (guess - values).abs()
    each = torch.where(far < 1, far**2 / 2, far - 0.5)
    torch.testing.assert_close(target.loss(guess, values, None), each.mean())
    valid = torch.tensor([[True, True, False], [True, False, False]])
    torch.testing.assert_close(target.loss(guess, values, valid), each[valid].mean())


def test_both_are_learned_together(teachers):
    model = MaskedAutoencoder(
        SPEC, target={"video-teacher": 1, "image-teacher": 1}, teacher=teachers[0], image_teacher=teachers[1]
    )
    result = model(random_video(SPEC), random_mask(SPEC, hidden=24, batch=2))
    assert set(result.parts) == {"video-teacher", "image-teacher"}
    result.loss.backward()
    assert all(parameter.grad is None for teacher in teachers for parameter in teacher.parameters())


def test_a_teacher_of_pictures_has_one_frame(teachers):
    with raises(ModelError, "mismatch", subject="image teacher", message="image-teacher-of-clips"):
        ImageTeacher(SPEC, teachers[0])


@pytest.mark.parametrize("names", [dict, huggingface])
def test_a_file_of_a_vit_of_pictures_is_an_encoder_of_one_frame(names, tmp_path):
    """MAE's file, which has no head but may have a decoder; against the equations of a ViT."""
    state = {key: value for key, value in vit().items() if not key.startswith("head.")}
    more = {"mask_token": torch.zeros(1, 1, 8), "decoder_embed.weight": torch.zeros(8, DIM)} if names is dict else {}
    torch.save({"model": names(state | more)}, tmp_path / "mae.pth")
    encoder = load_encoder(tmp_path / "mae.pth", heads=3)
    assert (encoder.spec.frames, encoder.spec.tubelet, encoder.spec.resolution) == (1, 1, SIZE)
    picture = torch.randn(2, 3, SIZE, SIZE)
    expected = image_features(state, picture, tokens=True)[:, 1:]
    torch.testing.assert_close(encoder(picture[:, :, None]), expected, rtol=1e-4, atol=1e-4)
    assert encoder.spec.patch == PATCH
    assert F.mse_loss(encoder(picture[:, :, None], block=-1), expected) > 0
