"""Attention that keeps its weights for the backward pass, compared with PyTorch's."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from mgm.models.accelerate.attention import attention as accelerated
from tests.models.accelerate.operations import gradients

attention_module = sys.modules["mgm.models.accelerate.attention"]
linear_module = sys.modules["mgm.models.accelerate.linear"]


def qkv(asking=40, keys=40, scale=1.0):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, n, 8) for n in (asking, keys, keys))
    return [(query * scale).requires_grad_(), key.requires_grad_(), value.requires_grad_()]


@pytest.mark.parametrize("kept", [0, 40 * 100, 10**6], ids=["none kept", "some kept", "all kept"])
@pytest.mark.parametrize("asking", [40, 39, 1])
@pytest.mark.parametrize("onednn", [linear_module.HAS_ONEDNN, False])
def test_attention_is_pytorchs(monkeypatch, short_rows, kept, asking, onednn, threads):
    monkeypatch.setattr(linear_module, "HAS_ONEDNN", onednn)
    monkeypatch.setattr(attention_module, "_MOST_KEPT", kept)
    parts = qkv(asking)
    mine = gradients(accelerated, *parts)
    for value, expected in zip(mine, gradients(F.scaled_dot_product_attention, *parts), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    assert short_rows == [1]


def test_attention_of_very_large_scores_is_finite(short_rows):
    parts = qkv(scale=300)  # their powers would overflow
    for value, expected in zip(
        gradients(accelerated, *parts), gradients(F.scaled_dot_product_attention, *parts), strict=True
    ):
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_attention_gives_the_same_when_it_is_computed_again(short_rows):
    parts = qkv()
    again = gradients(lambda *x: checkpoint(accelerated, *x, use_reentrant=False), *parts)
    for value, expected in zip(again, gradients(accelerated, *parts), strict=True):
        assert torch.equal(value, expected)


@pytest.mark.parametrize("case", ["no gradient", "mask", "float64", "autocast", "short"])
def test_attention_falls_back_to_pytorch(monkeypatch, short_rows, case):
    parts = [x.double() if case == "float64" else x for x in qkv()]
    if case == "short":
        monkeypatch.setattr(attention_module, "_FEWEST_KEYS", 41)
    mask = torch.ones(40, 40, dtype=torch.bool) if case == "mask" else None
    with torch.set_grad_enabled(case != "no gradient"), torch.autocast("cpu", torch.bfloat16, case == "autocast"):
        accelerated(*parts, mask=mask)
    assert short_rows == []


def test_no_queries(short_rows):
    query, key, value = qkv()
    assert accelerated(query[:, :, :0], key, value).shape == (2, 3, 0, 8)
