"""Every backbone with every decoder, target and mask. The full product is slow."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models import TARGETS, ModelSpec
from mgm.models.decoder import DECODERS
from tests.errors import raises
from tests.models.clips import random_video
from tests.models.combinations import BACKBONES, FIXED_MASKS, build, draw, loss_of, spec_of


def train(spec, target, names, *, video, decode):
    """Two steps with each mask: every parameter gets a finite gradient, and the loss falls."""
    for name in names:
        model = build(spec, target)
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
        equal_steps, mask = draw(name, spec)
        # Whole cubes can hide equally many tokens in every step all the same.
        if spec.divided and not equal_steps and len(mask.sum((2, 3)).unique()) > 1:
            with raises(ModelError, "invalid_value", subject="mask"):
                loss_of(model, video, mask)
            continue
        losses = []
        for _ in range(2):
            loss = loss_of(model, video, mask, ~decode if name == "tube" else None)
            loss.backward()
            assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
        assert losses[1] < losses[0], name


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_every_backbone_trains_with_every_mask(backbone, attention, decoder):
    spec = spec_of(backbone, attention, decoder)
    train(spec, "normalised-pixels", FIXED_MASKS, video=random_video(spec), decode=draw("running-cell", spec)[1])


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_every_combination_trains(backbone, attention, decoder, target):
    spec = spec_of(backbone, attention, decoder)
    train(spec, target, FIXED_MASKS, video=random_video(spec), decode=draw("running-cell", spec)[1])


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_gradients_flow_to_visible_pixels_only(backbone, attention, decoder):
    """The prediction of a hidden token depends on every visible pixel and on no hidden one."""
    spec = spec_of(backbone, attention, decoder)
    model = build(spec)
    video = torch.randn(2, *spec.video_shape, requires_grad=True)
    _, mask = draw("tube", spec)
    model(video, mask, predict=True).prediction.sum().backward()
    cover = mask.repeat_interleave(2, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)[:, None].expand_as(video)
    assert video.grad[cover].count_nonzero() == 0
    assert video.grad[~cover].count_nonzero() == (~cover).sum()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_checkpointed_activations_give_the_same_gradients(backbone, attention, decoder):
    spec = spec_of(backbone, attention, decoder)
    video, (_, mask), (_, decode) = random_video(spec), draw("mgm", spec), draw("running-cell", spec)

    def gradients(checkpointing):
        model = build(spec, checkpointing=checkpointing)
        model.encoder.set_drop_path(0.5)
        torch.manual_seed(1)
        result = model(video, mask, decode)
        result.loss.backward()
        return result.loss, [p.grad for p in model.parameters()]

    (loss, plain), (again, kept) = gradients(False), gradients(True)
    assert torch.equal(loss, again)
    assert all(map(torch.equal, plain, kept))


@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_bfloat16_stays_near_float32(backbone, attention):
    """Within 2 % of the loss, and of the gradient as a whole within 5 %."""
    spec = ModelSpec("tiny", patch=8, frames=4, resolution=32, backbone=backbone, attention=attention)
    video, (_, mask) = random_video(spec), draw("mgm", spec)

    def run(enabled):
        model = build(spec)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = model(video, mask).loss
        loss.backward()
        return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()])

    (exact, gradient), (near, other) = run(False), run(True)
    assert near == pytest.approx(exact, rel=0.02)
    assert (gradient - other).norm() < 0.05 * gradient.norm()


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("backbone", "attention"), [("vit", "joint"), ("timesformer", "divided")])
def test_compiled_and_eager_agree(backbone, attention, decoder):
    spec = spec_of(backbone, attention, decoder)
    video, (_, mask) = random_video(spec), draw("mgm", spec)

    def run(prepare):
        torch.compiler.reset()
        model = build(spec, "hog")
        loss = prepare(model)(video, mask).loss
        loss.backward()
        return loss, [p.grad for p in model.parameters()]

    (loss, plain), (other, compiled) = run(lambda model: model), run(torch.compile)
    torch.testing.assert_close(other, loss, rtol=1e-5, atol=0)
    for gradient, expected in zip(compiled, plain, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)
