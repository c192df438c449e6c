"""Properties of every target of the catalog: shape, gradients, training, documentation."""

from pathlib import Path

import pytest
import torch

from mgm.models import TARGETS, list_targets
from tests.models.clips import random_video
from tests.models.combinations import build, draw, loss_of, random_motion, spec_of

SPEC = spec_of("vit", "joint", "self")


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_finite_values_and_no_gradient(name):
    model = build(SPEC, name)
    video = torch.randn(2, *SPEC.video_shape, requires_grad=True)
    motion = random_motion(model)
    if motion is not None:
        motion.requires_grad_()
    result = model(video, draw("tube", SPEC)[1], motion=motion, predict=True)
    assert result.target.shape == (2, 24, model.target.width)
    assert result.prediction.shape == (2, 24, model.target.dim)
    assert result.target.dtype == torch.float32
    known = result.target.isfinite()
    assert known.all() or name == "trajectory"  # which does not know the steps beyond a clip
    assert known.any()
    assert not result.target.requires_grad
    assert result.prediction.requires_grad


@pytest.mark.parametrize("name", TARGETS)
def test_a_model_learns_a_target(name):
    model, video, (_, mask), (_, decode) = (
        build(SPEC, name),
        random_video(SPEC),
        draw("tube", SPEC),
        draw("running-cell", SPEC),
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        loss = loss_of(model, video, mask, decode)
        loss.backward()
        assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_named_and_documented(name):
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    assert TARGETS[name].name == name
    assert name in list_targets()
    assert f"| `{name}` |" in page
