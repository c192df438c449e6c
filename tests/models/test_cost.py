"""The computation of models, beside published counts and torch's own."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mgm.models import Encoder, ModelSpec
from mgm.models.cost import autoencoder_multiply_accumulates, encoder_multiply_accumulates


@pytest.mark.parametrize(("size", "billions"), [("S", 56.9), ("B", 180.3), ("L", 596.8), ("H", 1191.0)])
def test_of_the_published_models(size, billions):
    """Of one view of 16 frames of 224 px."""
    found = encoder_multiply_accumulates(ModelSpec(size, frames=16, resolution=224))
    assert found / 1e9 == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize(("visible", "billions"), [(160, 35.4), (392, 57.4)])
def test_of_pretraining_a_vit_b(visible, billions):
    found = autoencoder_multiply_accumulates(ModelSpec("B", frames=16, resolution=224), visible)
    assert found / 1e9 == pytest.approx(billions, rel=2e-2)


def test_torch_counts_the_same():
    spec = ModelSpec("tiny", patch=8, frames=8, resolution=48)
    encoder = Encoder(spec).eval()
    # the fused attention of CPUs is not among those that torch counts
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        encoder(torch.zeros(1, *spec.video_shape, dtype=torch.uint8))
    assert counter.get_total_flops() / 2 == pytest.approx(encoder_multiply_accumulates(spec), rel=1e-2)


def test_what_is_not_counted():
    divided = ModelSpec("debug", patch=8, frames=4, resolution=32, backbone="timesformer")
    assert encoder_multiply_accumulates(divided) is None
    crossing = ModelSpec("debug", patch=8, frames=4, resolution=32, decoder_attention="cross")
    assert autoencoder_multiply_accumulates(crossing, 8) is None
