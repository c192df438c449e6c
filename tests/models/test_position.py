import math

import pytest
import torch

from mgm.errors import ModelError
from mgm.models import sincos_embedding
from tests.errors import raises


def test_flat_embedding_follows_the_formula():
    code = sincos_embedding("sincos-1d", (2, 3, 5), 6)
    assert code.shape == (30, 6)
    assert code.dtype == torch.float32
    for place in (0, 1, 17, 29):
        for j in range(6):
            angle = place / 10000 ** (2 * (j // 2) / 6)
            expected = math.sin(angle) if j % 2 == 0 else math.cos(angle)
            assert code[place, j].item() == pytest.approx(expected, abs=1e-6)


def test_separable_embedding_has_one_part_per_axis():
    code = sincos_embedding("sincos-3d", (4, 3, 5), 16).view(4, 3, 5, 16)
    t, h, w = code.split((4, 6, 6), dim=-1)
    assert torch.equal(t, t[:, :1, :1].expand_as(t))
    assert torch.equal(h, h[:1, :, :1].expand_as(h))
    assert torch.equal(w, w[:1, :1].expand_as(w))


@pytest.mark.parametrize("dim", [8, 16, 64, 128, 384])
@pytest.mark.parametrize("kind", ["sincos-1d", "sincos-3d"])
def test_every_position_has_its_own_embedding(kind, dim):
    code = sincos_embedding(kind, (8, 14, 14), dim)
    assert code.shape == (1568, dim)
    assert len(torch.unique(code, dim=0)) == 1568


@pytest.mark.parametrize("dim", [6, 9])
def test_too_few_channels_for_three_axes(dim):
    with raises(ModelError, "invalid_value", subject="sincos-3d"):
        sincos_embedding("sincos-3d", (2, 2, 2), dim)
