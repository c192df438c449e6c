"""Features of a frozen teacher as a target."""

import torch

from mgm.errors import ModelError
from mgm.models import (
    Encoder,
    MaskedAutoencoder,
    ModelSpec,
    TeacherFeatures,
)
from tests.errors import raises
from tests.models.clips import SMALL, random_mask, random_video

LARGER = ModelSpec("debug", patch=16, frames=4, resolution=(32, 48))


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
