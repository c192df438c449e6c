"""Several targets in one objective."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models import (
    TARGETS,
    MaskedAutoencoder,
    ReconstructionObjective,
)
from tests.errors import raises
from tests.models.clips import SMALL, random_mask, random_video
from tests.models.combinations import networks


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
    model = MaskedAutoencoder(SMALL, target=name, **networks(SMALL, name))
    if model.objective.has_picture:
        assert model.reconstruct(random_video(), random_mask()).dtype == torch.uint8
    else:
        with raises(ModelError, "unsupported", subject=f"target {name}"):
            model.reconstruct(random_video(), random_mask())


def test_of_several_targets_the_picture_is_shown():
    model = MaskedAutoencoder(SMALL, target={"hog": 1, "pixels": 1})
    assert model.reconstruct(random_video(), random_mask()).shape == (2, 3, 4, 32, 24)
