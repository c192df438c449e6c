"""A batch in pieces has the loss and the gradient of the whole one, whatever counts in each piece."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from mgm.data.loading.loader import Batch
from mgm.errors import ModelError
from mgm.models import MaskedAutoencoder, ModelSpec
from mgm.training.accumulate import Found, accumulate
from mgm.training.pretrain import Pretraining

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)


@pytest.fixture
def method():
    torch.manual_seed(0)
    model = MaskedAutoencoder(SPEC, target={"normalised-pixels": 1.0, "hog": 0.5})
    return Pretraining(model, torch.optim.SGD(model.parameters(), 0.1), {"normalised-pixels": 1.0, "hog": 0.5})


@pytest.fixture
def clips():
    """Six clips of which 0, 1, 3, 6, 10 and 15 of the 24 hidden tokens are reconstructed."""
    rng = torch.Generator().manual_seed(1)
    mask = torch.zeros(6, SPEC.tokens, dtype=torch.bool)
    decode = torch.zeros(6, SPEC.tokens, dtype=torch.bool)
    for number, asked in enumerate((0, 1, 3, 6, 10, 15)):
        hidden = torch.randperm(SPEC.tokens, generator=rng)[:24]
        mask[number, hidden] = True
        decode[number, hidden[:asked]] = True
    video = torch.randint(0, 256, (6, *SPEC.video_shape), generator=rng, dtype=torch.uint8)
    return video, mask.view(6, *SPEC.grid), decode.view(6, *SPEC.grid)


def pieces(clips, sizes, *, decoded=True):
    video, mask, decode = clips
    first = 0
    for size in sizes:
        part = slice(first, first + size)
        number = torch.arange(size)
        chosen = decode[part] if decoded else None
        yield Batch(video[part], mask[part], -torch.ones(size), number, torch.zeros(size, 3), 0.0, (), (), chosen)
        first += size


def gradients(method, clips, sizes, **options):
    fabric = Fabric(devices=1, accelerator="cpu")
    module, _ = fabric.setup(method.module, method.optimiser)
    module.zero_grad()
    found = accumulate(
        method, module, pieces(clips, sizes, **options), fabric, pieces=len(sizes), clips=6, note=lambda lines: None
    )
    return found, {name: p.grad.clone() for name, p in method.module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("sizes", [(6,), (3, 3), (1, 1, 1, 1, 1, 1), (1, 5), (4, 2)])
@pytest.mark.parametrize("decoded", [True, False])
def test_pieces_add_up_to_the_whole(method, clips, sizes, decoded):
    video, mask, decode = clips
    whole = method.module(video, mask, decode if decoded else None)
    names, parameters = zip(*method.module.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(whole.loss, parameters), strict=True))
    found, gradient = gradients(method, clips, sizes, decoded=decoded)
    assert float(found.loss) == pytest.approx(float(whole.loss.detach()), rel=1e-6)
    for name, value in found.parts.items():
        assert float(value) == pytest.approx(float(whole.parts[name].detach()), rel=1e-6)
    assert gradient.keys() == expected.keys()
    scale = max(float(g.abs().max()) for g in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(gradient[name], value, rtol=0, atol=1e-6 * scale)


def test_a_step_of_which_nothing_is_reconstructed(method, clips):
    video, mask, decode = clips
    nothing = (video, mask, torch.zeros_like(decode))
    with pytest.raises(
        ModelError, match=r"leaves no hidden token of a step to reconstruct; lower mask\.decoder\.ratio"
    ):
        gradients(method, nothing, (3, 3))


def test_shares_are_those_of_all_clips(method, clips):
    first, second = pieces(clips, (2, 4))
    found = Found(torch.zeros(()))
    found.add(replace(first, fallback=0.5, measured=1.0), 2 / 6)
    found.add(replace(second, decode_fallback=0.75), 4 / 6)
    assert found.shares == pytest.approx({"fallback": 1 / 6, "decoder_fallback": 0.5, "flow": 1 / 3})
