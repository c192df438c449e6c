"""Gradients, and a count of calls, for the tests of accelerated operations."""

import torch

from mgm.models import ModelSpec


def count_calls(monkeypatch, module, name):
    """A list that grows with every call of a function of a module."""
    calls = []
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: calls.append(1) or real(*args))
    return calls


def gradients(function, *inputs):
    """The result of a function, and the gradients of its product with fixed values."""
    inputs = [x.detach().clone().requires_grad_(x.requires_grad) for x in inputs]
    out = function(*inputs)
    out.backward(torch.linspace(-1, 1, out.numel()).view(out.shape).cos())
    return [out.detach(), *(x.grad for x in inputs if x.requires_grad)]


def decoded_clip(batch=2):
    """uint8 (B, 3, T, H, W) of noise, channels last in memory."""
    spec = ModelSpec("debug")
    generator = torch.Generator().manual_seed(0)
    shape = (batch, *spec.video_shape[1:], 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).permute(0, 4, 1, 2, 3)
