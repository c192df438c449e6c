"""Every target against its formula, computed another way."""

import numpy as np
import pytest
import torch

from mgm.errors import ModelError
from mgm.models import (
    TARGETS,
    Encoder,
    FrameDifference,
    Hog,
    MaskedAutoencoder,
    ModelSpec,
    MotionTarget,
    NormalisedPixels,
    OneFrame,
    Pixels,
    ReconstructionObjective,
    TeacherFeatures,
)
from mgm.models.patches import patchify, split_mask
from tests.errors import raises
from tests.models.clips import SMALL, normalised, random_mask, random_video

LARGER = ModelSpec("debug", patch=16, frames=4, resolution=(32, 48))


def masked_tokens():
    return split_mask(random_mask(), SMALL, batch=2)[1]


def test_normalised_pixels_follow_the_formula():
    video, masked = random_video(), masked_tokens()
    target = NormalisedPixels(SMALL)(video, masked)
    assert target.shape == (2, 18, NormalisedPixels(SMALL).dim) == (2, 18, 2 * 8 * 8 * 3)
    pixels = patchify(video, SMALL, masked).double() / 255
    for channel in range(3):
        x = pixels[..., channel]
        expected = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, unbiased=True).sqrt() + 1e-6)
        torch.testing.assert_close(target[..., channel::3], expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [NormalisedPixels, Pixels, OneFrame, FrameDifference, Hog])
def test_a_float_video_has_the_same_target(kind):
    video, masked = random_video(), masked_tokens()
    torch.testing.assert_close(kind(SMALL)(normalised(video), masked), kind(SMALL)(video, masked), rtol=1e-3, atol=1e-4)


def test_a_flat_patch_is_exactly_zero():
    video = torch.full((2, *SMALL.video_shape), 77, dtype=torch.uint8)
    assert NormalisedPixels(SMALL)(video, masked_tokens()).count_nonzero() == 0


def test_raw_pixels_are_pixels():
    video, masked = random_video(), masked_tokens()
    expected = patchify(video, SMALL, masked).flatten(2) / 255
    assert torch.equal(Pixels(SMALL)(video, masked), expected)


@pytest.mark.parametrize("kind", [NormalisedPixels, Pixels])
def test_the_picture_of_the_target_is_the_video(kind):
    video, masked, target = random_video(), masked_tokens(), kind(SMALL)
    picture = (target.pixels(target(video, masked), video, masked) * 255).round()
    assert torch.equal(picture, patchify(video, SMALL, masked).float())


def test_one_frame_of_each_tubelet_follows_the_formula():
    spec = ModelSpec("debug", patch=8, frames=16, resolution=16)
    video = random_video(spec, batch=1)
    tokens = torch.arange(spec.tokens)[None]
    chosen = torch.linspace(0, 15, 8).long()
    assert chosen.tolist() == [0, 2, 4, 6, 8, 10, 12, 15]
    frames = (video[0, :, chosen].double() / 255 - 0.45) / 0.225  # (3, 8, 16, 16), in the unit of MAE-ST
    patches = frames.reshape(3, 8, 2, 8, 2, 8).permute(1, 2, 4, 3, 5, 0).reshape(32, 192)
    expected = (patches - patches.mean(1, keepdim=True)) / (patches.var(1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(OneFrame(spec)(video, tokens)[0], expected.float(), rtol=1e-4, atol=1e-5)


def test_one_frame_in_a_dark_patch_keeps_the_epsilon():
    """The variance of a patch of two neighbouring grey levels is of the size of the epsilon."""
    spec = ModelSpec("debug", patch=8, frames=2, resolution=8)
    video = torch.zeros(1, *spec.video_shape, dtype=torch.uint8)
    video[..., 0, 0] = 1
    x = (video[0, :, 0].double() / 255 - 0.45) / 0.225
    expected = (x - x.mean()) / (x.var() + 1e-6).sqrt()
    target = OneFrame(spec)(video, torch.zeros(1, 1, dtype=torch.int64))
    torch.testing.assert_close(target[0, 0], expected.permute(1, 2, 0).flatten().float(), rtol=1e-4, atol=1e-5)


def test_the_picture_of_one_frame_is_that_frame_twice():
    video, tokens, target = random_video(), masked_tokens(), OneFrame(SMALL)
    picture = (target.pixels(target(video, tokens), video, tokens) * 255).round().view(2, 18, 2, 64, 3)
    frames = patchify(video, SMALL, tokens).float().view(2, 18, 2, 64, 3)
    late = tokens >= 12  # of the clip's last step the last frame is taken
    expected = torch.where(late[:, :, None, None], frames[:, :, 1], frames[:, :, 0])
    assert torch.equal(picture, expected[:, :, None].expand_as(picture))


def test_frame_difference_is_the_change_since_the_frame_before():
    video, tokens = random_video(), masked_tokens()
    signed = video.double() / 255
    change = torch.cat([torch.zeros_like(signed[:, :, :1]), signed[:, :, 1:] - signed[:, :, :-1]], dim=2)
    expected = patchify(change, SMALL, tokens).flatten(2)
    torch.testing.assert_close(FrameDifference(SMALL)(video, tokens), expected.float(), rtol=1e-5, atol=1e-6)


def hog_in_numpy(frame, *, patch, cell):
    """float64 (h, w, 3 * cells * 9) of one frame uint8 (H, W, 3), pixel by pixel."""
    height, width = frame.shape[:2]
    x = frame.astype(np.float64) / 255
    cells = np.zeros((height // cell, width // cell, 3, 9))
    for i in range(height):
        for j in range(width):
            for c in range(3):
                across = x[i, min(j + 1, width - 1), c] - x[i, max(j - 1, 0), c]
                down = x[min(i + 1, height - 1), j, c] - x[max(i - 1, 0), j, c]
                place = np.degrees(np.arctan2(down, across)) % 180 / 20
                low = int(np.floor(place))
                votes = cells[i // cell, j // cell, c]
                votes[low % 9] += np.hypot(across, down) * (1 - (place - low))
                votes[(low + 1) % 9] += np.hypot(across, down) * (place - low)
    side = patch // cell
    blocks = cells.reshape(height // patch, side, width // patch, side, 3, 9).transpose(0, 2, 4, 1, 3, 5)
    blocks = blocks.reshape(height // patch, width // patch, 3, -1)
    return (blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-12)).reshape(height // patch, width // patch, -1)


@pytest.mark.parametrize(
    ("spec", "cell"), [(LARGER, 8), (SMALL, 8), (ModelSpec("debug", patch=4, frames=2, resolution=8), 4)]
)
def test_hog_equals_another_implementation(spec, cell):
    video = random_video(spec, batch=1)
    video[:, 1] = 90  # a channel without gradients
    hog, tokens = Hog(spec), torch.arange(spec.tokens)[None].flip(1)
    frames = [hog_in_numpy(f, patch=spec.patch, cell=cell) for f in video[0].permute(1, 2, 3, 0).numpy()]
    expected = np.stack(frames).reshape(spec.grid[0], 2, spec.tokens // spec.grid[0], -1).transpose(0, 2, 1, 3)
    expected = torch.from_numpy(expected.reshape(1, spec.tokens, hog.dim)).float().flip(1)
    torch.testing.assert_close(hog(video, tokens), expected, rtol=1e-4, atol=1e-5)


def test_hog_of_an_edge_points_across_it():
    """A vertical edge has its gradient along x: orientation 0, and 108 values of a patch and frame."""
    video = torch.zeros(1, *LARGER.video_shape, dtype=torch.uint8)
    video[..., 20:] = 200
    target = Hog(LARGER)(video, torch.arange(LARGER.tokens)[None]).view(2, 2, 3, 2, 3, 4, 9)
    assert Hog(LARGER).dim == 216
    assert target[:, :, 1, ..., 0].amax(-1).min() > 0.7  # the column of patches with the edge
    assert target[..., 1:].count_nonzero() == 0
    assert target[:, :, [0, 2]].count_nonzero() == 0


def test_motion_is_given_per_frame_in_patches():
    motion = torch.randn(2, 4, 4, 3, 2, generator=torch.Generator().manual_seed(0)) * 10
    tokens = masked_tokens()
    values = MotionTarget(SMALL)(motion, tokens).view(2, 18, 2, 2)
    for i, n in [(0, 0), (1, 7), (0, 17)]:
        step, place = divmod(tokens[i, n].item(), 12)
        for frame in range(2):
            expected = motion[i, 2 * step + frame, place // 3, place % 3] / 8
            assert torch.equal(values[i, n, frame], expected)
    with raises(ModelError, "missing_value", subject="motion", message="model-motion-missing"):
        MaskedAutoencoder(SMALL, target="motion")(random_video(), random_mask())
    with raises(ModelError, "invalid_shape", subject="motion"):
        MaskedAutoencoder(SMALL, target="motion")(random_video(), random_mask(), motion=torch.zeros(2, 4, 8, 6, 2))


def test_a_teacher_gives_normalised_features_of_the_whole_clip_and_stays_as_it_is():
    teacher = Encoder(ModelSpec("tiny", patch=8, frames=4, resolution=(32, 24)))
    model = MaskedAutoencoder(SMALL, target="teacher", teacher=teacher)
    video, mask = random_video(), random_mask()
    result = model(video, mask, predict=True)
    features = teacher(video).take_along_dim(result.tokens[..., None], dim=1)
    expected = (features - features.mean(2, keepdim=True)) / (
        features.var(2, unbiased=False, keepdim=True) + 1e-6
    ).sqrt()
    torch.testing.assert_close(result.target, expected, rtol=1e-4, atol=1e-5)
    result.loss.backward()
    assert not [p for p in teacher.parameters() if p.requires_grad or p.grad is not None]
    assert not teacher.training
    assert not [name for name in model.state_dict() if "teacher" in name or "target" in name or "objective" in name]


def test_a_model_is_loaded_without_its_teacher_but_not_trained():
    spec = ModelSpec("tiny", patch=8, frames=4, resolution=(32, 24))
    trained = MaskedAutoencoder(SMALL, target="teacher", teacher=Encoder(spec))
    loaded = MaskedAutoencoder(SMALL, target="teacher", teacher=spec)
    loaded.load_state_dict(trained.state_dict())
    with raises(ModelError, "missing_value", subject="teacher"):
        loaded(random_video(), random_mask())


def test_teachers_that_do_not_fit():
    with raises(ModelError, "missing_value", subject="target teacher"):
        MaskedAutoencoder(SMALL, target="teacher")
    with raises(ModelError, "mismatch", subject="teacher", message="model-teacher-other-grid"):
        TeacherFeatures(SMALL, Encoder(LARGER))
    with raises(ModelError, "conflict", subject="teacher"):
        MaskedAutoencoder(SMALL, teacher=Encoder(SMALL))


def test_several_targets_are_weighed():
    model = MaskedAutoencoder(SMALL, target={"normalised-pixels": 1, "hog": 0.5, "motion": 2})
    result = model(random_video(), random_mask(), motion=torch.ones(2, 4, 4, 3, 2), predict=True)
    assert result.prediction.shape == (2, 18, 384 + 54 + 4) == result.target.shape
    parts = {name: value.item() for name, value in result.parts.items()}
    assert list(parts) == ["normalised-pixels", "hog", "motion"]
    expected = parts["normalised-pixels"] + 0.5 * parts["hog"] + 2 * parts["motion"]
    assert result.loss.item() == pytest.approx(expected)
    predicted, actual = model.objective.split(result.prediction), model.objective.split(result.target)
    for name, value in parts.items():
        assert (predicted[name] - actual[name]).square().mean().item() == pytest.approx(value)
    assert isinstance(model.target, ReconstructionObjective)


def test_objectives_that_do_not_fit():
    with raises(ModelError, "invalid_value", subject="target hog"):
        MaskedAutoencoder(SMALL, target={"pixels": 1, "hog": 0})
    with raises(ModelError, "invalid_value", subject="target"):
        MaskedAutoencoder(SMALL, target={})


@pytest.mark.parametrize("name", TARGETS)
def test_only_pixel_targets_are_shown(name):
    model = MaskedAutoencoder(SMALL, target=name, teacher=Encoder(SMALL) if name == "teacher" else None)
    assert model.objective.has_picture == (name in ("normalised-pixels", "pixels", "one-frame"))
    if model.objective.has_picture:
        assert model.reconstruct(random_video(), random_mask()).dtype == torch.uint8
    else:
        with raises(ModelError, "unsupported", subject=f"target {name}"):
            model.reconstruct(random_video(), random_mask())


def test_of_several_targets_the_picture_is_shown():
    model = MaskedAutoencoder(SMALL, target={"hog": 1, "pixels": 1})
    assert model.reconstruct(random_video(), random_mask()).shape == (2, 3, 4, 32, 24)
