"""Linear layers by oneDNN's product, compared with PyTorch's."""

import sys

import pytest
import torch
import torch.nn.functional as F

from mgm.models.accelerate.linear import AcceleratedLinear, linear
from tests.models.accelerate.operations import count_calls, gradients

linear_module = sys.modules["mgm.models.accelerate.linear"]


@pytest.mark.skipif(not linear_module.HAS_ONEDNN, reason="this PyTorch has no oneDNN product")
@pytest.mark.parametrize("shape", [(7, 12), (2, 5, 12), (2, 3, 4, 12), (1, 1, 12)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("learned", ["all", "input", "weight"])
def test_a_linear_layer_is_pytorchs(monkeypatch, shape, bias, learned, threads):
    torch.manual_seed(0)
    calls = count_calls(monkeypatch, linear_module, "_onednn")
    parts = [torch.randn(shape), torch.randn(10, 12), *([torch.randn(10)] if bias else [])]
    for i, part in enumerate(parts):
        part.requires_grad_(learned == "all" or (i == 0) == (learned == "input"))
    for mine, theirs in zip(gradients(linear, *parts), gradients(F.linear, *parts), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    assert len(calls) == (1 if learned == "weight" else 2)


@pytest.mark.skipif(not linear_module.HAS_ONEDNN, reason="this PyTorch has no oneDNN product")
def test_a_linear_layer_reads_strided_memory():
    x = torch.randn(2, 12, 9).transpose(1, 2).requires_grad_()
    weight = torch.randn(24, 12)[::2].requires_grad_()
    for mine, theirs in zip(gradients(linear, x, weight), gradients(F.linear, x, weight), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["no gradient", "float64", "autocast", "not there"])
def test_a_linear_layer_falls_back_to_pytorch(monkeypatch, case):
    monkeypatch.setattr(linear_module, "_onednn", None)
    monkeypatch.setattr(linear_module, "HAS_ONEDNN", case != "not there")
    dtype = torch.float64 if case == "float64" else torch.float32
    x, weight = torch.randn(3, 4, dtype=dtype), torch.randn(5, 4, dtype=dtype, requires_grad=True)
    with torch.set_grad_enabled(case != "no gradient"), torch.autocast("cpu", torch.bfloat16, case == "autocast"):
        out = linear(x, weight)
        assert torch.equal(out, F.linear(x, weight))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (torch.randn(10, 12).double(), "dtype"),
        (torch.randn(10, 11), "cannot be multiplied"),
    ],
)
def test_a_weight_that_does_not_fit_is_pytorchs_error(weight, words):
    with pytest.raises(RuntimeError, match=words):
        linear(torch.randn(2, 5, 12, requires_grad=True), weight)


def test_a_second_derivative_is_refused():
    x = torch.randn(2, 12, requires_grad=True)
    (first,) = torch.autograd.grad(linear(x, torch.randn(10, 12)).square().sum(), x, create_graph=True)
    if linear_module.HAS_ONEDNN:
        with pytest.raises(RuntimeError, match="twice"):
            first.sum().backward()


def test_a_single_row_without_a_batch_is_pytorchs():
    x, weight = torch.randn(12, requires_grad=True), torch.randn(10, 12)
    assert torch.equal(linear(x, weight), F.linear(x, weight))


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_uses_the_product_in_training_mode_only(monkeypatch, training):
    calls = count_calls(monkeypatch, linear_module, "linear")
    layer = AcceleratedLinear(4, 5).train(training)
    x = torch.randn(3, 4)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
    assert len(calls) == training
