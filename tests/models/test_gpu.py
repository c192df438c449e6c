"""On a CUDA device: a step never waits for the GPU, and agrees with the CPU."""

import pytest
import torch

from mgm.models import TARGETS, MaskedAutoencoder, ModelSpec
from mgm.models.decoder import DECODERS
from mgm.models.spec import ATTENTIONS
from tests.models.clips import random_video
from tests.models.combinations import networks, random_motion

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def build(target, **options):
    spec = ModelSpec("debug", patch=8, frames=4, resolution=32, **options)
    torch.manual_seed(0)
    model = MaskedAutoencoder(spec, target=target, **networks(spec, target))
    hidden = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).flatten().argsort() < 12
    mask = hidden.view(1, 1, 4, 4).expand(2, 2, 4, 4)
    motion = random_motion(model) if model.reads_motion else torch.zeros(2, 4, 4, 4, 2)
    return model, random_video(spec), mask, motion


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("backbone", ATTENTIONS)
def test_a_step_waits_for_nothing(backbone, decoder, target):
    model, video, mask, motion = build(target, backbone=backbone, decoder_attention=decoder)
    decode = torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    model.cuda()
    on_device = (video.cuda(), motion.cuda())
    model(on_device[0], mask, decode, motion=on_device[1]).loss.backward()  # a teacher moves, kernels load
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(on_device[0], mask, decode, motion=on_device[1]).loss
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()


@pytest.mark.parametrize("target", TARGETS)
def test_it_agrees_with_the_cpu(target):
    model, video, mask, motion = build(target)
    expected = model(video, mask, motion=motion)
    found = model.cuda()(video.cuda(), mask, motion=motion.cuda())
    torch.testing.assert_close(found.loss.cpu(), expected.loss, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("backbone", "decoder"), [("vit", "self"), ("timesformer", "cross")])
def test_a_compiled_step_is_one_graph_and_agrees(backbone, decoder):
    model, video, mask, _ = build("hog", backbone=backbone, decoder_attention=decoder)
    video, split = video.cuda(), model.cuda().split(mask, device="cuda")

    def run(module):
        with torch.autocast("cuda", torch.bfloat16):
            loss = module(video, split).loss
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters()])
        model.zero_grad()
        return loss.item(), gradients

    (loss, gradients), (again, compiled) = run(model), run(torch.compile(model, fullgraph=True))
    assert again == pytest.approx(loss, rel=0.02)  # the tolerance of bfloat16, as on the CPU
    assert (compiled - gradients).norm() < 0.05 * gradients.norm()
